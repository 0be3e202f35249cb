import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { PausedError } from "../libvirt.ts";
import { type GuestAgent, GuestRefusal, type GuestStatus } from "./agent.ts";

export interface GuestProcessOptions {
	/** What it reads, as a whole. */
	input?: Buffer;
	/** Seconds after which it is ended; 0 is never. */
	timeout?: number;
	/** Its output, as it comes. */
	stdout: (bytes: Buffer) => void;
	stderr: (bytes: Buffer) => void;
	/** Ends the command in the guest when it fires. */
	signal?: AbortSignal;
}

/** How a command ended. */
export interface GuestProcessEnd {
	/** Exit status as a shell has it; 124, as timeout(1) has it, where its time was up. */
	code: number;
	/** Was its time up? A command can end with 124 by itself. */
	timedOut: boolean;
}

/** Milliseconds between the kind signal and the sure one. */
const mercy = 5000;

/** Milliseconds after which the output of a command that still runs is shown as it comes. */
const patience = 1000;

// An answer of the agent over 10 MiB ends libvirt's connection to it, so output is not the agent's to keep: it goes
// to two files, and only when the command is done, and they are small, the agent hands them over in its answer, after
// a dot. The subshell's `exec` runs the program of that name, even where the shell has a builtin. dash puts /dev/null on
// the standard input of what runs in the background, even before `<&0`, so the real one goes by another number. The
// shell's own words, such as "Killed", are none of the command's. The trap is set before the command
// starts, so that none outlives its wrapper: a first TERM ends the command kindly, a second one surely.
const wrapper = `f=$1; shift
(umask 077; : >$f.out; : >$f.err) || exit
exec 3<&0 4>&2 2>/dev/null
signal=-TERM; trap 'if [ "$!" ]; then kill $signal $!; signal=-KILL; fi' TERM
(exec "$@" 3<&- 4>&-) <&3 >$f.out 2>$f.err &
wait $!; code=$?
while kill -0 $! 2>/dev/null; do wait $!; code=$?; done
if [ "$(cat $f.out $f.err | wc -c)" -le 1000000 ]; then printf .; cat $f.out; cat $f.err >&4; rm -f $f.out $f.err; fi
exit $code`;

/** Runs a command in a guest, its words being its argv. */
export async function runInGuest(
	agent: GuestAgent,
	argv: readonly string[],
	options: GuestProcessOptions,
): Promise<GuestProcessEnd> {
	const { timeout = 0, signal } = options;
	const file = `/run/tracelab-${randomUUID().slice(0, 8)}`;
	const pid = await agent.start(["/bin/sh", "-c", wrapper, "sh", file, ...argv], options.input);
	const begun = Date.now();
	const outputs = [
		{ path: `${file}.out`, show: options.stdout, handle: 0, shown: 0 },
		{ path: `${file}.err`, show: options.stderr, handle: 0, shown: 0 },
	];
	const showMore = async () => {
		for (const output of outputs) {
			if (output.handle === 0) output.handle = await agent.open(output.path, "r");
			for (
				let bytes = await agent.readPart(output.handle);
				bytes.length > 0;
				bytes = await agent.readPart(output.handle)
			) {
				output.shown += bytes.length;
				output.show(bytes);
			}
		}
	};
	let ended: "not yet" | "its time is up" | "by the person" = "not yet";
	let lastKill = 0;
	let status: GuestStatus | undefined;
	const look = async (): Promise<GuestProcessEnd | undefined> => {
		// The agent says only once that a command has ended.
		if (status?.exited !== true) status = await agent.status(pid);
		if (status.exited && status.stdout.length > 0) {
			const kept = [status.stdout.subarray(1), status.stderr];
			for (const [index, output] of outputs.entries()) {
				const bytes = kept[index] ?? Buffer.alloc(0);
				output.show(bytes.subarray(output.shown));
				output.shown = bytes.length;
			}
		} else if (status.exited || Date.now() - begun > patience) {
			await showMore().catch(unlessRefused);
		}
		if (status.exited) {
			if (status.stdout.length === 0) {
				// What kept the wrapper itself from its work, such as a full /run.
				if (status.stderr.length > 0) options.stderr(status.stderr);
				await agent.shell('rm -f "$1.out" "$1.err"', file);
			}
			for (const output of outputs) {
				if (output.handle !== 0) await agent.close(output.handle);
				output.handle = 0;
			}
			return ended === "its time is up" ? { code: 124, timedOut: true } : { code: status.code, timedOut: false };
		}
		const now = Date.now();
		if (ended === "not yet" && signal?.aborted) ended = "by the person";
		if (ended === "not yet" && timeout !== 0 && now - begun > timeout * 1000) ended = "its time is up";
		if (ended !== "not yet" && now - lastKill > mercy) {
			lastKill = now;
			await agent.shell(`kill ${pid}`).catch(unlessRefused);
		}
		return undefined;
	};
	for (let wait = 10; ; wait = Math.min(wait * 2, 400)) {
		// Whoever stops the guest in a debugger wants its commands to go on when the guest does.
		const end = await look().catch(unlessPaused);
		if (end !== undefined) return end;
		await pause(wait);
	}
}

function unlessPaused(error: unknown): undefined {
	if (!(error instanceof PausedError)) throw error;
}

/** A command that has just ended took its files with it: the next status tells. */
function unlessRefused(error: unknown): void {
	if (!(error instanceof GuestRefusal)) throw error;
}
