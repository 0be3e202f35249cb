import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { didYouMean } from "../../spec/did-you-mean.ts";
import { quote } from "../../spec/quote.ts";
import { checkStack, stackOption } from "../card.ts";
import { systemCode, UsageError } from "../errors.ts";
import { holdUntilEnd } from "../hold.ts";
import { onHost } from "../host.ts";

/** Where the runs of a stack are kept: traced ones, recordings, and what probes printed. */
export const runsFolder = (stack: string): string => onHost(`/var/lib/tracelab/runs/${stack}`);

/** The names of a stack's runs. */
export function runNames(stack: string): string[] {
	const folder = runsFolder(stack);
	return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/** @throws UsageError for a run that there is not */
export function runFolder(stack: string, run: string): string {
	const there = runNames(stack);
	if (there.includes(run)) return `${runsFolder(stack)}/${run}`;
	checkStack(stack);
	throw new UsageError(
		`stack ${quote(stack)} has no run ${quote(run)}${didYouMean(run, there)}`,
		there.length === 0
			? `record one: ./lab${stackOption(stack)} trace run PROFILE -- COMMAND`
			: `its runs: ${there.join(", ")}`,
	);
}

/**
 * Makes the folder of a new run, and holds it until this process ends. Of those that begin at once, each gets one of its own.
 *
 * @param asked its name; by default WHAT and the time
 * @throws UsageError for a name that a run cannot have, or that one has
 */
export function makeRunFolder(stack: string, what: string, asked?: string): { run: string; folder: string } {
	// It is a part of paths and of a session's name.
	if (asked !== undefined && !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(asked)) {
		throw new UsageError(`${quote(asked)} is no name for a run`, "take at most 64 of A-Z, a-z, 0-9, _, . and -");
	}
	const usual = `${what}-${stamp(new Date())}`;
	mkdirSync(runsFolder(stack), { recursive: true });
	for (let number = 1; ; number++) {
		const run = asked ?? (number === 1 ? usual : `${usual}-${number}`);
		const folder = `${runsFolder(stack)}/${run}`;
		try {
			mkdirSync(folder);
			holdUntilEnd(folder);
			return { run, folder };
		} catch (error) {
			if (systemCode(error) !== "EEXIST") throw error;
		}
		if (asked !== undefined)
			throw new UsageError(
				`stack ${quote(stack)} has a run ${quote(run)} already`,
				`give another --name, or remove that one: ./lab${stackOption(stack)} trace rm ${run}`,
			);
	}
}

/** 20261125T124500Z */
const stamp = (time: Date): string => time.toISOString().replace(/[-:]|\.\d+/g, "");
