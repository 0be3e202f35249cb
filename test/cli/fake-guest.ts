import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { getSystemErrorMap } from "node:util";
import { systemCode } from "../../cli/errors.ts";
import type { ScratchLab } from "./scratch-lab.ts";

interface Answer {
	code: number;
	text: string;
}

interface Started {
	process: ChildProcess;
	out: Buffer[];
	err: Buffer[];
	exited: boolean;
}

type Arguments = Record<string, unknown>;

/** The agent's own no, in the words of libvirt 9.0. */
class Refusal extends Error {}

const notRunning = "error: Requested operation is not valid: domain is not running";

/**
 * A domain of libvirt's whose guest is this machine: puts a `virsh` on the scratch host that asks here, and answers
 * for the guest agent by really running the commands and reading the files. Below the scratch root are a guest's own
 * files in /run, its /lab, its modules in /sys, its kernel's notes where there are some, and `guest-bin`, the folder
 * of its programs that come before this machine's.
 */
export class FakeGuest {
	/** What `virsh domstate` says; a name that libvirt does not know is "undefined". */
	state = "running";
	/** What the next calls of `virsh domstate` say, before that. */
	readonly states: string[] = [];
	/** What `virsh domstate --reason` says beside the state. */
	reason = "destroyed";
	/** What `virsh dumpxml` says; undefined for a domain that libvirt does not know. */
	definition: string | undefined;
	/** What is in its memory by physical address; elsewhere are zeros. */
	readonly memory = new Map<bigint, Buffer>();
	/** Where its programs are, behind its own folder of them. */
	programs = "/usr/sbin:/usr/bin:/sbin:/bin";
	/** What QEMU's monitor says to other commands than to show memory. */
	readonly monitor = new Map<string, string>();
	/** What virsh says instead of asking the agent, until a reset. */
	fault: string | undefined;
	/** Milliseconds that virsh takes for each answer. */
	slowness = 0;
	/** The agent's commands, in the order in which they came. */
	readonly asked: string[] = [];
	/** Every call of virsh less the options that all have. */
	readonly calls: string[][] = [];

	readonly #root: string;
	readonly #started = new Map<number, Started>();
	readonly #open = new Map<number, string>();
	readonly #server = createServer((socket) => this.#serve(socket));

	static async on(lab: ScratchLab): Promise<FakeGuest> {
		const guest = new FakeGuest(lab.root);
		await new Promise<void>((resolve) => guest.#server.listen(0, "127.0.0.1", resolve));
		const { port } = guest.#server.address() as AddressInfo;
		lab.fake(
			"virsh",
			`exec 3<>/dev/tcp/127.0.0.1/${port}
			printf '%s\\0' "$#" "$@" >&3
			IFS= read -r code <&3
			if [ "$code" = 0 ]; then cat <&3; else cat <&3 >&2; fi
			exit "$code"`,
		);
		return guest;
	}

	private constructor(root: string) {
		this.#root = root;
		mkdirSync(`${root}/run`, { recursive: true });
	}

	/** Files that the agent has open. */
	get openFiles(): string[] {
		return [...this.#open.values()];
	}

	/** Ends what still runs. */
	close(): void {
		this.#server.close();
		for (const { process, exited } of this.#started.values()) if (!exited) process.kill("SIGKILL");
	}

	#serve(socket: Socket): void {
		let text = "";
		socket.setEncoding("utf8");
		// A client that was ended.
		socket.on("error", () => {});
		socket.on("data", async (part) => {
			text += part;
			const [count, ...words] = text.split("\0");
			if (count === undefined || words.length <= Number(count)) return;
			await pause(this.slowness);
			const { code, text: answer } = await this.#virsh(words.slice(3, -1));
			socket.end(`${code}\n${answer}\n`);
		});
	}

	async #virsh(words: string[]): Promise<Answer> {
		this.calls.push(words);
		const [command, ...args] = words;
		if (command === "domstate") {
			if (args[1] === "--reason") return { code: 0, text: `${this.state} (${this.reason})` };
			const state = this.states.shift() ?? this.state;
			return state === "undefined"
				? { code: 1, text: `error: failed to get domain '${args[0]}'` }
				: { code: 0, text: state };
		}
		if (command === "dumpxml") {
			return this.definition === undefined
				? { code: 1, text: `error: failed to get domain '${args[1]}'` }
				: { code: 0, text: this.definition };
		}
		if (command === "qemu-monitor-command")
			return { code: 0, text: this.monitor.get(args[2] ?? "") ?? this.#memory(args[2] ?? "") };
		if (command === "resume") return { code: 0, text: "" };
		if (command === "reset") {
			this.fault = undefined;
			return { code: 0, text: "" };
		}
		if (command === "list") return { code: 0, text: "" };
		if (command !== "qemu-agent-command") return { code: 97, text: `error: the fake has no ${command}` };
		if (this.fault !== undefined) return { code: 1, text: this.fault };
		if (this.state !== "running") return { code: 1, text: notRunning };
		const request = JSON.parse(args[3] ?? "") as { execute: string; arguments: Arguments };
		this.asked.push(request.execute);
		try {
			return { code: 0, text: JSON.stringify({ return: await this.#answer(request.execute, request.arguments) }) };
		} catch (error) {
			if (!(error instanceof Refusal)) throw error;
			const said = `unable to execute QEMU agent command '${request.execute}': ${error.message}`;
			return { code: 1, text: `error: internal error: ${said}` };
		}
	}

	/** What QEMU's monitor says to `xp /COUNTxb 0xADDRESS`: eight bytes a line. */
	#memory(command: string): string {
		const [, count = "0", address = "0"] = /^xp \/(\d+)xb (0x[0-9a-f]+)$/.exec(command) ?? [];
		const bytes = Buffer.alloc(Number(count));
		this.memory.get(BigInt(address))?.copy(bytes);
		const shown = [...bytes].map((byte) => `0x${byte.toString(16).padStart(2, "0")}`);
		return Array.from({ length: Math.ceil(shown.length / 8) }, (_, line) => {
			const at = (BigInt(address) + BigInt(line * 8)).toString(16).padStart(16, "0");
			return `${at}: ${shown.slice(line * 8, line * 8 + 8).join(" ")}`;
		}).join("\n");
	}

	async #answer(command: string, args: Arguments): Promise<unknown> {
		switch (command) {
			case "guest-ping":
				return {};
			case "guest-get-time":
				return Date.now() * 1e6;
			case "guest-exec":
				return { pid: await this.#exec(args) };
			case "guest-exec-status":
				return this.#status(Number(args["pid"]));
			case "guest-file-open":
				return this.#openFile(String(args["path"]), String(args["mode"]));
			case "guest-file-read": {
				const bytes = Buffer.alloc(Number(args["count"]));
				const count = readSync(this.#handle(args), bytes);
				return { count, "buf-b64": bytes.toString("base64", 0, count), eof: count < bytes.length };
			}
			case "guest-file-write": {
				const bytes = Buffer.from(String(args["buf-b64"]), "base64");
				// An agent may take less than it was given.
				return { count: writeSync(this.#handle(args), bytes, 0, Math.min(bytes.length, 70_000)), eof: false };
			}
			case "guest-file-close":
				closeSync(this.#handle(args));
				this.#open.delete(Number(args["handle"]));
				return {};
			default:
				throw new Refusal(`The command ${command} has not been found`);
		}
	}

	#exec(args: Arguments): Promise<number> {
		const words = (args["arg"] as string[]).map((word) => {
			const path = this.#path(word);
			return path === word ? this.#script(word) : path;
		});
		const path = `${this.#root}/guest-bin:${this.programs}`;
		const child = spawn(String(args["path"]), words, { cwd: "/", env: { PATH: path }, stdio: "pipe" });
		const started: Started = { process: child, out: [], err: [], exited: false };
		child.stdout.on("data", (bytes: Buffer) => started.out.push(bytes));
		child.stderr.on("data", (bytes: Buffer) => started.err.push(bytes));
		child.on("close", () => {
			started.exited = true;
		});
		// Whoever reads nothing may end before all is written.
		child.stdin.on("error", () => {});
		child.stdin.end(Buffer.from(String(args["input-data"] ?? ""), "base64"));
		return new Promise((resolve, reject) => {
			child.once("error", () =>
				reject(new Refusal(`Failed to execute child process “${args["path"]}” (No such file or directory)`)),
			);
			child.once("spawn", () => {
				const pid = child.pid ?? 0;
				this.#started.set(pid, started);
				resolve(pid);
			});
		});
	}

	#status(pid: number): unknown {
		const started = this.#started.get(pid);
		if (started === undefined) throw new Refusal("Invalid parameter 'pid'");
		if (!started.exited) return { exited: false };
		this.#started.delete(pid);
		const { exitCode, signalCode } = started.process;
		const text = (key: string, parts: Buffer[]) =>
			parts.length === 0 ? {} : { [key]: Buffer.concat(parts).toString("base64") };
		return {
			exited: true,
			// Tests end commands with SIGKILL alone.
			...(signalCode === null ? { exitcode: exitCode } : { signal: 9 }),
			...text("out-data", started.out),
			...text("err-data", started.err),
		};
	}

	#openFile(path: string, mode: string): number {
		try {
			const handle = openSync(this.#path(path), mode);
			this.#open.set(handle, path);
			return handle;
		} catch (error) {
			const code = systemCode(error);
			const words = [...getSystemErrorMap().values()].find(([name]) => name === code)?.[1];
			throw new Refusal(`failed to open file '${path}' (mode: '${mode}'): ${words}`);
		}
	}

	#handle(args: Arguments): number {
		const handle = Number(args["handle"]);
		if (!this.#open.has(handle)) throw new Refusal("handle '%' has not been found".replace("%", String(handle)));
		return handle;
	}

	/** The host may have a tracefs of its own. */
	#script(text: string): string {
		return text.replaceAll(/\/(?:sys\/kernel\/tracing|proc\/timer_list)/g, (path) => `${this.#root}/guest${path}`);
	}

	#path(path: string): string {
		const own = /^\/(?:run\/tracelab-|dev\/shm\/tracelab\/|lab\/|sys\/module\/)/.test(path);
		const notes = path === "/sys/kernel/notes" && existsSync(this.#root + path);
		if (own || notes) return this.#root + path;
		// The host has such files of its own below the scratch root.
		const clock =
			/^\/(?:sys\/devices\/system\/clocksource|proc\/(?:timer_list|modules)$|proc\/sys\/kernel\/random)/.test(path);
		return clock ? `${this.#root}/guest${path}` : path;
	}
}
