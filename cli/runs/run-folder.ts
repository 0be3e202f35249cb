import { existsSync, readdirSync } from "node:fs";
import { didYouMean } from "../../spec/did-you-mean.ts";
import { quote } from "../../spec/quote.ts";
import { checkStack, stackOption } from "../card.ts";
import { UsageError } from "../errors.ts";
import { onHost } from "../host.ts";

/** Where the traced runs of a stack are kept. */
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

/** What a run is asked for by name is a part of paths and of a session's name. */
export function runName(stack: string, name: string): string {
	if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(name)) {
		throw new UsageError(`${quote(name)} is no name for a run`, "take at most 64 of A-Z, a-z, 0-9, _, . and -");
	}
	if (!runNames(stack).includes(name)) return name;
	throw new UsageError(
		`stack ${quote(stack)} has a run ${quote(name)} already`,
		`give another --name, or remove ${runsFolder(stack)}/${name}`,
	);
}

/** 20261125T124500Z */
export const stamp = (time: Date): string => time.toISOString().replace(/[-:]|\.\d+/g, "");
