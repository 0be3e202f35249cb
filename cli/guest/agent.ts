import { setTimeout as pause } from "node:timers/promises";
import { quote } from "../../spec/quote.ts";
import { type Domain, stackOption } from "../card.ts";
import { LabError, orFault } from "../errors.ts";
import { libvirtFault, offFault, PausedError, stillRuns, virsh } from "../libvirt.ts";

/** How far a command in the guest is. */
export interface GuestStatus {
	exited: boolean;
	/** Exit status as a shell has it: 128 and the signal's number for one that a signal ended. */
	code: number;
	stdout: Buffer;
	stderr: Buffer;
}

/** The agent answered, and said no. */
export class GuestRefusal extends LabError {
	override readonly name = "GuestRefusal";
}

/** Linux takes 128 KiB in one argument, and virsh takes a request as one. */
const requestLimit = 128 * 1024 - 1;

/** Bytes in one write: in base64 they fit into one request. */
const writeChunk = 96 * 1000;

/** Bytes in one read: libvirt ends its connection to an agent that answers with more than 10 MiB at once. */
const readChunk = 2 * 1024 * 1024;

/** The guest agent of a domain, spoken to through libvirt: works without any network. */
export class GuestAgent {
	readonly #domain: Domain;

	constructor(domain: Domain) {
		this.#domain = domain;
	}

	/** Does it answer within some seconds? */
	async answers(seconds: number): Promise<boolean> {
		return (await this.silence(seconds)) === undefined;
	}

	/** Why it does not answer within some seconds; nothing where it does. */
	async silence(seconds: number): Promise<LabError | undefined> {
		const answer = await orFault(() => this.#request("guest-ping", {}, seconds));
		return answer instanceof LabError ? answer : undefined;
	}

	/** The guest's wall clock in nanoseconds, of which JSON keeps all but the last hundreds. */
	async time(): Promise<bigint> {
		return BigInt((await this.#request("guest-get-time", {})) as number);
	}

	/** Starts a command, the words being its argv; returns its process id in the guest. */
	async start([path, ...arg]: readonly string[], input: Buffer = Buffer.alloc(0)): Promise<number> {
		const stdin = input.length === 0 ? {} : { "input-data": input.toString("base64") };
		const started = await this.#request("guest-exec", { path, arg, "capture-output": true, ...stdin });
		return (started as { pid: number }).pid;
	}

	/** How far a started command is; the agent forgets one that it has said to have ended. */
	async status(pid: number): Promise<GuestStatus> {
		const status = (await this.#request("guest-exec-status", { pid })) as ExecStatus;
		return {
			exited: status.exited,
			code: status.exitcode ?? 128 + (status.signal ?? 0),
			stdout: Buffer.from(status["out-data"] ?? "", "base64"),
			stderr: Buffer.from(status["err-data"] ?? "", "base64"),
		};
	}

	/** Runs a command that says little, and soon ends. */
	async exec(argv: readonly string[]): Promise<GuestStatus> {
		const pid = await this.start(argv);
		for (let wait = 10; ; wait = Math.min(wait * 2, 400)) {
			const status = await this.status(pid);
			if (status.exited) return status;
			await pause(wait);
		}
	}

	/** Runs a POSIX shell script whose failure is an error with what it said; returns what it printed. */
	async shell(script: string, ...args: string[]): Promise<string> {
		const { code, stdout, stderr } = await this.exec(["/bin/sh", "-c", script, "sh", ...args]);
		if (code === 0) return stdout.toString();
		throw new GuestRefusal(`${this.#domain.name}: ${stderr.toString().trim() || `a command ended with ${code}`}`);
	}

	/** The bytes of a file, part by part. */
	async *read(path: string): AsyncGenerator<Buffer> {
		const handle = await this.open(path, "r");
		try {
			for (let bytes = await this.readPart(handle); bytes.length > 0; bytes = await this.readPart(handle)) yield bytes;
		} finally {
			await this.close(handle);
		}
	}

	/** All bytes of a small file. */
	async readAll(path: string): Promise<Buffer> {
		const parts: Buffer[] = [];
		for await (const part of this.read(path)) parts.push(part);
		return Buffer.concat(parts);
	}

	async open(path: string, mode: "r" | "w"): Promise<number> {
		return (await this.#request("guest-file-open", { path, mode })) as number;
	}

	async close(handle: number): Promise<void> {
		await this.#request("guest-file-close", { handle });
	}

	/** What follows in an open file; nothing at its end, where a later call may find more. */
	async readPart(handle: number): Promise<Buffer> {
		const part = (await this.#request("guest-file-read", { handle, count: readChunk })) as { "buf-b64": string };
		return Buffer.from(part["buf-b64"], "base64");
	}

	/** Makes a file of these bytes; `written` hears of each part that has arrived. */
	async write(path: string, source: AsyncIterable<Buffer>, written: (bytes: number) => void = () => {}): Promise<void> {
		const handle = await this.open(path, "w");
		try {
			for await (const bytes of source) {
				for (let at = 0; at < bytes.length; ) {
					const part = bytes.subarray(at, at + writeChunk);
					const sent = (await this.#request("guest-file-write", { handle, "buf-b64": part.toString("base64") })) as {
						count: number;
					};
					at += sent.count;
					written(sent.count);
				}
			}
		} finally {
			await this.close(handle);
		}
	}

	async #request(execute: string, args: object, seconds = 30): Promise<unknown> {
		const request = JSON.stringify({ execute, arguments: args });
		if (Buffer.byteLength(request) > requestLimit) {
			throw new LabError(
				"the command with its input is over 128 KiB",
				"copy what it needs into the guest first: ./lab cp",
			);
		}
		const { libvirtName } = this.#domain.card;
		const answer = await virsh("qemu-agent-command", "--timeout", String(seconds), libvirtName, request);
		if (answer.code === 0) return (JSON.parse(answer.stdout) as { return: unknown }).return;
		throw libvirtFault(answer.stderr) ?? (await this.#fault(answer.stderr));
	}

	async #fault(stderr: string): Promise<LabError> {
		const { name, card, stack } = this.#domain;
		const lab = `./lab${stackOption(stack)}`;
		if (/failed to get domain/.test(stderr)) {
			return new LabError(`libvirt knows no domain ${quote(card.libvirtName)}`, `${lab} up defines it again`);
		}
		if (/domain is not running/.test(stderr)) {
			// libvirt says so of a paused one as well, which may run again by now.
			if (await stillRuns(this.#domain, 0)) return new PausedError(this.#domain);
			return offFault(this.#domain, "not running");
		}
		if (/agent (is )?not |timed out/i.test(stderr)) {
			// It disappears with its QEMU, and with a reboot as well.
			const runs = await stillRuns(this.#domain, /disappeared/.test(stderr) ? 1 : 0);
			if (!runs) return offFault(this.#domain, "not running");
			return new LabError(
				`the guest agent of ${quote(name)} does not answer`,
				`it may still be booting, or stand in a debugger; see its console: ${lab} console --log ${name}`,
			);
		}
		const said = /error was '(.*)'$/.exec(stderr) ?? /QEMU agent command '[^']*': (.*)$/.exec(stderr);
		return new GuestRefusal(`${name}: ${said?.[1] ?? stderr.replace(/^error: /, "")}`);
	}
}

interface ExecStatus {
	exited: boolean;
	exitcode?: number;
	signal?: number;
	"out-data"?: string;
	"err-data"?: string;
}
