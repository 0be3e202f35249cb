import { readdirSync, statSync } from "node:fs";
import { didYouMean } from "../../spec/did-you-mean.ts";
import { quote } from "../../spec/quote.ts";
import { checkStack, stackOption } from "../card.ts";
import { LabError, UsageError } from "../errors.ts";
import { logFolder } from "../host.ts";
import { logParts, printLog } from "../log-file.ts";
import { handOver } from "../program.ts";
import { ago, print, size, table } from "../terminal.ts";

/** Lists the logs of a stack's steps, the newest last. */
export function listLogs(stack: string): void {
	const now = Date.now();
	const rows = logNames(stack)
		.map((name) => ({ name, parts: logParts(`${logFolder(stack)}/${name}.log`).map((part) => statSync(part)) }))
		.map(({ name, parts }) => ({
			name,
			bytes: parts.reduce((sum, part) => sum + part.size, 0),
			written: parts.at(-1)?.mtimeMs ?? 0,
		}))
		.sort((a, b) => a.written - b.written || (a.name < b.name ? -1 : 1))
		.map(({ name, bytes, written }) => [name, size(bytes), ago((now - written) / 1000)]);
	print(table(["STEP", "SIZE", "LAST WRITTEN"], rows));
}

/** Prints the log of a step; following, the last part of it, until Ctrl-C. */
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
	await printLog(file);
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
