import { globSync, readFileSync } from "node:fs";
import { project } from "../host.ts";

interface Process {
	pid: number;
	parent: number;
	/** What it is called by itself, cut at 15 characters. */
	name: string;
	/** The program, as it was started. */
	program: string;
}

/**
 * Ends the plugins of this project whose engine was killed: they look for it every five minutes only, and listen on
 * 127.0.0.1 meanwhile. A plugin's own plugin goes with it; a step's script goes on, and whoever comes next waits for it.
 */
export function endOrphans(): void {
	const all = new Map(processes().map((process) => [process.pid, process]));
	const isPlugin = ({ program }: Process) => program.includes("/.pulumi/");
	const orphan = ({ parent, program }: Process): boolean => {
		const above = all.get(parent);
		if (above !== undefined && isPlugin(above)) return orphan(above);
		return above?.name !== "pulumi" && program.startsWith(`${project}/.pulumi/`);
	};
	for (const found of [...all.values()].filter((one) => isPlugin(one) && orphan(one))) end(found.pid);
}

function processes(): Process[] {
	return globSync("/proc/[0-9]*").flatMap((folder) => {
		try {
			const [, name = "", parent] = /\((.*)\) \S (\d+) /s.exec(readFileSync(`${folder}/stat`, "utf8")) ?? [];
			const [program = ""] = readFileSync(`${folder}/cmdline`, "utf8").split("\0");
			return [{ pid: Number(folder.slice("/proc/".length)), parent: Number(parent), name, program }];
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
