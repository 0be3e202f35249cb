import {
	copyFileSync,
	existsSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { lockFile, readLock } from "../../spec/lock.ts";
import { completed } from "../../spec/lock-changes.ts";
import { stackOption } from "../card.ts";
import { asLabError, LabError } from "../errors.ts";
import { holdUntilEnd } from "../hold.ts";
import { onHost, project } from "../host.ts";
import { giveBack } from "../privilege.ts";
import { run } from "../program.ts";
import { replaceFile } from "../replace-file.ts";
import { print } from "../terminal.ts";
import { type Manifest, manifestFile, manifestOf, manifestSchema, sha256 } from "./bundle-manifest.ts";
import { cacheFolder, locksFolder } from "./caches.ts";
import { stackFiles } from "./stack-files.ts";

/** Where builds look for their sources, below the cache's folder. */
const sourcePath = /^(sources\/(debian|git|sha256)|apt-image\/[a-z0-9-]+)\/[^/]+$/;

/**
 * Puts what a bundle holds into this project and into the cache of this machine, once all of it was checked.
 *
 * @throws LabError for a bundle that is not whole, or not as it was made, and for files of the project that are others; then
 * nothing of it was put anywhere
 */
export async function unbundle(file: string): Promise<number> {
	mkdirSync(onHost(cacheFolder), { recursive: true });
	const stage = mkdtempSync(onHost(`${cacheFolder}/unbundle-`));
	const lock = onHost(`${locksFolder}/${basename(stage)}`);
	mkdirSync(dirname(lock), { recursive: true });
	writeFileSync(lock, "");
	holdUntilEnd(lock);
	const own: string[] = [];
	try {
		const { stack, files, links } = await checked(file, stage);
		own.push(...below("project", { ...files, ...links }));
		await refuseOthers(own, stage, { stack, files, links });
		for (const name of below("cache", files)) {
			const place = onHost(`${cacheFolder}/${name}`);
			mkdirSync(dirname(place), { recursive: true });
			renameSync(join(stage, "cache", name), place);
		}
		for (const name of own) {
			if (!(await isHere(name, { files, links }))) put(join(stage, "project", name), join(project, name));
		}
		print(`stack ${stack} is here, with its lock and its sources: ./lab${stackOption(stack)} up`);
		return 0;
	} catch (error) {
		throw asLabError(error);
	} finally {
		rmSync(stage, { recursive: true, force: true });
		rmSync(lock, { force: true });
		giveBack(own.map((name) => name.replace(/\/.*/, "")));
	}
}

/** Unpacks a bundle into a folder; every byte there is what the manifest says, and is of the stack. */
async function checked(file: string, stage: string): Promise<Manifest> {
	const refused = (what: string) =>
		new LabError(`${file} ${what}; nothing of it was put anywhere`, "get the bundle again from whoever made it");
	const anybody = ["--no-same-owner", "--no-same-permissions", "--touch"];
	const { code, stderr } = await run("tar", [
		"--extract",
		"--force-local",
		"--file",
		file,
		"--directory",
		stage,
		...anybody,
	]);
	if (code !== 0) throw refused(`is not whole: ${stderr.trim()}`);
	if (!existsSync(join(stage, manifestFile))) throw refused(`is no bundle: it has no ${manifestFile}`);
	const manifest = parsed(readFileSync(join(stage, manifestFile), "utf8"));
	if (manifest === undefined) throw refused(`has a ${manifestFile} that is none of a bundle's`);
	const told = { ...manifest.files, ...manifest.links };
	const names = membersOf(stage).filter((name) => name !== manifestFile);
	const more = names.find((name) => !Object.hasOwn(told, name));
	if (more !== undefined) throw refused(`has ${more}, which its manifest has not`);
	const found = await manifestOf(manifest.stack, stage, names);
	for (const name of Object.keys(told)) {
		if (found.files[name] === manifest.files[name] && found.links[name] === manifest.links[name]) continue;
		throw refused(names.includes(name) ? `has another ${name} than it was made with` : `lacks ${name}`);
	}
	const own = stackFiles(manifest.stack, join(stage, "project"));
	const foreign = names.find((name) => {
		const [top = ""] = name.split("/");
		const path = name.slice(top.length + 1);
		return top === "project" ? !own.includes(path) : top !== "cache" || !sourcePath.test(path) || !manifest.files[name];
	});
	if (foreign !== undefined) throw refused(`has ${foreign}, which no lab needs`);
	return manifest;
}

function parsed(text: string): Manifest | undefined {
	try {
		return manifestSchema.parse(JSON.parse(text));
	} catch {
		return undefined;
	}
}

/** Files and links. */
function membersOf(folder: string, within = ""): string[] {
	return readdirSync(join(folder, within), { withFileTypes: true }).flatMap((entry) => {
		const name = join(within, entry.name);
		if (entry.isDirectory()) return membersOf(folder, name);
		return entry.isFile() || entry.isSymbolicLink() ? [name] : [];
	});
}

const below = (folder: string, members: Readonly<Record<string, string>>): string[] =>
	Object.keys(members).flatMap((name) => (name.startsWith(`${folder}/`) ? [name.slice(folder.length + 1)] : []));

/** A person's own files stay as they are, but for a lock that leaves open what the bundle's pins. */
async function refuseOthers(own: readonly string[], stage: string, { stack, files, links }: Manifest): Promise<void> {
	const others: string[] = [];
	for (const name of own) {
		const entry = lstatSync(join(project, name), { throwIfNoEntry: false });
		if (entry === undefined || (await isHere(name, { files, links }))) continue;
		if (name === lockFile(stack) && entry.isFile() && isCompletedBy(stack, join(stage, "project"))) continue;
		others.push(name);
	}
	if (others.length === 0) return;
	throw new LabError(
		`the bundle has other files than this project: ${others.join(", ")}; nothing of it was put anywhere`,
		"move yours aside, or open the bundle in another clone of tracelab",
	);
}

/** Has the project this very file or link? */
async function isHere(name: string, { files, links }: Pick<Manifest, "files" | "links">): Promise<boolean> {
	const place = join(project, name);
	const entry = lstatSync(place, { throwIfNoEntry: false });
	if (entry?.isSymbolicLink()) return readlinkSync(place) === links[`project/${name}`];
	return entry?.isFile() === true && (await sha256(place)) === files[`project/${name}`];
}

/** Does the project's lock of a stack become that of another project, once it has what it lacks of that? */
function isCompletedBy(stack: string, other: string): boolean {
	const lockOf = (root: string) => readLock(stack, undefined, root) ?? {};
	const theirs = lockOf(other);
	return isDeepStrictEqual(completed(lockOf(project), theirs).lock, theirs);
}

function put(from: string, to: string): void {
	mkdirSync(dirname(to), { recursive: true });
	replaceFile(to, (part) => {
		if (lstatSync(from).isSymbolicLink()) symlinkSync(readlinkSync(from), part);
		else copyFileSync(from, part);
	});
}
