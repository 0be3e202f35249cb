import { globSync, readFileSync } from "node:fs";
import { project } from "../host.ts";

interface Process {
	pid: number;
	parent: number;
	/** What it is called by itself, cut at 15 characters. */
	name: string;
	/** The program, as it was started, and its arguments. */
	args: string[];
}

/**
 * Ends the plugins of this project whose engine was killed: they look for it every five minutes only, and listen on
 * 127.0.0.1 meanwhile. A plugin's own plugin goes with it, and so does the stack's program, which its language host runs and
 * which outlives that; a step's script goes on, and whoever comes next waits for it.
 */
export function endOrphans(): void {
	const all = new Map(processes().map((process) => [process.pid, process]));
	const isPart = (one: Process) => isPlugin(one) || isProgram(one);
	const orphan = (one: Process): boolean => {
		const above = all.get(one.parent);
		if (above !== undefined && isPart(above)) return orphan(above);
		return above?.name !== "pulumi" && isOurs(one);
	};
	for (const found of [...all.values()].filter((one) => isPart(one) && orphan(one))) end(found.pid);
}

const isPlugin = ({ args: [program = ""] }: Process) => program.includes("/.pulumi/");

/** Is it a stack's program, as a language host starts it: node …/cmd/run/index.js … --root-directory PROJECT …? */
const isProgram = ({ args }: Process) => args.some((one) => one.endsWith("/@pulumi/pulumi/cmd/run/index.js"));

function isOurs(one: Process): boolean {
	if (isProgram(one)) return one.args[one.args.indexOf("--root-directory") + 1] === project;
	return one.args[0]?.startsWith(`${project}/.pulumi/`) ?? false;
}

function processes(): Process[] {
	return globSync("/proc/[0-9]*").flatMap((folder) => {
		try {
			const [, name = "", parent] = /\((.*)\) \S (\d+) /s.exec(readFileSync(`${folder}/stat`, "utf8")) ?? [];
			const args = readFileSync(`${folder}/cmdline`, "utf8").split("\0");
			return [{ pid: Number(folder.slice("/proc/".length)), parent: Number(parent), name, args }];
		} catch {
			// It has ended meanwhile.
			return [];
		}
	});
}

function end(pid: number): void {
	try {
		process.kill(pid);
	} catch {
		// It has ended by itself.
	}
}
