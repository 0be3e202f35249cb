import { existsSync, readdirSync } from "node:fs";
import { didYouMean } from "../spec/did-you-mean.ts";
import { quote } from "../spec/quote.ts";
import { checkStack, stackOption } from "./card.ts";
import { UsageError } from "./errors.ts";
import { onHost } from "./host.ts";

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
