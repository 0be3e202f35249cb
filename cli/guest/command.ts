import { buffer } from "node:stream/consumers";
import { findDomain } from "../card.ts";
import { inOrder } from "../ending.ts";
import { mustRun } from "../libvirt.ts";
import { say } from "../terminal.ts";
import { GuestAgent } from "./agent.ts";
import { runInGuest } from "./process.ts";

export interface GuestCommandOptions {
	/** Seconds after which the command is ended; 0 is never. */
	timeout: number;
	/** Does it get this command's standard input? */
	stdin?: boolean;
}

/** Runs a command in a guest; its output becomes ours, and its exit status is returned. */
export async function guestCommand(
	stack: string,
	name: string,
	argv: readonly string[],
	{ timeout, stdin = false }: GuestCommandOptions,
): Promise<number> {
	const domain = findDomain(stack, name);
	await mustRun(domain, "not paused");
	const input = stdin ? await buffer(process.stdin) : Buffer.alloc(0);
	const { code, timedOut } = await inOrder((signal) =>
		runInGuest(new GuestAgent(domain), argv, {
			input,
			timeout,
			signal,
			stdout: (bytes) => process.stdout.write(bytes),
			stderr: (bytes) => process.stderr.write(bytes),
		}),
	);
	if (timedOut) say(`lab: ended after ${timeout} s: ${argv.join(" ")}`);
	return code;
}
