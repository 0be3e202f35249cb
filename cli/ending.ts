// How a command is ended from outside: by Ctrl-C, or by a reader of its output that goes away.
import { systemCode } from "./errors.ts";

const statuses = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** What goes on that has to be ended in order. */
let ending: AbortController | undefined;

/**
 * Does work that has to be ended in order: the signal that it gets is aborted by the first Ctrl-C, SIGTERM or SIGHUP, or when nobody
 * reads this program's output any more. A second one ends this program at once, as the first does where no such work goes on.
 */
export async function inOrder<Result>(work: (interrupted: AbortSignal) => Promise<Result>): Promise<Result> {
	if (ending !== undefined) return work(ending.signal);
	ending = new AbortController();
	const listeners = Object.entries(statuses).map(([signal, status]) => [signal, () => interrupt(status)] as const);
	// They stay until the end: execa's own, while a program runs, end this one where they are alone, and one that is there for
	// one signal only is gone by the time that they look.
	for (const [signal, listener] of listeners) process.on(signal, listener);
	try {
		return await work(ending.signal);
	} finally {
		for (const [signal, listener] of listeners) process.off(signal, listener);
		ending = undefined;
	}
}

/** Asks what goes on to end in order; where it was asked before, or nothing has to, ends this program with that exit status. */
export function interrupt(status: number): void {
	if (ending === undefined || ending.signal.aborted) process.exit(status);
	ending.abort();
}

/**
 * Ends this program when one of its outputs fails. That nobody reads any more (`./lab logs x | head`) is no fault; another failure,
 * such as a disk that is full, is said and makes the exit status 1.
 */
export function watchOutput(stream: NodeJS.WriteStream): void {
	let failed = false;
	stream.on("error", (error) => {
		if (failed) return;
		failed = true;
		if (systemCode(error) === "EPIPE") return interrupt(0);
		process.stderr.write(`lab: the output cannot be written: ${error.message}\n`);
		process.on("exit", () => {
			process.exitCode ||= 1;
		});
		interrupt(1);
	});
}
