import { existsSync, readdirSync } from "node:fs";
import { LabError } from "../cli/errors.ts";
import { say } from "../cli/terminal.ts";
import { ProjectCopy, type Ran } from "../test/host/project-copy.ts";

/** One line of the result. */
export interface Figure {
	name: string;
	/** With its unit, and what it is compared with. */
	measured: string;
	/** Where there is one, and whether it was met. */
	goal?: string;
	met?: boolean;
}

/** The stack that is measured, in a copy of the project. */
export class Bench {
	readonly copy = new ProjectCopy();
	readonly stack = "bench";
	#interrupted = false;

	constructor() {
		// What runs hears of a Ctrl-C as well, and fails; the bench's lab goes all the same. A second one is for this program.
		process.once("SIGINT", () => {
			this.#interrupted = true;
			say("bench: interrupted: its lab is being destroyed");
		});
		this.copy.write(`stacks/${this.stack}.yaml`, "extends: quickstart\ndomains: { vm: { processName: bench-vm } }\n");
	}

	/** A lab that is up holds the builds that are to be made, and would lose its caches for a while. */
	refuseWhereLabsAreUp(): void {
		const folder = "/var/lib/tracelab/labs";
		const there = existsSync(folder) ? readdirSync(folder) : [];
		if (there.length > 0) {
			const names = there.map((file) => file.replace(/\.json$/, "")).join(", ");
			throw new LabError(`labs are up: ${names}`, "destroy them first, for example: ./lab destroy");
		}
	}

	async lab(...args: string[]): Promise<Ran> {
		if (this.#interrupted) throw new LabError("interrupted");
		return succeeded(await this.copy.lab("--stack", this.stack, ...args));
	}

	async end(): Promise<void> {
		await this.copy.lab("--stack", this.stack, "destroy", "--yes");
		this.copy.remove();
	}
}

/** @throws LabError with all that the command said, where it failed */
export function succeeded(ran: Ran): Ran {
	if (ran.code !== 0) throw new LabError(`a command ended with ${ran.code}:\n${ran.all}`);
	return ran;
}

/** Seconds that the work took. */
export async function seconds(what: string, work: () => Promise<unknown>): Promise<number> {
	const begun = performance.now();
	await work();
	const took = (performance.now() - begun) / 1000;
	say(`bench: ${what}: ${took.toFixed(1)} s`);
	return took;
}

export function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
	const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
	return (upper + lower) / 2;
}

/** The figure of a median that has a number of seconds for its goal. */
export function withinSeconds(name: string, times: readonly number[], goal: number): Figure {
	const middle = median(times);
	return { name, measured: `${middle.toFixed(1)} s`, goal: `${goal} s`, met: middle <= goal };
}
