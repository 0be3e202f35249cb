import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { LabError, systemCode } from "../errors.ts";
import { project } from "../host.ts";
import { handOver, type Ran, run } from "../program.ts";

// The exports are scripts/pulumi-env.sh's, so that ./lab and a person's shell have the same pulumi.
const withEnvironment = [
	"-c",
	'source <("$0") && cd "$1" && shift && exec "$@"',
	`${project}/scripts/pulumi-env.sh`,
	project,
];

/** Runs pulumi to its end and keeps what it says. */
export function pulumi(args: readonly string[], input = "", env: Readonly<Record<string, string>> = {}): Promise<Ran> {
	const own = Object.entries(env).map((pair) => pair.join("="));
	return run("bash", [...withEnvironment, "env", ...own, "pulumi", ...args], input);
}

/** Gives pulumi the terminal, or a pipe, which gets no rows of dots. */
export function pulumiHere(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
	const quiet = process.stdout.isTTY ? [] : ["--suppress-progress"];
	return handOver("bash", [...withEnvironment, "pulumi", ...args, ...quiet], env);
}

/** A resource in the engine's state, as far as it matters here. */
export interface StateResource {
	urn: string;
	type: string;
	/** Its provider's. */
	id?: string;
	inputs?: Record<string, unknown>;
	/** It is deleted, and what takes its place is still to come. */
	pendingReplacement?: boolean;
}

/** A resource's own name, as the stack's program gave it. */
export const resourceName = (urn: string): string => urn.split("::").at(-1) ?? urn;

/** What the engine was doing when it was killed. */
export interface PendingOperation {
	resource: StateResource;
	type: string;
}

export interface Deployment {
	resources?: StateResource[];
	pending_operations?: PendingOperation[];
}

/** A lock of the engine on one stack. */
export interface StateLock {
	pid: number;
	username: string;
	hostname: string;
	timestamp: string;
}

/** The engine's own folder of states, or nothing where the states are in no folder of this machine. */
export function stateFolder(): string | undefined {
	const url = process.env["PULUMI_BACKEND_URL"] || "file://./.state";
	return url.startsWith("file://") && !url.startsWith("file://~")
		? resolve(project, url.slice(7), ".pulumi")
		: undefined;
}

/** The engine's state of a stack; nothing where the stack was never brought up (or its state is elsewhere). */
export function readState(stack: string): Deployment | undefined {
	const folder = stateFolder();
	if (folder === undefined) return undefined;
	const file = `${folder}/stacks/tracelab/${stack}.json`;
	const text = read(file);
	if (text === undefined) return undefined;
	const { checkpoint } = parsed(file, text) as { checkpoint?: { latest?: Deployment | null } };
	return checkpoint?.latest ?? {};
}

export function readLocks(stack: string): StateLock[] {
	const folder = stateFolder();
	if (folder === undefined) return [];
	const locks = `${folder}/locks/organization/tracelab/${stack}`;
	return names(locks)
		.filter((name) => name.endsWith(".json"))
		.map((name) => ({ file: `${locks}/${name}`, text: read(`${locks}/${name}`) }))
		.flatMap(({ file, text }) => (text === undefined ? [] : [parsed(file, text) as StateLock]));
}

function parsed(file: string, text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw new LabError(`${file} is broken: it is no JSON`, "pulumi keeps older ones beside it: *.json.bak, backups/");
	}
}

function read(file: string): string | undefined {
	try {
		return readFileSync(file, "utf8");
	} catch (error) {
		if (systemCode(error) === "ENOENT") return undefined;
		throw error;
	}
}

/** What is in a folder, in order; nothing where there is none. */
export function names(folder: string): string[] {
	try {
		return readdirSync(folder).sort();
	} catch {
		return [];
	}
}
