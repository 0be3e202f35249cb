import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { pinInput } from "../../spec/lock.ts";
import { checkStack, stackOption } from "../card.ts";
import { asLabError, LabError } from "../errors.ts";
import { onHost, project } from "../host.ts";
import { asRoot } from "../privilege.ts";
import { type Ran, run } from "../program.ts";
import { print, size } from "../terminal.ts";
import { type PinnedBuild, pinnedBuilds, pinnedFolder } from "./pinned-builds.ts";

/** What rclone ends with where a folder is not there, and where a file is not. */
const absent = [3, 4];

/** What scripts/build-unpack.sh ends with where an archive is not what is pinned. */
const tampered = 76;

/**
 * Copies the builds of a stack from this machine to a store, as the lock pins them; what the store has stays.
 *
 * @param store a place as rclone has it: a folder, or REMOTE:PATH of a remote that it knows (sftp, S3 and more)
 * @throws LabError where a build is not here as it is pinned, or the store cannot be written
 */
export async function push(stack: string, store: string, wanted: readonly string[]): Promise<void> {
	checkStack(stack);
	rememberRemotes();
	await inScratch(async (scratch) => {
		const builds = pinnedBuilds(stack, wanted).map((build) => ({ build, folder: pinnedFolder(build) }));
		const missing = builds.flatMap(({ build, folder }) => (folder === undefined ? [build.name] : []));
		if (missing.length > 0) {
			throw new LabError(
				`this machine does not have ${missing.join(", ")} as the lock pins it`,
				`./lab${stackOption(stack)} up makes it so, or says why not`,
			);
		}
		for (const { build, folder = "" } of builds) {
			if (await has(store, build)) {
				print(`${build.name}: the store has it`);
				continue;
			}
			const archive = join(scratch, "archive");
			await pack(onHost(folder), archive);
			await upload(archive, store, build);
			print(`${build.name}: pushed, ${size(statSync(archive).size)}`);
		}
	});
}

/**
 * Copies the builds of a stack that this machine lacks from a store into its cache, each once it was seen to be what the lock
 * pins. The next up takes them from there. Returns 1 where the store lacks one, or has another.
 *
 * @param store as push has it
 * @throws LabError where the store cannot be read
 */
export async function pull(stack: string, store: string, wanted: readonly string[]): Promise<number> {
	checkStack(stack);
	rememberRemotes();
	const there = await asRoot();
	if (there !== undefined) return there;
	return inScratch(async (scratch) => {
		const lacking: string[] = [];
		for (const build of pinnedBuilds(stack, wanted)) {
			const { had, words } = await pullOne(store, build, scratch);
			print(`${build.name}: ${words}`);
			if (!had) lacking.push(build.name);
		}
		if (lacking.length === 0) return 0;
		print(`./lab${stackOption(stack)} up builds ${lacking.join(", ")}`);
		return 1;
	});
}

/** What became of a build: does this machine have it now? */
async function pullOne(store: string, build: PinnedBuild, scratch: string): Promise<{ had: boolean; words: string }> {
	if (pinnedFolder(build) !== undefined) return { had: true, words: "is here" };
	const archive = join(scratch, "archive");
	if (!(await has(store, build))) return { had: false, words: `not in ${store}` };
	await rclone(["copyto", ...progress, placeIn(store, build), archive]);
	if (await unpack(archive, scratch, build)) return { had: true, words: `pulled, ${size(statSync(archive).size)}` };
	const place = placeIn(store, build);
	return { had: false, words: `REFUSED: what ${place} holds is not what the lock pins; nothing of it is used` };
}

/** A person's own remotes are there for root, too, who has another home. rclone takes `/notfound` for no file, and is silent. */
function rememberRemotes(): void {
	const file = join(process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "rclone/rclone.conf");
	process.env["RCLONE_CONFIG"] ??= existsSync(file) ? file : "/notfound";
}

async function inScratch<Result>(work: (scratch: string) => Promise<Result>): Promise<Result> {
	// tar says less of a zstd that is not there.
	for (const program of ["rclone", "zstd"]) await run(program, ["--version"]);
	const scratch = mkdtempSync(join(tmpdir(), "tracelab-store-"));
	try {
		return await work(scratch);
	} catch (error) {
		throw asLabError(error);
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
	const part = `${place}.${process.pid}.part`;
	await rclone(["copyto", ...progress, archive, part]);
	await rclone(["moveto", part, place]);
}

/** How far it is, every five seconds, where it takes so long. */
const progress = ["--stats", "5s", "--stats-one-line", "--stats-log-level", "NOTICE"];

async function rclone(args: readonly string[], fine: readonly number[] = []): Promise<Ran> {
	const ran = await run("rclone", ["--retries", "1", ...args], "", { progress: args.includes("--stats") });
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

/** Returns whether the archive was what the lock pins; the machine then has it. */
async function unpack(archive: string, scratch: string, { id, prefix, pin }: PinnedBuild): Promise<boolean> {
	const record = join(scratch, "record", id);
	mkdirSync(record, { recursive: true });
	for (const [fact, text] of Object.entries(pinInput(pin).pin ?? {})) writeFileSync(join(record, fact), `${text}\n`);
	const { code, stderr } = await run("bash", ["-c", 'cd "$0" && exec bash build-unpack.sh', `${project}/scripts`], "", {
		env: { stack: "none", step: "pull", generation: "", prefix, archive, record },
	});
	if (code === 0 || code === tampered) return code === 0;
	throw new LabError(`${id} cannot be put into the cache\n${stderr.trim()}`);
}
