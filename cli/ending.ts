// How a command is ended from outside: by Ctrl-C, or by a reader of its output that goes away.
import { systemCode } from "./errors.ts";

const statuses = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** What goes on that has to be ended in order. */
let ending: AbortController | undefined;

/** Has a signal come for it? */
let signalled = false;

/**
 * Does work that has to be ended in order: the signal that it gets is aborted by the first Ctrl-C, SIGTERM or SIGHUP, or when its
 * output can't be written any more. A second Ctrl-C or SIGTERM ends this program at once, as the first does where no such work
 * goes on.
 */
export async function inOrder<Result>(work: (interrupted: AbortSignal) => Promise<Result>): Promise<Result> {
	if (ending !== undefined) return work(ending.signal);
	ending = new AbortController();
	signalled = false;
	const listeners = Object.entries(statuses).map(([signal, status]) => [signal, () => hear(signal, status)] as const);
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

function hear(signal: string, status: number): void {
	// When a terminal is closed, its shell and the kernel both say so.
	if (signalled && signal !== "SIGHUP") process.exit(status);
	signalled = true;
	ending?.abort();
}

/**
 * An output failed: has what goes on end in order, whether or not a signal came as well, since a Ctrl-C ends the readers of a
 * pipeline along with it; ends this program with that exit status where nothing goes on.
 */
function lost(status: number): void {
	if (ending === undefined) process.exit(status);
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
		if (systemCode(error) === "EPIPE") return lost(0);
		process.stderr.write(`lab: the output cannot be written: ${error.message}\n`);
		process.on("exit", () => {
			process.exitCode ||= 1;
		});
		lost(1);
	});
}
