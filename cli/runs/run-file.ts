import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ZodError } from "zod";
import { type Run, runSchema } from "../../spec/run.ts";
import { errorText, LabError } from "../errors.ts";
import { giveBack } from "../privilege.ts";
import { replaceFile } from "../replace-file.ts";
import { say } from "../terminal.ts";
import { runFolder, runNames, runsFolder } from "./run-folder.ts";

/** The run.json of a folder; nothing where there is none, such as beside a probe's output. */
export function readRun(folder: string): Run | undefined {
	const file = join(folder, "run.json");
	if (!existsSync(file)) return undefined;
	try {
		return runSchema.parse(JSON.parse(readFileSync(file, "utf8")));
	} catch (error) {
		if (!(error instanceof ZodError || error instanceof SyntaxError)) throw error;
		throw new LabError(
			`${file} is no record of a run of this version: ${firstIssue(error)}`,
			"record the run again, and move this one's folder away; babeltrace2 still reads its traces",
		);
	}
}

function firstIssue(error: ZodError | SyntaxError): string {
	if (error instanceof SyntaxError) return error.message;
	const [issue] = error.issues;
	return `${issue?.path.join(".") || "all of it"}: ${issue?.message}`;
}

/** Is it a run that `trace stop` ends? Where its run.json cannot be read, it is of another version, which is not at work here. */
export function goesOn(folder: string): boolean {
	try {
		const run = readRun(folder);
		return run !== undefined && run.ended === undefined;
	} catch (error) {
		if (error instanceof LabError) return false;
		throw error;
	}
}

/** A run is of whoever owns the project, as far as it was recorded by now. */
export function writeRun(folder: string, run: Run): void {
	replaceFile(join(folder, "run.json"), (part) => writeFileSync(part, `${JSON.stringify(run, null, "\t")}\n`));
	giveBack([folder]);
}

/** The traced runs of a stack, in the order in which they began; one that cannot be read is said and left out. */
export function tracedRuns(stack: string): Run[] {
	return runNames(stack)
		.flatMap((name) => {
			try {
				return readRun(`${runsFolder(stack)}/${name}`) ?? [];
			} catch (error) {
				if (!(error instanceof LabError)) throw error;
				say(errorText(error));
				return [];
			}
		})
		.sort((a, b) => (a.started < b.started ? -1 : 1));
}

/** A run by its name, with what its run.json says. @throws UsageError for one that there is not */
export function findRun(stack: string, name: string): { folder: string; run: Run } {
	const folder = runFolder(stack, name);
	const run = readRun(folder);
	if (run !== undefined) return { folder, run };
	throw new LabError(`${folder} is no traced run: it has no run.json`, "./lab trace ls lists those that are");
}
