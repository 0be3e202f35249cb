import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pinInput } from "../../spec/lock.ts";
import { checkStack, stackOption } from "../card.ts";
import { inOrder } from "../ending.ts";
import { asLabError, LabError } from "../errors.ts";
import { onHost, project } from "../host.ts";
import { rootsOwn } from "../privilege.ts";
import { type Ran, run } from "../program.ts";
import { scriptWords } from "../script.ts";
import { print, size } from "../terminal.ts";
import { type PinnedBuild, pinnedBuilds, pinnedFolder } from "./pinned-builds.ts";

/** What rclone ends with where a folder is not there, and where a file is not. */
const absent = [3, 4];

/** What scripts/build-unpack.sh ends with where an archive is not what is pinned. */
const tampered = 76;

/** What is not shared, and is no failure. */
const notShared = "of your own tree: not shared";

/**
 * Copies the builds of a stack from this machine to a store, as the lock pins them; what the store has stays.
 *
 * @param store a place as rclone has it: a folder, or REMOTE:PATH of a remote that it knows (sftp, S3 and more)
 * @throws LabError where a build is not here as it is pinned, or the store cannot be written
 */
export async function push(stack: string, store: string, wanted: readonly string[]): Promise<void> {
	checkStack(stack);
	await inScratch(async (scratch) => {
		const pinned = pinnedBuilds(stack, wanted);
		const builds = pinned.builds.map((build) => ({ build, folder: pinnedFolder(build) }));
		const missing = builds.flatMap(({ build, folder }) => (folder === undefined && !build.ofTree ? [build.name] : []));
		if (missing.length > 0) {
			throw new LabError(
				`this machine does not have ${missing.join(", ")} as the lock pins it`,
				`./lab${stackOption(stack)} up makes it so, or says why not`,
			);
		}
		for (const { build, folder = "" } of builds)
			print(`${build.name}: ${await pushOne(store, build, onHost(folder), scratch)}`);
		for (const name of pinned.open) print(`${name}: the lock leaves it open: not shared`);
	});
}

async function pushOne(store: string, build: PinnedBuild, folder: string, scratch: string): Promise<string> {
	if (build.ofTree) return notShared;
	if (await has(store, build)) return "the store has it";
	// Only the files that a lab relies on are looked at by each up.
	if ((await resultOf(folder, build)) !== build.pin.result) {
		throw new LabError(
			`${build.name} came to what the lock pins, and is not that any more: somebody wrote into ${folder}`,
			"remove that folder, and up again: it builds it anew",
		);
	}
	const archive = join(scratch, build.name);
	await pack(folder, archive);
	const bytes = statSync(archive).size;
	await upload(archive, store, build);
	rmSync(archive);
	return `pushed, ${size(bytes)}`;
}

/**
 * Copies the builds of a stack that this machine lacks from a store into its cache, each once it was seen to be what the lock
 * pins. The next up takes them from there. Returns 1 where the store lacks one, or has another.
 *
 * @param store as push has it
 * @throws LabError where the store cannot be read, or the cache not be written
 */
export async function pull(stack: string, store: string, wanted: readonly string[]): Promise<number> {
	checkStack(stack);
	return inScratch(async (scratch) => {
		const lacking: string[] = [];
		const { builds, open } = pinnedBuilds(stack, wanted);
		for (const build of builds) {
			const { fine, words } = await pullOne(store, build, scratch);
			print(`${build.name}: ${words}`);
			if (!fine) lacking.push(build.name);
		}
		for (const name of open) print(`${name}: the lock leaves it open: up builds it`);
		if (lacking.length === 0) return 0;
		print(`./lab${stackOption(stack)} up builds ${lacking.join(", ")}`);
		return 1;
	});
}

async function pullOne(store: string, build: PinnedBuild, scratch: string): Promise<{ fine: boolean; words: string }> {
	if (build.ofTree) return { fine: true, words: notShared };
	if (pinnedFolder(build) !== undefined) return { fine: true, words: "is here" };
	if (!(await has(store, build))) return { fine: false, words: `not in ${store}` };
	const archive = join(scratch, build.name);
	const place = placeIn(store, build);
	await rclone(["copyto", ...progress, place, archive]);
	const got = statSync(archive);
	const fine = got.isFile() && (await unpack(archive, scratch, build));
	rmSync(archive, { recursive: true });
	if (fine) return { fine, words: `pulled, ${size(got.size)}` };
	const words = `REFUSED: what ${place} holds is not what the lock pins; nothing of it is used; whoever keeps the store should remove it`;
	return { fine, words };
}

/** Archives are large, and /tmp may be memory. */
async function inScratch<Result>(work: (scratch: string) => Promise<Result>): Promise<Result> {
	// tar says less of a zstd that is not there.
	for (const program of ["rclone", "zstd"]) await run(program, ["--version"]);
	const scratch = mkdtempSync(join(process.env["TMPDIR"] ?? "/var/tmp", "tracelab-store-"));
	try {
		return await inOrder((interrupted) =>
			work(scratch).catch((error: unknown) => {
				throw interrupted.aborted ? new LabError("interrupted") : asLabError(error);
			}),
		);
	} finally {
		rmSync(scratch, { recursive: true });
	}
}

/** By what was asked for, and by what that came to: a store may have several results of one build. */
function placeIn(store: string, { id, pin }: PinnedBuild): string {
	return `${store}${/[/:]$/.test(store) ? "" : "/"}${id}/${pin.result}.tar.zst`;
}

async function has(store: string, build: PinnedBuild): Promise<boolean> {
	const { code, stdout } = await rclone(["lsf", placeIn(store, build)], absent);
	return code === 0 && stdout.trim() !== "";
}

/** What is half there has another name: whoever pulls meanwhile never sees it. */
async function upload(archive: string, store: string, build: PinnedBuild): Promise<void> {
	const place = placeIn(store, build);
	const part = `${place}.${randomUUID()}.part`;
	try {
		await rclone(["copyto", ...progress, archive, part]);
		await rclone(["moveto", part, place]);
	} catch (error) {
		await run("rclone", ["deletefile", part]);
		throw error;
	}
}

/** How far it is, for who waits at a terminal. */
const progress = process.stderr.isTTY ? ["--stats", "5s", "--stats-one-line", "--stats-log-level", "NOTICE"] : [];

async function rclone(args: readonly string[], fine: readonly number[] = []): Promise<Ran> {
	const ran = await inOrder((cancelSignal) =>
		run("rclone", ["--retries", "1", ...args], "", { progress: args.includes("--stats"), cancelSignal }),
	);
	if (ran.code === 0 || fine.includes(ran.code)) return ran;
	const said = ran.stderr.trim().split("\n").slice(-4).join("\n");
	throw new LabError(
		`rclone ended with ${ran.code}: ${args.join(" ")}\n${said}`,
		"a store is a folder, or a remote that rclone knows (rclone listremotes; rclone config adds one)",
	);
}

/** What a result is a hash over, and the source's name beside it; times stay, since make goes by them. */
async function pack(folder: string, archive: string): Promise<void> {
	const { code, stderr } = await run("tar", [
		...["--create", "--file", archive, "--use-compress-program=zstd -T0", "--sparse", "--sort=name"],
		...["--owner=0", "--group=0", "--numeric-owner", "--exclude=.tracelab-build*", "--exclude=__pycache__"],
		...["--directory", folder, "."],
	]);
	if (code !== 0) throw new LabError(`${folder} cannot be packed: ${stderr.trim()}`);
}

/** The hash over what is in a folder now, as a build has it of itself. */
async function resultOf(folder: string, { prefix }: PinnedBuild): Promise<string> {
	const script = 'cd "$0" && source lib/build.sh && build_hash "$1"';
	const { code, stdout, stderr } = await run("bash", ["-c", script, `${project}/scripts`, folder], "", {
		env: { stack: "none", step: "push", generation: "", prefix },
	});
	if (code !== 0) throw new LabError(`${folder} cannot be read: ${stderr.trim()}`);
	return stdout.trim();
}

/** Returns whether the archive was what the lock pins; the machine then has it. */
async function unpack(archive: string, scratch: string, { id, prefix, pin }: PinnedBuild): Promise<boolean> {
	const record = join(scratch, "record", id);
	mkdirSync(record, { recursive: true });
	for (const [fact, text] of Object.entries(pinInput(pin).pin ?? {})) writeFileSync(join(record, fact), `${text}\n`);
	const inputs = { stack: "none", step: "pull", prefix, archive, record };
	const { code, stderr } = await run(...rootsOwn("env", ...scriptWords("build-unpack", inputs)));
	if (code === 0 || code === tampered) return code === 0;
	throw new LabError(`${id} cannot be put into the cache\n${stderr.trim()}`);
}
