import { createHash } from "node:crypto";
import { chmod, copyFile, link, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Puts a program in its place in one rename, so that it is either the old one or the whole new one. */
export async function place(from: string, to: string): Promise<void> {
	await mkdir(dirname(to), { recursive: true });
	const part = `${to}.part-${process.pid}`;
	await rm(part, { force: true });
	// A hard link costs no disk; another file system needs the copy.
	await link(from, part).catch(() => copyFile(from, part));
	await chmod(part, 0o755);
	await rename(part, to);
	// Two links to one file are left as they are by a rename of one over the other.
	await rm(part, { force: true });
}

/** Fills a new folder and moves it into place when it is complete; what is there already stays. */
export async function fillFolder(target: string, fill: (folder: string) => Promise<void>): Promise<void> {
	await mkdir(dirname(target), { recursive: true });
	const part = await mkdtemp(join(dirname(target), `.${basename(target)}.part-`));
	try {
		await fill(part);
		await rm(target, { recursive: true, force: true });
		await rename(part, target);
	} finally {
		await rm(part, { recursive: true, force: true });
	}
}

/** A short hash over files' names and contents, and any further text that identifies the whole. */
export async function contentHash(files: readonly string[], ...texts: string[]): Promise<string> {
	const hash = createHash("sha256");
	for (const file of [...files].sort())
		hash
			.update(`${basename(file)}\0`)
			.update(await readFile(file))
			.update("\0");
	for (const text of texts) hash.update(`${text}\0`);
	return hash.digest("hex").slice(0, 16);
}

export async function filesBelow(folder: string): Promise<string[]> {
	const entries = await readdir(folder, { recursive: true, withFileTypes: true });
	return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
