import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import grpc from "@grpc/grpc-js";
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import messages from "@pulumi/pulumi/proto/engine_pb.js";
import test from "ava";
import empty from "google-protobuf/google/protobuf/empty_pb.js";

/** A binary that has to keep a plugin's contract: the one that set-up put in place, and official ones. */
export interface Subject {
	readonly name: string;
	readonly program: string;
}

const project = join(import.meta.dirname, "../..");

/**
 * The binaries to test. One that is not here becomes a skipped test whose title says why.
 * `setUp` lies below .pulumi; an official one is looked for in `folders`, by `file`, unless `variable` names it.
 */
export function subjects(what: string, setUp: string, variable: string, folders: readonly string[], file: string) {
	const found: Subject[] = [];
	const ours = join(project, ".pulumi", setUp);
	if (existsSync(ours)) found.push({ name: `${what} of set-up`, program: ours });
	else test.skip(`${what} of set-up: ${ours} is not there, run scripts/setup`, (t) => t.fail());
	const named = process.env[variable];
	const official = named ?? folders.map((folder) => join(folder, file)).find((path) => existsSync(path));
	if (official !== undefined) found.push({ name: `official ${what}`, program: official });
	else test.skip(`official ${what}: no ${file} on this machine, and ${variable} names none`, (t) => t.fail());
	return found;
}

/** PATH, less our own .pulumi/bin. */
export function foldersOnPath(): string[] {
	const folders = (process.env["PATH"] ?? "").split(delimiter);
	return folders.filter((folder) => folder !== "" && folder !== join(project, ".pulumi", "bin"));
}

/** The person's own plugin folders of one kind, newest name last. */
export function pluginFolders(prefix: string): string[] {
	const plugins = join(homedir(), ".pulumi", "plugins");
	if (!existsSync(plugins)) return [];
	const names = readdirSync(plugins).filter((name) => name.startsWith(prefix));
	return names.sort().map((name) => join(plugins, name));
}

/** What the engine was told to show. */
export interface Line {
	readonly text: string;
	/** Shown for the moment, as a status, and not kept. */
	readonly status: boolean;
}

/** As much of the engine as a plugin speaks to. */
export class FakeEngine {
	readonly lines: Line[] = [];
	readonly server = new grpc.Server();
	address = "";

	async start(): Promise<this> {
		this.server.addService(EngineService, {
			log: ({ request }: { request: messages.LogRequest }, answer: grpc.sendUnaryData<empty.Empty>) => {
				// Debug lines are shown to nobody who did not ask.
				const shown = request.getSeverity() !== messages.LogSeverity.DEBUG;
				if (shown) this.lines.push({ text: request.getMessage(), status: request.getEphemeral() });
				answer(null, new empty.Empty());
			},
		});
		const port = await new Promise<number>((resolve, reject) => {
			this.server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
				error === null ? resolve(bound) : reject(error),
			);
		});
		this.address = `127.0.0.1:${port}`;
		return this;
	}
}

/** A plugin as the engine starts it: its argument is the engine's address, its first line is its own port. */
export class Plugin {
	readonly process: ChildProcess;
	readonly address: string;
	/** All that it printed after its port, on either stream. */
	readonly printed: () => string;

	private constructor(process: ChildProcess, address: string, printed: () => string) {
		this.process = process;
		this.address = address;
		this.printed = printed;
	}

	static async start(
		program: string,
		engine: FakeEngine,
		options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
	): Promise<Plugin> {
		// A group of its own, as the engine's plugins have: the engine interrupts the whole group.
		const child = spawn(program, [engine.address], { ...options, stdio: ["ignore", "pipe", "pipe"], detached: true });
		let printed = "";
		child.stderr.on("data", (data: Buffer) => {
			printed += data;
		});
		let first = "";
		const port = await new Promise<string>((resolve, reject) => {
			child.on("error", reject);
			child.on("exit", (code) => reject(new Error(`${program} ended with ${code}: ${first}${printed}`)));
			child.stdout.on("data", (data: Buffer) => {
				const at = first.indexOf("\n");
				if (at >= 0) {
					printed += data;
					return;
				}
				first += data;
				const end = first.indexOf("\n");
				if (end < 0) return;
				printed += first.slice(end + 1);
				resolve(first.slice(0, end));
			});
		});
		return new Plugin(child, `127.0.0.1:${port}`, () => printed);
	}

	/** Ends it as the engine does: the whole group is interrupted, and killed when that was not enough. */
	async stop(): Promise<void> {
		const { pid } = this.process;
		if (pid === undefined || this.process.exitCode !== null || this.process.signalCode !== null) return;
		const ended = new Promise((resolve) => this.process.once("exit", resolve));
		process.kill(-pid, "SIGINT");
		const kill = setTimeout(() => process.kill(-pid, "SIGKILL"), 5_000);
		await ended;
		clearTimeout(kill);
	}
}

/** A unary call's answer; a refusal rejects with the status' text alone. */
export function answer<A>(
	send: (callback: (error: grpc.ServiceError | null, response: A) => void) => void,
): Promise<A> {
	return new Promise((resolve, reject) => {
		send((error, response) => (error === null ? resolve(response) : reject(new Error(error.details))));
	});
}
