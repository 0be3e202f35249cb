import { existsSync, globSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join, parse } from "node:path";
import { LabError } from "../cli/errors.ts";
import { say } from "../cli/terminal.ts";
import { lockFile } from "../spec/lock.ts";
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
	interrupted = false;

	constructor() {
		// What runs hears of a Ctrl-C as well, and fails; the bench's lab goes all the same. A second one is for this program.
		process.once("SIGINT", () => {
			this.interrupted = true;
			say("bench: interrupted: its lab is being destroyed");
		});
		this.copy.write(`stacks/${this.stack}.yaml`, "extends: quickstart\ndomains: { vm: { processName: bench-vm } }\n");
	}

	async lab(...args: string[]): Promise<Ran> {
		if (this.interrupted) throw new LabError("interrupted");
		return succeeded(await this.copy.lab("--stack", this.stack, ...args));
	}

	async end(): Promise<void> {
		const { code, all } = await this.copy.lab("--stack", this.stack, "destroy", "--yes");
		if (code === 0) return this.copy.remove();
		throw new LabError(
			`the bench's lab is not destroyed:\n${all}`,
			`its project stays: cd ${this.copy.folder}, then ./lab -s ${this.stack} destroy`,
		);
	}
}

/** A lab that is up, or half up, holds the builds that are to be made, and would lose its caches for a while. */
export function refuseWhereLabsAreUp(): void {
	const there = globSync("/var/lib/tracelab/{labs/*.json,builds/*/*/*}").map((file) => parse(file).name);
	if (there.length > 0) {
		const names = [...new Set(there)].sort().join(", ");
		throw new LabError(`labs are up: ${names}`, "destroy them first, for example: ./lab destroy");
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

/** Does some work where a folder is not there, and brings it back. */
export async function without<T>(folder: string, work: () => Promise<T>): Promise<T> {
	const aside = `${folder}.bench-aside`;
	if (existsSync(aside))
		throw new LabError(`${aside} is there, of a bench that was killed`, `put it back: mv -T ${aside} ${folder}`);
	if (existsSync(folder)) renameSync(folder, aside);
	try {
		return await work();
	} finally {
		if (existsSync(aside)) {
			rmSync(folder, { recursive: true, force: true });
			renameSync(aside, folder);
		}
	}
}

/** Does some work with a folder that is removed behind it, as is the lock of the bench's stack: another part builds something else. */
export async function inScratch<T>({ copy, stack }: Bench, work: (folder: string) => Promise<T>): Promise<T> {
	// Archives of builds are large, and /tmp may be memory.
	const folder = mkdtempSync(join(process.env["TMPDIR"] ?? "/var/tmp", "tracelab-bench-"));
	try {
		return await work(folder);
	} finally {
		rmSync(folder, { recursive: true });
		rmSync(join(copy.folder, lockFile(stack)), { force: true });
	}
}

/** 1,234,567 */
export const count = (value: number): string => Math.round(value).toLocaleString("en-US");

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
