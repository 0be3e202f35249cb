import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { diskUse } from "../disk-use.ts";
import { onHost } from "../host.ts";
import { buildUsers } from "./build-users.ts";

/** A build on this machine, or what a kill left of one. */
export interface Build {
	/** KIND/HASH */
	id: string;
	/** What is in it, for a person: a kernel's release, a module's file; empty where nothing says so. */
	what: string;
	/** Bytes on disk. */
	bytes: number;
	/** Its folders: where it is used, in the cache, and where it is made. */
	folders: string[];
	/** Is it finished? What is not serves nobody. */
	whole: boolean;
	/** When the last lab let it go, or, where one did not say so, when it was made; milliseconds since 1970. */
	lastUse: number;
	/** Who needs it: labs, domains, disks, recordings, processes. */
	users: string[];
}

/** Where a build with that id is while a lab uses it, while none does, and while it is made. */
export const placesOf = (id: string): { used: string; cached: string; work: string } => ({
	used: `/opt/tracelab/${id}`,
	cached: `/var/cache/tracelab/builds/${id}`,
	work: `/opt/tracelab/${id}.work`,
});

/** All builds, the largest first. */
export async function listBuilds(): Promise<Build[]> {
	const ids = new Set([...idsBelow("/opt/tracelab"), ...idsBelow("/var/cache/tracelab/builds")]);
	const users = buildUsers();
	const found = [...ids].map((id) => {
		const { used, cached, work } = placesOf(id);
		return { id, folders: [used, cached, work].map(onHost).filter((folder) => existsSync(folder)) };
	});
	const bytes = await diskUse(found.flatMap(({ folders }) => folders));
	return found
		.map(({ id, folders }) => {
			const finished = folders.find((folder) => existsSync(`${folder}/.tracelab-build`));
			return {
				id,
				what: finished === undefined ? "" : contents(id, finished),
				bytes: folders.reduce((sum, folder) => sum + (bytes.get(folder) ?? 0), 0),
				folders,
				whole: finished !== undefined,
				// A folder that came into the cache, or from there, has that moment for its time: lib/build.sh's move_build.
				lastUse: Math.max(...folders.map((folder) => statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0)),
				users: users.get(id) ?? [],
			};
		})
		.sort((a, b) => b.bytes - a.bytes || (a.id < b.id ? -1 : 1));
}

function idsBelow(folder: string): string[] {
	return namesIn(folder).flatMap((kind) =>
		namesIn(`${folder}/${kind}`)
			.map((name) => name.replace(/\.work$/, ""))
			.filter((name) => /^[0-9a-f]{16}$/.test(name))
			.map((hash) => `${kind}/${hash}`),
	);
}

function contents(id: string, folder: string): string {
	const kind = id.split("/")[0];
	if (kind === "kernel" || kind === "qemu") return textOf(`${folder}/${kind === "kernel" ? "release" : "version"}`);
	const [first = "", ...more] = readdirSync(folder)
		.filter((name) => name.endsWith(".ko"))
		.sort();
	return more.length === 0 ? first : `${first} and ${more.length} more`;
}

function textOf(file: string): string {
	try {
		return readFileSync(file, "utf8").trim();
	} catch {
		return "";
	}
}

function namesIn(folder: string): string[] {
	try {
		return readdirSync(onHost(folder));
	} catch {
		return [];
	}
}
