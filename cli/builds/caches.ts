import { existsSync } from "node:fs";
import { onHost } from "../host.ts";
import { run } from "../program.ts";

/** A part of a cache that is used, and goes, as one: a file, or a folder whose files are nothing without each other. */
export interface CachePart {
	/** ccache, sources, logs … */
	kind: string;
	path: string;
	/** Bytes on disk. */
	bytes: number;
	/** When something of it was last read or written, to a day: file systems note no more of a read. Milliseconds. */
	lastUse: number;
	/** The lock that whoever works with it holds, where there is one. */
	lock?: string | undefined;
}

export const cacheFolder = "/var/cache/tracelab";
export const logsFolder = "/var/log/tracelab";
export const locksFolder = "/run/tracelab/locks";

/** All that is kept on purpose and is no build: caches, and the logs of each stack. */
export async function listCaches(): Promise<CachePart[]> {
	// Builds have their own list.
	const cached = await filesBelow(cacheFolder, ["builds"]);
	const logs = await filesBelow(logsFolder, []);
	const parts = new Map<string, CachePart>();
	const add = (part: CachePart): void => {
		const known = parts.get(part.path);
		if (known === undefined) parts.set(part.path, part);
		else {
			known.bytes += part.bytes;
			known.lastUse = Math.max(known.lastUse, part.lastUse);
		}
	};
	for (const { path, ...file } of cached) {
		const part = partOf(path);
		add({ ...file, kind: part.split("/")[0] ?? "", path: onHost(`${cacheFolder}/${part}`), lock: lockOf(part) });
	}
	for (const { path, ...file } of logs) {
		add({ ...file, kind: "logs", path: onHost(`${logsFolder}/${path.split("/")[0]}`) });
	}
	return [...parts.values()];
}

/** Folders that go as one, by how many names their path has. */
const folders: readonly [RegExp, number][] = [
	[/^sources\/git\//, 3],
	[/^work\//, 3],
	[/^systemtap\//, 2],
	[/^apt-sources\//, 2],
	[/^unbundle-[^/]*\//, 1],
];

function partOf(path: string): string {
	const depth = folders.find(([pattern]) => pattern.test(path))?.[1];
	return path.split("/").slice(0, depth).join("/");
}

/** The names under which steps, and unbundle, lock what they work with: scripts/. */
function lockOf(part: string): string | undefined {
	const [kind, first, second = ""] = part.split("/");
	if (kind === "apt") return "packages";
	if (kind === "apt-image") return `apt-image-${first}`;
	if (kind === "apt-sources" || (kind === "sources" && first === "debian")) return "apt-sources";
	if (kind === "sources") return `source-${second.replace(/\.part$/, "")}`;
	if (kind === "durations" || kind?.startsWith("unbundle-")) return kind;
	if (kind === "work") return `build-${first}-${second}`;
	return undefined;
}

interface CachedFile {
	path: string;
	bytes: number;
	lastUse: number;
}

async function filesBelow(folder: string, except: readonly string[]): Promise<CachedFile[]> {
	const root = onHost(folder);
	if (!existsSync(root)) return [];
	const without = except.flatMap((name) => ["-path", `${root}/${name}`, "-prune", "-o"]);
	const { stdout } = await run("find", [
		"-H",
		root,
		"-xdev",
		...without,
		"!",
		"-type",
		"d",
		"-printf",
		"%A@ %T@ %b %P\\n",
	]);
	return stdout.split("\n").flatMap((line) => {
		const [, read, written, blocks, path] = /^(\S+) (\S+) (\d+) (.+)$/.exec(line) ?? [];
		if (path === undefined) return [];
		return [{ path, bytes: Number(blocks) * 512, lastUse: Math.max(Number(read), Number(written)) * 1000 }];
	});
}
