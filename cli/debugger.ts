import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { quote } from "../spec/quote.ts";
import { type Domain, findDomain, stackOption } from "./card.ts";
import { buildIdIn, ElfError, type ElfFacts, readElf } from "./elf.ts";
import { LabError, systemCode } from "./errors.ts";
import { GuestAgent } from "./guest-agent.ts";
import { onHost } from "./host.ts";
import { domainProcess, domainState, mustRun, virsh } from "./libvirt.ts";
import { handOver, run } from "./program.ts";
import { say } from "./terminal.ts";

/** Is the guest's own kernel running, so that its memory is what vmlinux says? */
type Guest = "booted" | "not asked";

/** Puts gdb on a guest's kernel, with its symbols, its lx- commands, its modules; `args` are gdb's own. */
export async function debug(stack: string, name: string, args: readonly string[]): Promise<number> {
	const domain = findDomain(stack, name);
	const state = await mustRun(domain, "paused is fine");
	const elf = checkVmlinux(domain);
	await checkGdbstub(domain);
	const guest = state === "running" ? await checkBuildId(domain, elf) : "not asked";
	if (guest === "not asked") {
		const why = state === "paused" ? "it is paused" : "its agent does not answer";
		say(
			`lab: ${name}: ${why}, so its kernel is taken to be the one of this lab, and modules get their symbols by: lx-symbols ${moduleFolders(domain).join(" ")}`,
		);
	}
	const code = await handOver("gdb", gdbArguments(domain, guest, args));
	await letGo(domain, state);
	return code;
}

/** The lab's own first, so that a person's commands find the kernel attached. */
export function gdbArguments(domain: Domain, guest: Guest, args: readonly string[]): string[] {
	const { kernel, card } = domain;
	const folders = moduleFolders(domain);
	return [
		"-q",
		// vmlinux-gdb.py beside vmlinux is loaded by itself once its folder is trusted.
		...["-iex", `add-auto-load-safe-path ${kernel.prefix}`],
		// An emulated guest on a busy host can take longer than gdb's 2 s.
		...["-iex", "set remotetimeout 20"],
		...["-iex", `directory ${kernel.source}`],
		kernel.vmlinux,
		...["-ex", `target remote 127.0.0.1:${card.gdb.port}`],
		...(guest === "booted" && folders.length > 0 ? ["-ex", `lx-symbols ${folders.join(" ")}`] : []),
		...args,
	];
}

function moduleFolders({ card }: Domain): string[] {
	return [...new Set(Object.values(card.modules).map(({ file }) => dirname(file)))].sort();
}

function checkVmlinux({ kernel, stack }: Domain): ElfFacts {
	const lab = `./lab${stackOption(stack)}`;
	let elf: ElfFacts;
	try {
		elf = readElf(onHost(kernel.vmlinux));
	} catch (error) {
		const why = error instanceof ElfError ? error.message : systemCode(error);
		if (why === undefined) throw error;
		throw new LabError(
			`${kernel.vmlinux} ${why === "ENOENT" ? "is gone" : `cannot be read: ${why}`}`,
			`${lab} up makes it again`,
		);
	}
	if (elf.debugInfo) return elf;
	throw new LabError(
		`${kernel.vmlinux} has no debug information`,
		"ask for CONFIG_DEBUG_INFO_DWARF5=y in the stack file, as the fragment quickstart does",
	);
}

/** Only looked at: whoever connects to a gdbstub stops the guest, and a second debugger would wait for ever. */
async function checkGdbstub(domain: Domain): Promise<void> {
	const { name, card, stack } = domain;
	const address = `127.0.0.1:${card.gdb.port}`;
	const listening = (await run("ss", ["-Hltnp", `src ${address}`])).stdout;
	const pid = domainProcess(domain)?.pid;
	const others = /users:\(\("([^"]*)",pid=(\d+)/.exec(listening);
	if (listening === "") {
		throw new LabError(`no gdbstub listens on ${address}`, `./lab${stackOption(stack)} up starts ${name} with one`);
	}
	// Without root, ss does not see whose it is.
	if (pid !== undefined && others !== null && !listening.includes(`pid=${pid},`)) {
		throw new LabError(
			`${address} is ${others[1]}'s (process ${others[2]}), not the gdbstub of ${quote(name)}`,
			`end that process, or give the domain another gdb port in the stack file; then ./lab${stackOption(stack)} up`,
		);
	}
	const connected = (await run("ss", ["-Htn", "state", "established", `src ${address}`])).stdout;
	if (connected === "") return;
	throw new LabError(
		`another debugger is on ${quote(name)} (${connected.trim().split(/\s+/).at(-1)})`,
		"leave that one first: a gdbstub serves one at a time",
	);
}

async function checkBuildId(domain: Domain, elf: ElfFacts): Promise<Guest> {
	const agent = new GuestAgent(domain);
	if (!(await agent.answers(5))) return "not asked";
	const running = buildIdIn((await agent.exec(["cat", "/sys/kernel/notes"])).stdout);
	if (running === elf.buildId) return "booted";
	throw new LabError(
		`${quote(domain.name)} runs a kernel with build-id ${running ?? "unknown"}, but ${domain.kernel.vmlinux} has ${elf.buildId ?? "none"}: its symbols would be wrong`,
		`./lab${stackOption(domain.stack)} up starts ${domain.name} on the kernel that belongs to it`,
	);
}

/** gdb detaches when it ends, and the guest goes on; one that was killed could not. */
async function letGo(domain: Domain, before: "running" | "paused"): Promise<void> {
	if (before === "paused" || !existsSync(onHost(`/run/libvirt/qemu/${domain.card.libvirtName}.pid`))) return;
	if ((await domainState(domain)) !== "paused") return;
	await virsh("resume", domain.card.libvirtName);
	say(`lab: gdb left ${domain.name} stopped: it goes on now`);
}
