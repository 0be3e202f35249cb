import { connect, type Socket } from "node:net";
import { quote } from "../../spec/quote.ts";
import { type Domain, findDomain, stackOption } from "../card.ts";
import { LabError, orFault, systemCode } from "../errors.ts";
import { onHost } from "../host.ts";
import { CrashedError, mustRun, stillRuns } from "../libvirt.ts";
import { printLog } from "../log-file.ts";
import { say } from "../terminal.ts";

/** Ctrl-], as telnet and virsh console have it. */
const leave = 0x1d;

/** Once piped input has ended: milliseconds of silence after which the guest has said what it had to say. */
const silence = 1500;

/** Prints all that the guest has said on its serial console. */
export async function consoleLog(stack: string, name: string): Promise<void> {
	const { card } = findDomain(stack, name);
	try {
		await printLog(onHost(card.console.log));
	} catch (error) {
		throw new LabError(`${card.console.log} cannot be read: ${systemCode(error)}`, accessHint(error));
	}
}

/** Connects this terminal, or a pipe, to the serial console. */
export async function console_(stack: string, name: string): Promise<void> {
	const domain = findDomain(stack, name);
	await mustRun(domain, "paused is fine");
	const socket = await connected(domain);
	if (process.stdin.isTTY) {
		say(`connected to the serial console of ${quote(name)}; Ctrl-] leaves, Enter shows a prompt`);
		if ((await interactive(socket)) === "closed") {
			say(`\nthe console of ${quote(name)} was closed`);
			throw await closedFault(domain);
		}
		say(`\nleft the console of ${quote(name)}; it goes on`);
	} else if ((await piped(socket)) === "closed") {
		// What was typed may have had the guest power off.
		const fault = await closedFault(domain);
		if (fault instanceof CrashedError) throw fault;
	}
}

async function closedFault(domain: Domain): Promise<LabError> {
	await stillRuns(domain, 1);
	const off = await orFault(() => mustRun(domain, "paused is fine"));
	if (off instanceof LabError) return off;
	const { name, stack } = domain;
	return new LabError(
		`domain ${quote(name)} runs, but its console was closed`,
		`connect again: ./lab${stackOption(stack)} console ${name}`,
	);
}

function connected({ name, card, stack }: Domain): Promise<Socket> {
	return new Promise((resolve, reject) => {
		const socket = connect(onHost(card.console.socket));
		socket.once("connect", () => resolve(socket));
		socket.once("error", (error) => {
			const todo = accessHint(error) || `./lab${stackOption(stack)} up mends it`;
			reject(
				new LabError(
					`the console of ${quote(name)} (${card.console.socket}) cannot be reached: ${systemCode(error)}`,
					todo,
				),
			);
		});
	});
}

function accessHint(error: unknown): string {
	return systemCode(error) === "EACCES" ? "the guest's console is root's: put sudo before the command" : "";
}

/** Who ended it: the person, or the other side. */
type End = "left" | "closed";

function interactive(socket: Socket): Promise<End> {
	return new Promise((resolve) => {
		const end = (how: End) => {
			process.stdin.off("data", typed);
			process.stdin.setRawMode(false);
			process.stdin.pause();
			socket.destroy();
			resolve(how);
		};
		const typed = (keys: Buffer) => {
			const at = keys.indexOf(leave);
			socket.write(at === -1 ? keys : keys.subarray(0, at));
			if (at !== -1) end("left");
		};
		process.stdin.setRawMode(true);
		process.stdin.on("data", typed);
		socket.on("data", (bytes) => process.stdout.write(bytes));
		socket.once("close", () => end("closed"));
	});
}

function piped(socket: Socket): Promise<End> {
	return new Promise((resolve) => {
		let quiet: NodeJS.Timeout | undefined;
		let ended = false;
		let how: End = "closed";
		const end = () => {
			how = "left";
			socket.destroy();
		};
		const wait = () => {
			clearTimeout(quiet);
			if (ended) quiet = setTimeout(end, silence);
		};
		socket.on("data", (bytes) => {
			process.stdout.write(bytes);
			wait();
		});
		socket.once("close", () => {
			clearTimeout(quiet);
			process.stdin.destroy();
			resolve(how);
		});
		process.stdin.on("data", (bytes) => socket.write(bytes));
		process.stdin.once("end", () => {
			ended = true;
			wait();
		});
	});
}
