import { constants } from "node:os";
import { execa } from "execa";
import { LabError, MissingProgramError, systemCode } from "./errors.ts";

/** What a program said and how it ended. */
export interface Ran {
	code: number;
	stdout: string;
	stderr: string;
}

/** What a program comes from, for those that `up` installs. */
const packages: Readonly<Record<string, string>> = {
	babeltrace2: "babeltrace2",
	debugfs: "e2fsprogs",
	gdb: "gdb",
	lttng: "lttng-tools",
	pgrep: "procps",
	"qemu-img": "qemu-utils",
	readelf: "binutils",
	ss: "iproute2",
	virsh: "libvirt-clients",
};

/** Messages that are parsed are not in the person's language; LANGUAGE goes before LC_ALL for all locales but C itself. */
const readable = { LC_ALL: "C.UTF-8", LANGUAGE: "" };

function missing(program: string, error: unknown): unknown {
	if (systemCode(error) !== "ENOENT") return error;
	const debian = packages[program];
	const todo = debian === undefined ? `install ${program}` : `./lab up installs it, or: apt install ${debian}`;
	return new MissingProgramError(`there is no ${program} on this machine`, todo);
}

/**
 * Runs a program to its end and keeps what it says; a failure is for the caller to judge. A detached one does not
 * hear of a Ctrl-C in the terminal, which is sent to the whole foreground group. With `progress`, what it says on its
 * standard error is shown as it comes, too. After `timeout` milliseconds it is ended, and its code is 124, as timeout(1)
 * has it.
 */
export async function run(
	program: string,
	args: readonly string[],
	input = "",
	options: {
		detached?: boolean;
		cwd?: string;
		progress?: boolean;
		env?: Readonly<Record<string, string>>;
		cancelSignal?: AbortSignal;
		timeout?: number;
	} = {},
): Promise<Ran> {
	const { progress = false, env = {}, ...given } = options;
	const result = await execa(program, args, {
		input,
		reject: false,
		env: { ...readable, ...env },
		stderr: progress ? ["pipe", "inherit"] : "pipe",
		...given,
	});
	const { exitCode, signal, stdout, stderr } = result;
	if (result.timedOut) return { code: 124, stdout, stderr };
	// A Ctrl-C that comes before it has a group of its own ends it before it begins.
	if (signal === "SIGINT" && options.detached) return run(program, args, input, options);
	if (signal !== undefined) return { code: 128 + (signalNumbers[signal] ?? 0), stdout, stderr };
	if (exitCode === undefined) throw missing(program, result.cause ?? result);
	return { code: exitCode, stdout, stderr };
}

/** A program that the kernel ends where this process is killed: PR_SET_PDEATHSIG of prctl(2). */
export const notOutliving = (program: string, args: readonly string[]): [program: string, args: string[]] => [
	"setpriv",
	["--pdeathsig", "KILL", "--", program, ...args],
];

/**
 * What a program says on its standard output, part by part: more than fits in memory. Whoever stops reading ends it, and a Ctrl-C
 * does not.
 *
 * @throws LabError where it fails, with the last that it said
 */
export async function* outputOf(program: string, args: readonly string[]): AsyncGenerator<string> {
	const running = execa(program, args, {
		buffer: { stdout: false, stderr: true },
		stdin: "ignore",
		reject: false,
		detached: true,
		env: readable,
	});
	try {
		running.stdout.setEncoding("utf8");
		for await (const part of running.stdout) yield part as string;
		const result = await running;
		const { exitCode, signal, stderr } = result;
		if (exitCode === 0) return;
		if (exitCode === undefined && signal === undefined) throw missing(program, result.cause ?? result);
		// What babeltrace2 says first of an error, and what that comes from.
		const said = stderr
			.slice(Math.max(0, stderr.indexOf("\nERROR:")))
			.trim()
			.split("\n")
			.slice(0, 8)
			.join("\n");
		throw new LabError(`${program} ended with ${exitCode ?? signal}: ${args.join(" ")}\n${said}`);
	} finally {
		running.kill();
	}
}

/**
 * Gives a program this terminal until it ends; returns its exit status as a shell has it. Ctrl-C is the program's:
 * it reaches the whole foreground group, and only the program knows what it means.
 */
export async function handOver(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
	const deaf = () => {};
	let running: { kill(signal: NodeJS.Signals): boolean } | undefined;
	const pass = (signal: NodeJS.Signals) => running?.kill(signal);
	process.on("SIGINT", deaf);
	// A terminal that is closed sends two SIGHUPs. One that comes as soon as the program is there is the program's, too.
	process.on("SIGTERM", pass);
	process.on("SIGHUP", pass);
	try {
		const going = execa(program, args, { stdio: "inherit", reject: false, env });
		running = going;
		const result = await going;
		if (result.signal !== undefined) return 128 + (signalNumbers[result.signal] ?? 0);
		if (result.exitCode === undefined) throw missing(program, result.cause ?? result);
		return result.exitCode;
	} finally {
		process.off("SIGINT", deaf);
		process.off("SIGTERM", pass);
		process.off("SIGHUP", pass);
	}
}

const signalNumbers: Readonly<Record<string, number>> = constants.signals;
