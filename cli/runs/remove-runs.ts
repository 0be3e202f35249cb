import { readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { namePattern } from "../../spec/fields.ts";
import { quote } from "../../spec/quote.ts";
import { checkStack, labsHere, stackOption } from "../card.ts";
import { confirm } from "../confirm.ts";
import { diskUse } from "../disk-use.ts";
import { LabError, UsageError } from "../errors.ts";
import { isHeld } from "../hold.ts";
import { print, say, size, table } from "../terminal.ts";
import { goesOn } from "./run-file.ts";
import { runFolder, runNames, runsFolder } from "./run-folder.ts";

export interface RemoveOptions {
	/** All runs of the stack? */
	all?: boolean;
	/** Is it meant, without a question? */
	yes?: boolean;
}

/**
 * Removes runs of a stack, whatever recorded them: `trace`, `record` or `probe run`. Shows them first, and asks.
 *
 * @throws UsageError where none is named, or one or a stack that there is not; LabError for one that is being recorded. Then all stay
 */
export async function removeRuns(
	stack: string,
	wanted: readonly string[],
	{ all = false, yes = false }: RemoveOptions,
): Promise<void> {
	// Its file may be gone; but it is a part of a path, and `..` would be all that the labs have.
	if (!namePattern.test(stack)) checkStack(stack);
	const there = runNames(stack);
	if (there.length === 0 && all) {
		checkStack(stack);
		say(`lab: stack ${quote(stack)} has no runs`);
		return;
	}
	if (all === wanted.length > 0) {
		const runs = there.length === 0 ? "" : `; its runs: ${there.join(", ")}`;
		throw new UsageError("which runs are to go?", `name them, or else give --all${runs}`);
	}
	const runs = (all ? there : [...new Set(wanted)]).map((name) => ({ name, folder: runFolder(stack, name) }));
	for (const { name, folder } of runs) {
		if (await isHeld(folder))
			throw new LabError(
				`run ${quote(name)} is being recorded`,
				"wait until the command that records it has ended, or end that with Ctrl-C",
			);
	}
	const recorded = runs.find(({ folder }) => labsHere().includes(stack) && goesOn(folder));
	if (recorded !== undefined)
		throw new LabError(
			`run ${quote(recorded.name)} is being recorded`,
			`end it: ./lab${stackOption(stack)} trace stop ${recorded.name}`,
		);
	const bytes = await diskUse(runs.map(({ folder }) => folder));
	const sizes = runs.map(({ folder }) => bytes.get(folder) ?? 0);
	print(
		table(
			["RUN", "SIZE"],
			runs.map(({ name }, index) => [name, size(sizes[index] ?? 0)]),
		),
	);
	if (!yes) await confirm("trace rm", "remove these for good?", `./lab ${process.argv.slice(2).join(" ")} -y`);
	for (const { folder } of runs) rmSync(folder, { recursive: true });
	for (let folder = runsFolder(stack); folder !== dirname(dirname(runsFolder(stack))); folder = dirname(folder))
		if (readdirSync(folder).length === 0) rmdirSync(folder);
	print(`freed ${size(sizes.reduce((sum, one) => sum + one, 0))}`);
}
