import { readdirSync } from "node:fs";
import type { Build } from "../builds/builds.ts";
import { diskUse } from "../disk-use.ts";
import { onHost } from "../host.ts";

/** What the lab keeps of one kind on this machine. */
export interface Kept {
	/** builds kernel, cache ccache, runs … */
	what: string;
	/** Bytes on disk. */
	bytes: number;
	/** Of these, what nobody needs at the moment; none for what is no build. */
	unused?: number;
}

/** What all labs of this machine take of the disk, by kind. */
export async function keptOnDisk(builds: readonly Build[]): Promise<Kept[]> {
	const kinds = Map.groupBy(builds, ({ id }) => id.split("/")[0] ?? "");
	const sum = (some: readonly Build[]) => some.reduce((total, { bytes }) => total + bytes, 0);
	const places = new Map([
		...namesIn("/var/cache/tracelab")
			.filter((name) => name !== "builds")
			.map((name): [string, string] => [`cache ${name}`, `/var/cache/tracelab/${name}`]),
		["disks of guests", "/var/lib/tracelab/pools"],
		["runs", "/var/lib/tracelab/runs"],
		["logs", "/var/log/tracelab"],
	]);
	const bytes = await diskUse([...places.values()].map(onHost));
	return [
		...[...kinds]
			.sort(([a], [b]) => (a < b ? -1 : 1))
			.map(([kind, own]) => ({
				what: `builds ${kind}`,
				bytes: sum(own),
				unused: sum(own.filter(({ users }) => users.length === 0)),
			})),
		...[...places].flatMap(([what, path]) => {
			const own = bytes.get(onHost(path));
			return own === undefined ? [] : [{ what, bytes: own }];
		}),
	];
}

function namesIn(folder: string): string[] {
	try {
		return readdirSync(onHost(folder)).sort();
	} catch {
		return [];
	}
}
