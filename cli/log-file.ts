import { createReadStream, readdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { pipeline } from "node:stream/promises";

/**
 * The files of a log, the oldest first: what moved aside when it got long has a number behind its name, the higher the
 * older. lib/step.sh moves the logs of steps, virtlogd those of consoles. The log itself is always the last.
 */
export function logParts(log: string): string[] {
	const [folder, name] = [dirname(log), basename(log)];
	const numbers = filesIn(folder)
		.filter((file) => file.startsWith(`${name}.`))
		.map((file) => file.slice(name.length + 1))
		.filter((end) => /^\d+$/.test(end))
		.sort((a, b) => Number(b) - Number(a));
	return [...numbers.map((number) => `${log}.${number}`), log];
}

/** Prints all that there is of a log. */
export async function printLog(log: string): Promise<void> {
	for (const part of logParts(log)) await pipeline(createReadStream(part), process.stdout, { end: false });
}

function filesIn(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}
