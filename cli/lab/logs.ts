import { createReadStream, readdirSync, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { didYouMean } from "../../spec/did-you-mean.ts";
import { quote } from "../../spec/quote.ts";
import { checkStack, stackOption } from "../card.ts";
import { LabError, UsageError } from "../errors.ts";
import { logFolder } from "../host.ts";
import { handOver } from "../program.ts";
import { duration, print, size, table } from "../terminal.ts";

/** Lists the logs of a stack's steps, the newest last. */
export function listLogs(stack: string): void {
	const now = Date.now();
	const rows = logNames(stack)
		.map((name) => ({ name, file: statSync(`${logFolder(stack)}/${name}.log`) }))
		.sort((a, b) => a.file.mtimeMs - b.file.mtimeMs || (a.name < b.name ? -1 : 1))
		.map(({ name, file }) => [
			name,
			size(file.size),
			`${duration(Math.max(0, Math.round((now - file.mtimeMs) / 1000)))} ago`,
		]);
	print(table(["STEP", "SIZE", "LAST WRITTEN"], rows));
}

/** Prints the log of a step; following, until Ctrl-C. */
export async function showLog(stack: string, step: string, follow: boolean): Promise<number> {
	const names = logNames(stack);
	if (!names.includes(step)) {
		throw new UsageError(
			`there is no log of a step ${quote(step)}${didYouMean(step, names)}`,
			`the logs there are: ${names.join(", ")}`,
		);
	}
	const file = `${logFolder(stack)}/${step}.log`;
	if (follow) return handOver("tail", ["-n", "+1", "-F", file]);
	await pipeline(createReadStream(file), process.stdout, { end: false });
	return 0;
}

function logNames(stack: string): string[] {
	const names = filesIn(logFolder(stack))
		.filter((file) => file.endsWith(".log"))
		.map((file) => file.slice(0, -".log".length))
		.sort();
	if (names.length > 0) return names;
	checkStack(stack);
	throw new LabError(`stack ${quote(stack)} has no logs yet`, `bring it up: ./lab${stackOption(stack)} up`);
}

function filesIn(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}
