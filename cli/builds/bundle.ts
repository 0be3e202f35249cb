import { mkdtempSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockFile } from "../../spec/lock.ts";
import { completed } from "../../spec/lock-changes.ts";
import { checkStack, readCard, stackOption } from "../card.ts";
import { asLabError, LabError } from "../errors.ts";
import { onHost, project } from "../host.ts";
import { asRoot, giveBack } from "../privilege.ts";
import { run } from "../program.ts";
import { print, size } from "../terminal.ts";
import { type BegunBuild, begunBuilds } from "./begun-builds.ts";
import { builtPins } from "./build-record.ts";
import { manifestFile, manifestOf } from "./bundle-manifest.ts";
import { cacheFolder } from "./caches.ts";
import { leftOpen, pinnedBuilds } from "./pinned-builds.ts";
import { stackFiles } from "./stack-files.ts";

/**
 * Writes a stack, its lock, and all that its builds are made from into one tar archive. It is not compressed, since what is large
 * in it is, and the same content gives the same bytes.
 *
 * @throws LabError where the lab is not up, or not as its lock says, and where something cannot be had, or be in a bundle
 */
export async function bundle(stack: string, file: string): Promise<number> {
	checkStack(stack);
	const there = await asRoot();
	if (there !== undefined) return there;
	const stage = mkdtempSync(join(tmpdir(), "tracelab-bundle-"));
	try {
		symlinkSync(project, join(stage, "project"));
		symlinkSync(onHost(cacheFolder), join(stage, "cache"));
		const builds = lockedBuilds(stack);
		const own = stackFiles(stack, join(stage, "project"));
		const kept = new Set<string>();
		for (const build of builds) for (const source of await sources(build)) kept.add(source);
		const names = [...own.map((name) => `project/${name}`), ...[...kept].sort().map((name) => `cache/${name}`)];
		const manifest = JSON.stringify(await manifestOf(stack, stage, names), undefined, "\t");
		writeFileSync(join(stage, manifestFile), `${manifest}\n`);
		await archive(stage, [manifestFile, ...names], file);
		print(
			`${file}: ${size(statSync(file).size)}, the lock and the sources of ${builds.length} builds of stack ${stack}`,
		);
		return 0;
	} catch (error) {
		throw asLabError(error);
	} finally {
		rmSync(stage, { recursive: true });
		giveBack();
	}
}

/** The builds of a lab that is as its lock says, and whose lock leaves nothing open. */
function lockedBuilds(stack: string): BegunBuild[] {
	readCard(stack);
	const { builds: all, open } = pinnedBuilds(stack);
	if (open.length > 0) throw leftOpen(stack, open);
	const pinned = new Map(all.map((build) => [build.name, build]));
	const lock = Object.fromEntries([...pinned].map(([name, { pin }]) => [name, pin]));
	const builds = begunBuilds(stack, []).filter(({ name, prefix }) => pinned.get(name)?.prefix === prefix);
	const { differences, added } = completed(lock, builtPins(stack, builds));
	if (builds.length < pinned.size || differences.length + added.length > 0) {
		const lab = `./lab${stackOption(stack)}`;
		throw new LabError(
			`the lab is not as ${lockFile(stack)} says`,
			`${lab} up makes it so, or says why not; ${lab} lock shows what differs`,
		);
	}
	return builds;
}

/** The files that a build's sources are kept in, below the cache's folder; what is not there any more is fetched again. */
async function sources({ name, step }: BegunBuild): Promise<string[]> {
	const { code, stdout } = await run("bash", [step.file, "sources"], "", { progress: true });
	if (code !== 0) throw new LabError(`what ${name} is made from cannot be had`, "what its step said is above");
	const { files } = JSON.parse(stdout) as { files: string };
	return files.split("\n").filter((path) => path !== "");
}

/** Members in the order of their names, of nobody, of no time: nothing of this machine is in it. */
async function archive(stage: string, names: readonly string[], file: string): Promise<void> {
	const part = `${file}.part`;
	const anonymous = ["--format=gnu", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--hard-dereference"];
	const given = [...anonymous, "--mode=u+rw,go-w,a+rX", "--no-recursion", "--null", "--verbatim-files-from"];
	const from = ["--directory", stage, "--files-from=-"];
	try {
		const { code, stderr } = await run(
			"tar",
			["--create", "--force-local", "--file", part, ...given, ...from],
			names.join("\0"),
		);
		if (code !== 0) throw new LabError(`${file} cannot be written: ${stderr.trim()}`);
		renameSync(part, file);
	} finally {
		rmSync(part, { force: true });
	}
}
