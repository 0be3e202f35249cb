import { globSync, readFileSync, readlinkSync } from "node:fs";
import { basename, dirname, isAbsolute, resolve } from "node:path";
import { onHost } from "../host.ts";
import { backingFile } from "./backing-file.ts";

/** Where a build is; a process that runs from one that has moved names the cache. */
const places = /\/(?:opt\/tracelab|var\/cache\/tracelab\/builds)\/([a-z-]+\/[0-9a-f]{16})(?![0-9a-f])/g;

/**
 * Who needs which build, by KIND/HASH: whatever on this machine names one. Files are read as they are, so that neither a
 * libvirtd that is down nor a file of another version of tracelab hides a user.
 */
export function buildUsers(): Map<string, string[]> {
	const users = new Map<string, string[]>();
	const note = (text: string, user: string): void => {
		for (const [, id = ""] of text.matchAll(places)) {
			const known = users.get(id) ?? [];
			if (!known.includes(user)) users.set(id, [...known, user]);
		}
	};
	for (const file of found("/var/lib/tracelab/builds/*/*/*")) {
		const [kind, hash, stack] = file.split("/").slice(-3);
		note(`/opt/tracelab/${kind}/${hash}`, `lab ${stack}`);
	}
	for (const file of found("/var/lib/tracelab/labs/*.json")) note(textOf(file), `lab ${basename(file, ".json")}`);
	const disks = new Map(found("/var/lib/tracelab/pools/*/*.qcow2").map((disk) => [disk, `disk ${disk}`]));
	for (const file of [...found("/etc/libvirt/qemu/*.xml"), ...found("/run/libvirt/qemu/*.xml")]) {
		const text = textOf(file);
		const user = `domain ${basename(file, ".xml")}`;
		note(text, user);
		for (const [, disk = ""] of text.matchAll(/<source file='([^']+)'/g)) disks.set(onHost(disk), user);
	}
	for (const file of found("/var/lib/tracelab/runs/*/*/recording.json")) {
		const [stack, run] = file.split("/").slice(-3);
		const user = `recording ${run} of ${stack}`;
		note(textOf(file), user);
		disks.set(`${dirname(file)}/disk.qcow2`, user);
	}
	for (const [disk, user] of disks) for (const image of chain(disk)) note(image, user);
	for (const link of found("/proc/[0-9]*/exe")) note(linkOf(link), `process ${link.split("/").at(-2)}`);
	return users;
}

/** What a disk lies over, and what that lies over, … */
function chain(disk: string): string[] {
	const below: string[] = [];
	for (let over = disk; ; ) {
		const name = backingFile(over);
		if (name === undefined) return below;
		over = isAbsolute(name) ? onHost(name) : resolve(dirname(over), name);
		// Whoever made a circle of them has no disk that starts.
		if (below.includes(over)) return below;
		below.push(over);
	}
}

const found = (pattern: string): string[] => globSync(onHost(pattern)).sort();

function textOf(file: string): string {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return "";
	}
}

function linkOf(link: string): string {
	try {
		return readlinkSync(link);
	} catch {
		return "";
	}
}
