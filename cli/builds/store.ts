import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
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
 * @throws LabError where the store cannot be read, or has nothing of it
 */
export async function pull(stack: string, store: string, wanted: readonly string[]): Promise<number> {
	checkStack(stack);
	// Root knows no remotes of its own.
	process.env["RCLONE_CONFIG"] ??= join(
		process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"),
		"rclone/rclone.conf",
	);
	const there = await asRoot();
	if (there !== undefined) return there;
	return inScratch(async (scratch) => {
		let failed = 0;
		const absences: string[] = [];
		for (const build of pinnedBuilds(stack, wanted)) {
			if (pinnedFolder(build) !== undefined) {
				print(`${build.name}: is here`);
				continue;
			}
			const archive = join(scratch, "archive");
			const got = await download(archive, store, build);
			if (!got) absences.push(build.name);
			else if (await unpack(archive, scratch, build)) {
				print(`${build.name}: pulled, ${size(statSync(archive).size)}`);
				continue;
			} else {
				print(
					`${build.name}: REFUSED: what ${placeIn(store, build)} holds is not what the lock pins; nothing of it is used`,
				);
			}
			failed++;
		}
		if (absences.length > 0) print(`${absences.join(", ")}: not in ${store}`);
		if (failed > 0) print(`./lab${stackOption(stack)} up builds what was not pulled`);
		return failed === 0 ? 0 : 1;
	});
}

async function inScratch<Result>(work: (scratch: string) => Promise<Result>): Promise<Result> {
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
	await rclone(["copyto", archive, part]);
	await rclone(["moveto", part, place]);
}

async function download(archive: string, store: string, build: PinnedBuild): Promise<boolean> {
	rmSync(archive, { force: true });
	if (!(await has(store, build))) return false;
	await rclone(["copyto", placeIn(store, build), archive]);
	return true;
}

async function rclone(args: readonly string[], fine: readonly number[] = []): Promise<Ran> {
	const ran = await run("rclone", ["--retries", "1", ...args]);
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
