import { readFileSync, readlinkSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { quote } from "../spec/quote.ts";
import type { Domain } from "./card.ts";
import { stackOption } from "./card.ts";
import { LabError } from "./errors.ts";
import { onHost } from "./host.ts";
import { type Ran, run } from "./program.ts";

// Detached, since a Ctrl-C during `./lab exec` is to end the command in the guest: it must not first end the virsh
// that was just asking how that command is.
export const virsh = (...args: string[]): Promise<Ran> => run("virsh", [...connected, ...args], "", { detached: true });

const connected = ["--quiet", "--connect", "qemu:///system"];

/** Seconds that QEMU has to answer on its monitor: libvirt waits for it for ever. */
const monitorLimit = 20;

/**
 * A command of virsh on a domain for which libvirt asks QEMU's monitor.
 *
 * @throws LabError where that does not answer
 */
export async function askQemu(domain: Domain, verb: string, ...args: string[]): Promise<Ran> {
	const { libvirtName } = domain.card;
	const limit = { detached: true, timeout: monitorLimit * 1000 };
	const ran = await run("virsh", [...connected, verb, libvirtName, ...args], "", limit);
	if (ran.code !== 124) return ran;
	throw new LabError(
		`the monitor of ${quote(domain.name)} did not answer within ${monitorLimit} s: its QEMU itself stands still`,
		`sudo gdb -p ${domainProcess(domain)?.pid ?? "PID"} shows where; virsh destroy ${libvirtName} ends it, and ./lab${stackOption(domain.stack)} up starts it again`,
	);
}

/** What libvirt has against a command, where it is nothing about the domain itself. */
export function libvirtFault(stderr: string): LabError | undefined {
	if (/authentication unavailable|access denied|Permission denied|system bus connection/i.test(stderr)) {
		return new LabError(
			"libvirt lets root only in, or its group",
			"put sudo before the command, or join the group libvirt",
		);
	}
	if (/failed to connect|Failed to connect/.test(stderr)) {
		return new LabError("libvirtd does not answer", "./lab up starts it; ./lab doctor says more");
	}
	return undefined;
}

/** The state as libvirt calls it (running, paused, shut off …), or "undefined" where libvirt does not know it. */
export async function domainState({ card }: Domain): Promise<string> {
	const { code, stdout, stderr } = await virsh("domstate", card.libvirtName);
	if (code === 0) return stdout.trim();
	if (/failed to get domain/.test(stderr)) return "undefined";
	throw libvirtFault(stderr) ?? new LabError(`virsh domstate ${card.libvirtName}: ${stderr}`);
}

/** Does it run, or is paused? Of a domain whose agent or console went away, libvirt may take a second to see that its QEMU did. */
export async function stillRuns(domain: Domain, seconds: 0 | 1): Promise<boolean> {
	for (let looks = 0; ; looks++) {
		if (!/^(?:paused|running)$/.test(await domainState(domain))) return false;
		if (looks === seconds * 10) return true;
		await pause(100);
	}
}

/** The fault of a domain that does not run, which `is` one of that state where its QEMU did not crash. */
export async function offFault({ name, card, stack }: Domain, is: string): Promise<LabError> {
	const { stdout } = await virsh("domstate", card.libvirtName, "--reason");
	const start = `start it: ./lab${stackOption(stack)} up`;
	if (!/^shut off \(crashed\)/.test(stdout)) return new LabError(`domain ${quote(name)} is ${is}`, start);
	const log = `/var/log/libvirt/qemu/${card.libvirtName}.log`;
	return new CrashedError(
		`domain ${quote(name)} crashed`,
		`see the last words of its QEMU: sudo tail ${log}; then ${start}`,
	);
}

/** A domain whose QEMU did not end in order. */
export class CrashedError extends LabError {
	override readonly name = "CrashedError";
}

/** The process that runs a domain, and the program that it is; nothing where it does not run. */
export function domainProcess({ card }: Domain): { pid: number; program: string } | undefined {
	try {
		const pid = Number(readFileSync(onHost(`/run/libvirt/qemu/${card.libvirtName}.pid`), "utf8"));
		return { pid, program: programOf(pid) };
	} catch {
		return undefined;
	}
}

function programOf(pid: number): string {
	try {
		return readlinkSync(onHost(`/proc/${pid}/exe`));
	} catch {
		return "";
	}
}

/** What QEMU's monitor says to a command for people. */
export async function monitor(domain: Domain, command: string): Promise<string> {
	const { card, stack } = domain;
	const { code, stdout, stderr } = await askQemu(domain, "qemu-monitor-command", "--hmp", command);
	if (code === 0) return stdout.trim();
	throw (
		libvirtFault(stderr) ??
		new LabError(
			`virsh qemu-monitor-command ${card.libvirtName}: ${stderr.trim()}`,
			`see whether it runs: ./lab${stackOption(stack)} status`,
		)
	);
}

/** What a domain is defined with: its memory in MiB, its kernel, and the command line of that. */
export async function definition({
	card,
	stack,
}: Domain): Promise<{ memory: number; kernel: string; commandLine: string }> {
	const { code, stdout, stderr } = await virsh("dumpxml", "--inactive", card.libvirtName);
	const memory = /<memory unit='KiB'>(\d+)</.exec(stdout)?.[1];
	const commandLine = /<cmdline>([^<]*)</.exec(stdout)?.[1];
	const kernel = /<kernel>([^<]*)</.exec(stdout)?.[1];
	if (code === 0 && memory !== undefined && kernel !== undefined && commandLine !== undefined) {
		return { memory: Number(memory) / 1024, kernel: plainText(kernel), commandLine: plainText(commandLine) };
	}
	throw (
		libvirtFault(stderr) ??
		new LabError(`libvirt knows no domain ${quote(card.libvirtName)}`, `./lab${stackOption(stack)} up defines it again`)
	);
}

function plainText(xml: string): string {
	const characters: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
	return xml.replace(/&(lt|gt|quot|apos|amp);/g, (_, name: string) => characters[name] ?? "");
}

/** @throws LabError for a domain that does not run, or, unless that is fine, is stopped by its debugger */
export async function mustRun(domain: Domain, paused: "paused is fine" | "not paused"): Promise<"running" | "paused"> {
	const state = await domainState(domain);
	if (state === "running") return state;
	if (state !== "paused") throw await offFault(domain, state === "undefined" ? "not known to libvirt" : state);
	if (paused === "paused is fine") return state;
	throw new PausedError(domain);
}

/** A domain that stands still, mostly in its debugger. */
export class PausedError extends LabError {
	override readonly name = "PausedError";

	constructor({ name, card, stack }: Domain) {
		super(
			`domain ${quote(name)} is paused${card.gdb.paused ? ", as its stack file asks" : ""}`,
			`let it go on from its debugger (./lab${stackOption(stack)} gdb ${name}, then continue) or by: virsh resume ${card.libvirtName}`,
		);
	}
}
