import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import type { ExecutionContext } from "ava";
import { execa } from "execa";
import { project } from "../../cli/host.ts";
import { buildOf } from "../../spec/build-prefix.ts";
import { type Lock, readLock } from "../../spec/lock.ts";
import { type LabRun, ScratchLab } from "./scratch-lab.ts";

export const sha = (digit: string) => digit.repeat(64);

/** A lab that is up, of builds that are put there, and a project of its own for its lock. */
export class LockedLab {
	readonly host: ScratchLab;
	readonly project = mkdtempSync(`${tmpdir()}/tracelab-project-`);

	static async for(t: ExecutionContext): Promise<LockedLab> {
		const lab = new LockedLab(await ScratchLab.for(t));
		t.teardown(() => rmSync(lab.project, { recursive: true }));
		return lab;
	}

	private constructor(host: ScratchLab) {
		this.host = host;
		for (const part of ["cli", "spec", "scripts", "stacks", "guest", "kconfig", "examples", "profiles", "package.json"])
			cpSync(`${project}/${part}`, `${this.project}/${part}`, {
				recursive: true,
				filter: (path) => !path.endsWith(".lock.yaml"),
			});
		symlinkSync(`${project}/node_modules`, `${this.project}/node_modules`);
		host.up();
	}

	/** Notes the facts of a build that is there. */
	notes(prefix: string, facts: Readonly<Record<string, string>>): void {
		for (const [fact, value] of Object.entries({ ...facts, build: buildOf(prefix) }))
			this.host.write(`${prefix}/.tracelab-build-record/${fact}`, `${value}\n`);
	}

	/** The step that made a build, with a verb of the test's own. */
	step(name: string, prefix: string, verb: string): void {
		const text = `# from ${project}\nprefix='${prefix}'\nrebuild() { :; }\n${verb}\n"$@"\n`;
		this.host.write(`var/lib/tracelab/undo/quickstart/${name}-build`, text);
	}

	get lock(): Lock | undefined {
		return readLock("quickstart", undefined, this.project);
	}

	async lab(...args: string[]): Promise<LabRun> {
		const options = { env: this.host.env, extendEnv: false, reject: false, input: "" } as const;
		const { exitCode, stdout, stderr } = await execa(
			process.execPath,
			[`${this.project}/cli/main.ts`, ...args],
			options,
		);
		return { code: exitCode, stdout, stderr };
	}
}
