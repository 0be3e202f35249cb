import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { treeSha256 } from "../../spec/content-hash.ts";
import type { Run } from "../../spec/run.ts";
import { LabError } from "../errors.ts";
import { project } from "../host.ts";
import { run } from "../program.ts";

/** What records a run: known then, and not when somebody reads it. */
export async function recorder(folder = project): Promise<Pick<Run, "tracelab" | "commit" | "cli" | "hostKernel">> {
	const { version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8")) as { version: string };
	const commit = await commitOf(folder);
	const cli = treeSha256(`${folder}/cli`);
	return { tracelab: version, ...(commit !== undefined && { commit }), cli, hostKernel: release() };
}

/** Twelve digits of a clone's commit, and whether its files are others; nothing for a folder that is none. */
async function commitOf(folder: string): Promise<string | undefined> {
	// A clone around it is another's.
	if (!existsSync(`${folder}/.git`)) return undefined;
	// Root asks of a person's clone: git refuses that by itself, and is to leave no file of root's there.
	const git = ["--no-optional-locks", "-c", `safe.directory=${folder}`, "-C", folder];
	const status = ["status", "--porcelain=v2", "--branch", "--untracked-files=no"];
	try {
		const { stdout } = await run("git", [...git, ...status]);
		const commit = /^# branch\.oid ([0-9a-f]{12})/m.exec(stdout)?.[1];
		const edited = stdout.split("\n").some((line) => line !== "" && !line.startsWith("#"));
		return commit === undefined || !edited ? commit : `${commit}, edited`;
	} catch (error) {
		// No git on this machine.
		if (!(error instanceof LabError)) throw error;
		return undefined;
	}
}
