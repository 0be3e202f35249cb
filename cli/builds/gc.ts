import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { labsHere } from "../card.ts";
import { confirm } from "../confirm.ts";
import { LabError } from "../errors.ts";
import { isHeld } from "../hold.ts";
import { logFolder, onHost } from "../host.ts";
import { names } from "../lab/engine.ts";
import { run } from "../program.ts";
import { scriptWords } from "../script.ts";
import { ago, paint, print, say, size, table } from "../terminal.ts";
import { type Build, listBuilds } from "./builds.ts";
import { type CachePart, cacheFolder, listCaches, locksFolder, logsFolder } from "./caches.ts";

export interface GcOptions {
	/** Milliseconds: what was used since is kept. */
	olderThan: number;
	/** Also what caches and logs hold? */
	caches?: boolean;
	dryRun?: boolean;
	/** Is it meant, without a question? */
	yes?: boolean;
}

/** What is to be done with a build, or a part of a cache, and why. */
interface Verdict<Thing> {
	thing: Thing;
	goes: boolean;
	why: string;
}

/** What scripts/build-discard.sh, and flock, end with where somebody is at work with what is to go. */
const inUse = 75;

/** A file system may note only one read a day: what was used within one may be what an up is at work with. */
const day = 86_400_000;

/** Removes builds that nobody needs, and old parts of caches; shows what goes, what stays, and why. */
export async function gc(options: GcOptions): Promise<number> {
	// Where nobody is at work, nothing of the caches is needed.
	const all = options.caches === true && options.olderThan === 0 && noLabs();
	const builds = await Promise.all((await listBuilds()).map((build) => judgeBuild(build, options.olderThan)));
	const caches = judgeCaches(await listCaches(), builds, options, all);
	const going = { builds: builds.filter(({ goes }) => goes), caches: caches.filter(({ goes }) => goes) };
	showPlan(builds, caches, options);
	if (going.builds.length + going.caches.length > 0) {
		if (options.dryRun === true) {
			say("lab: nothing was removed: this was a dry run");
			return 0;
		}
		if (options.yes !== true)
			await confirm("gc", "remove what is to go?", `./lab ${process.argv.slice(2).join(" ")} -y`);
		if (all && !noLabs())
			throw new LabError("nothing was removed: a lab has begun to come up", "run gc again: it keeps what that needs");
		const freed = (await removeBuilds(going.builds)) + (await removeCaches(going.caches));
		print(`freed ${size(freed)}`);
	}
	if (all && options.dryRun !== true) await sweep();
	return 0;
}

/** Is there no lab on this machine, not even one that is half up? A step says so before it begins (scripts/lib/step.sh). */
const noLabs = (): boolean => labsHere().length === 0 && names(onHost("/var/lib/tracelab/undo")).length === 0;

async function judgeBuild(build: Build, olderThan: number): Promise<Verdict<Build>> {
	const age = Date.now() - build.lastUse;
	if (build.users.length > 0) return { thing: build, goes: false, why: shortened(build.users) };
	if (build.whole && age < olderThan) return { thing: build, goes: false, why: `used ${ago(age / 1000)}` };
	if (await isLocked(`build-${build.id.replace("/", "-")}`)) {
		return { thing: build, goes: false, why: "it is being built, or taken from the cache" };
	}
	return { thing: build, goes: true, why: build.whole ? `used ${ago(age / 1000)}` : "what a kill left of it" };
}

function judgeCaches(
	parts: readonly CachePart[],
	builds: readonly Verdict<Build>[],
	{ caches = false, olderThan }: GcOptions,
	all: boolean,
): Verdict<CachePart>[] {
	const limit = Math.max(olderThan, day);
	const used = builds.filter(({ thing }) => thing.users.length > 0);
	// The objects of a person's own tree, and the logs of a lab.
	const needed = new Set([
		...used.map(({ thing }) => onHost(`/var/cache/tracelab/work/${thing.id}`)),
		...labsHere().map((stack) => logFolder(stack)),
	]);
	return parts.map((part) => {
		const age = Date.now() - part.lastUse;
		const old = caches && age >= limit && !needed.has(part.path);
		return { thing: part, goes: all || old, why: `used ${ago(age / 1000)}` };
	});
}

/** The first three of a build's users say enough. */
function shortened(users: readonly string[]): string {
	const more = users.length > 3 ? ` and ${users.length - 3} more` : "";
	return `${users.slice(0, 3).join(", ")}${more}`;
}

const withoutWaiting = ["--nonblock", "--conflict-exit-code", String(inUse)];

async function isLocked(name: string): Promise<boolean> {
	const file = onHost(`${locksFolder}/${name}`);
	return existsSync(file) && (await isHeld(file));
}

const sum = (verdicts: readonly Verdict<{ bytes: number }>[]): number =>
	verdicts.reduce((total, { thing }) => total + thing.bytes, 0);

function showPlan(builds: Verdict<Build>[], caches: Verdict<CachePart>[], options: GcOptions): void {
	const { caches: asked = false, olderThan } = options;
	const hint = !asked ? "; --caches looks at it, too" : olderThan === 0 ? "; all of it goes once no lab is up" : "";
	const kinds = [...new Set(caches.map(({ thing }) => thing.kind))].sort();
	for (const goes of [true, false]) {
		const shown = builds.filter((verdict) => verdict.goes === goes);
		const parts = caches.filter((verdict) => verdict.goes === goes);
		const rows = [
			...shown.map(({ thing, why }) => [`  ${thing.id}`, thing.what, size(thing.bytes), why]),
			...kinds.flatMap((kind) => {
				const own = parts.filter(({ thing }) => thing.kind === kind);
				if (own.length === 0) return [];
				const last = own.reduce((latest, { thing }) => Math.max(latest, thing.lastUse), 0);
				const why = `used ${ago((Date.now() - last) / 1000)}${goes ? "" : hint}`;
				return [[`  ${kind === "logs" ? "logs" : `cache ${kind}`}`, "", size(sum(own)), why]];
			}),
		];
		const total = size(sum(shown) + sum(parts));
		print(paint("bold", goes ? `to go: ${rows.length === 0 ? "nothing" : total}` : `kept: ${total}`));
		if (rows.length > 0) print(table([], rows));
	}
}

/** Returns how many bytes went. */
async function removeBuilds(verdicts: readonly Verdict<Build>[]): Promise<number> {
	let freed = 0;
	for (const { thing } of verdicts) {
		// The next millisecond: a file's time is finer than a number has it.
		const lastUse = String((Math.floor(thing.lastUse) + 1) / 1000);
		const inputs = { stack: "none", step: "gc", prefix: `/opt/tracelab/${thing.id}`, last_use: lastUse };
		const { code, stderr } = await run("env", scriptWords("build-discard", inputs));
		if (code === inUse) say(`lab: ${thing.id} stays: somebody has come to use it`);
		else if (code !== 0) throw new LabError(`${thing.id} cannot be removed:\n${stderr.trim()}`);
		else freed += thing.bytes;
	}
	return freed;
}

/** Returns how many bytes went. Parts under one lock go together. */
async function removeCaches(verdicts: readonly Verdict<CachePart>[]): Promise<number> {
	let freed = 0;
	for (const [lock, own] of Map.groupBy(verdicts, ({ thing }) => thing.lock)) {
		const remove = ["xargs", "-0", "rm", "-rf", "--one-file-system", "--"];
		const paths = own.map(({ thing }) => `${thing.path}\0`).join("");
		const { code, stderr } = await run("env", [...(lock === undefined ? [] : holding(lock)), ...remove], paths);
		if (code === inUse) say(`lab: what somebody is at work with stays, under the lock ${lock}`);
		else if (code !== 0) throw new LabError(`parts of the cache cannot be removed:\n${stderr.trim()}`);
		else freed += sum(own);
	}
	return freed;
}

function holding(lock: string): string[] {
	const file = onHost(`${locksFolder}/${lock}`);
	// Nobody has locked anything since this machine booted.
	mkdirSync(dirname(file), { recursive: true });
	return ["flock", ...withoutWaiting, file];
}

/** Removes what is of no use by itself: locks that nobody holds, and then, if those were all, empty folders. */
async function sweep(): Promise<void> {
	const locks = onHost(locksFolder);
	for (const name of names(locks))
		await run("flock", [...withoutWaiting, `${locks}/${name}`, "rm", `${locks}/${name}`]);
	if (names(locks).length > 0) return;
	const own = [cacheFolder, logsFolder, dirname(locksFolder)].map(onHost).filter((folder) => existsSync(folder));
	if (own.length === 0) return;
	// A build that a recording needs has empty folders of its own.
	const notInBuilds = ["!", "-path", onHost(`${cacheFolder}/builds/*/*`)];
	await run("find", [...own, "-xdev", "-depth", "-type", "d", "-empty", ...notInBuilds, "-delete"]);
}
