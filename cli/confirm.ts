import { createInterface } from "node:readline/promises";
import { LabError, UsageError } from "./errors.ts";

/**
 * Asks before something that cannot be undone; `command` is the one that does not ask.
 *
 * @throws UsageError where nobody can answer, LabError where the answer is no
 */
export async function confirm(what: string, question: string, command: string): Promise<void> {
	if (!process.stdin.isTTY) {
		throw new UsageError(`${what} asks first, and nobody can answer here`, `say it is meant: ${command}`);
	}
	const terminal = createInterface({ input: process.stdin, output: process.stderr });
	const answer = await terminal.question(`${question} [y/N] `);
	terminal.close();
	if (!/^y(es)?$/i.test(answer.trim())) throw new LabError("nothing was removed");
}
