import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { SetupError } from "./setup-error.ts";

export interface RunOptions {
	readonly cwd?: string;
	readonly env?: NodeJS.ProcessEnv;
	/** The file that gets the command and all it prints. */
	readonly log: string;
	/** What a person can do when it fails. */
	readonly advice: string;
}

/** Runs a program to its end and returns its standard output; a failure is a SetupError. */
export async function run(argv: readonly [string, ...string[]], options: RunOptions): Promise<string> {
	const [program, ...args] = argv;
	const log = createWriteStream(options.log, { flags: "a" });
	log.write(`$ ${argv.join(" ")}\n`);
	const child = spawn(program, args, { cwd: options.cwd, env: options.env, stdio: ["ignore", "pipe", "pipe"] });
	const output: Buffer[] = [];
	child.stdout.on("data", (data: Buffer) => output.push(data));
	child.stdout.pipe(log, { end: false });
	child.stderr.pipe(log, { end: false });
	try {
		const status = await new Promise<number | string>((resolve, reject) => {
			child.on("error", reject);
			child.on("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
		});
		if (status !== 0) throw new SetupError(`${named(argv)} failed (${status})`, options.advice);
	} catch (error) {
		if (error instanceof SetupError) throw error;
		throw new SetupError(`${program} could not be started: ${String(error)}`, options.advice);
	} finally {
		await new Promise<void>((resolve) => log.end(() => resolve()));
	}
	return Buffer.concat(output).toString();
}

/** The command as far as its first argument that is no option. */
function named([program, ...args]: readonly [string, ...string[]]): string {
	const first = args.findIndex((argument) => !argument.startsWith("-"));
	return [program, ...args.slice(0, first + 1)].join(" ");
}
