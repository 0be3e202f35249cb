import { chownSync, lstatSync, readdirSync, statSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { resolve } from "node:path";
import { LabError, MissingProgramError } from "./errors.ts";
import { project } from "./host.ts";
import { handOver } from "./program.ts";

/** What sudo must let through: sudo itself keeps nearly nothing. */
const kept = [
	/^PULUMI_/,
	/^TRACELAB_/,
	/^(TERM|COLORTERM|NO_COLOR|CI|XDG_CACHE_HOME)$/,
	/^(SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|GIT_SSL_CAINFO|PIP_CERT)$/,
	/^(https?|no|all)_proxy$/i,
	/^(SSH_AUTH_SOCK|GIT_SSH_COMMAND)$/,
];

/** The arguments of the sudo that runs this very command line again; scripts/test asks for its own. */
export function sudoArguments(env: NodeJS.ProcessEnv, args: readonly string[], program = "lab"): string[] {
	const names = Object.keys(env).filter((name) => kept.some((pattern) => pattern.test(name)));
	const preserve = names.length === 0 ? [] : [`--preserve-env=${names.sort().join(",")}`];
	return [...preserve, "--", `${project}/${program}`, ...args];
}

/** A program's command line as root's: as it is where this is root, and through sudo elsewhere. */
export function rootsOwn(program: string, ...args: string[]): [program: string, args: string[]] {
	return process.geteuid?.() === 0 ? [program, args] : ["sudo", ["--", program, ...args]];
}

/**
 * Goes on as root: returns nothing where this is root already, and otherwise the exit status of the same command
 * line under sudo.
 */
export async function asRoot(): Promise<number | undefined> {
	if (process.geteuid?.() === 0) return undefined;
	try {
		return await handOver("sudo", sudoArguments(process.env, process.argv.slice(2)));
	} catch (error) {
		if (!(error instanceof MissingProgramError)) throw error;
		const words = ["./lab", ...process.argv.slice(2)].join(" ");
		throw new LabError("this needs root, and there is no sudo here", `run it as root: su -c '${words}'`);
	}
}

/** Where Pulumi and Node write; beside each plugin, when it was last used. */
const writtenTo = [".pulumi/workspaces", ".pulumi/logs", ".pulumi/plugins", ".pulumi/compile-cache"];

/**
 * Gives what root wrote in the project back to whoever owns the project, so that plain `pulumi` works for them.
 *
 * @param more folders where more was written than by every command, from the project's root or absolute
 */
export function giveBack(more: Iterable<string> = []): void {
	const { uid, gid } = statSync(project);
	if (process.geteuid?.() !== 0 || uid === 0) return;
	// Node writes it when it ends, otherwise.
	flushCompileCache();
	for (const folder of [".state", ...writtenTo, "stacks", ...more]) give(resolve(project, folder), uid, gid);
}

function give(path: string, uid: number, gid: number): void {
	const entry = lstatSync(path, { throwIfNoEntry: false });
	if (entry === undefined || entry.isSymbolicLink()) return;
	if (entry.uid === 0) chownSync(path, uid, gid);
	if (entry.isDirectory()) for (const name of readdirSync(path)) give(`${path}/${name}`, uid, gid);
}
