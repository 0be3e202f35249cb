import { buildOf } from "./build-prefix.ts";
import type { HostFacts } from "./host-facts.ts";

/** Bytes that a first `up` needs for builds and their caches. */
export const firstUp = 12e9;

/** Bytes of a finished build that none is smaller than, by kind: the quickstart image, and its kernel and QEMU without sources. */
const least: Readonly<Record<string, number>> = { image: 200e6, kernel: 100e6, qemu: 15e6 };

export class DiskSpaceError extends Error {
	override readonly name = "DiskSpaceError";
}

/**
 * What is to be said of the disk before builds are made on it: nothing where they fit. A build takes what it, or else the
 * last of its kind, took on this host while it was made; where nobody knows, it is a first up.
 *
 * @param builds prefixes of QEMUs, kernels and images, by what they are called
 * @throws DiskSpaceError where the builds cannot fit
 */
export function checkDiskSpace(
	builds: Readonly<Record<string, string>>,
	{ free, builds: there, buildBytes }: Pick<HostFacts, "free" | "builds" | "buildBytes">,
): string | undefined {
	const byId = new Map(Object.entries(builds).map(([name, prefix]) => [buildOf(prefix), name]));
	const missing = [...byId].filter(([id]) => !there.includes(id));
	const sum = (bytes: (id: string, kind: string) => number) =>
		missing.reduce((total, [id]) => total + bytes(id, id.split("/")[0] ?? ""), 0);
	const about = sum((id, kind) => buildBytes[id] ?? buildBytes[`${kind}/last`] ?? Number.NaN);
	const needed = Number.isNaN(about) ? firstUp : about;
	const certain = sum((id, kind) => buildBytes[id] ?? least[kind] ?? 0);
	const names = missing.map(([, name]) => name).sort();
	if (free.opt < certain) {
		throw new DiskSpaceError(
			`${names.join(", ")} cannot be built: that takes ${gigabytes(certain)} at least, and /opt has ${gigabytes(free.opt)} free\n  what to do: make room (./lab gc --dry-run shows what nobody uses), then run up again`,
		);
	}
	const room = Math.min(free.opt, free.cache);
	if (missing.length === 0 || room >= needed) return undefined;
	return `to build ${names.join(", ")} takes about ${gigabytes(needed)}, and /opt and /var/cache have ${gigabytes(room)} free: make room (./lab gc --dry-run shows what nobody uses), or it may fail half-way`;
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
