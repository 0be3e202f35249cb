import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { quote } from "../../spec/quote.ts";
import { type Domain, findDomain, stackOption } from "../card.ts";
import { LabError, systemCode } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { guestMemory } from "../guest/memory.ts";
import { onHost, project } from "../host.ts";
import { askQemu, definition, domainProcess, domainState, mustRun } from "../libvirt.ts";
import { handOver, run } from "../program.ts";
import { say } from "../terminal.ts";
import { buildIdIn, ElfError, type ElfFacts, readElf } from "./elf.ts";

/** Is the guest's own kernel in its memory, so that this is what vmlinux says? */
type Guest = "booted" | "not booted" | "not asked";

/** Puts gdb on a guest's kernel, with its symbols, its lx- commands, its modules; `args` are gdb's own. */
export async function debug(stack: string, name: string, args: readonly string[]): Promise<number> {
	const domain = findDomain(stack, name);
	const state = await mustRun(domain, "paused is fine");
	const elf = checkVmlinux(domain);
	await checkGdbstub(domain);
	const guest = await checkBuildId(domain, elf, state);
	if (guest === "not booted")
		say(
			`lab: ${name} has not begun to boot its kernel: gdb goes on to start_kernel; modules get their symbols as they are loaded`,
		);
	const code = await handOver("gdb", gdbArguments(domain, guest, args));
	await letGo(domain, state);
	return code;
}

/** The lab's own first, so that a person's commands find the kernel attached. */
export function gdbArguments(domain: Domain, guest: Guest, args: readonly string[]): string[] {
	const { kernel, card } = domain;
	return [
		"-q",
		...quietPython,
		// vmlinux-gdb.py beside vmlinux is loaded by itself once its folder is trusted.
		...["-iex", `add-auto-load-safe-path ${kernel.prefix}`],
		// An emulated guest on a busy host can take longer than gdb's 2 s.
		...["-iex", "set remotetimeout 20"],
		...["-iex", `directory ${kernel.source}`],
		kernel.vmlinux,
		...["-ex", `target remote 127.0.0.1:${card.gdb.port}`],
		...symbols[guest](moduleFolder(domain)),
		...(guest === "not booted" ? toTheKernel : []),
		...args,
	];
}

/**
 * No compiled files of the kernel's Python scripts beside them: a build is as it was made, whoever debugs it. gdb has to be told before
 * its Python is there, which is earlier than -iex.
 */
export const quietPython: readonly string[] = ["-eiex", "set python dont-write-bytecode on"];

/**
 * How gdb comes to the symbols of modules: those that are loaded, and those that will be. Before there is a kernel,
 * lx-symbols would look for its list of modules in vain, so gdb gets the part of it alone that waits for the next one; with
 * a hardware breakpoint, since KVM would write one of the other kind into memory that the kernel is yet to be put into.
 */
const symbols: Readonly<Record<Guest, (folder: string) => string[]>> = {
	booted: (folder) => ["-ex", `lx-symbols ${folder}`],
	"not asked": () => [],
	"not booted": laterSymbols,
};

/** A function of a module can have its breakpoint before the module is there. */
export function laterSymbols(folder: string): string[] {
	const commands = [
		"set breakpoint pending on",
		`source ${project}/cli/debug/gdb-modules.py`,
		`lx-symbols-later ${folder}`,
	];
	return commands.flatMap((command) => ["-ex", command]);
}

/** Where a processor begins, in the firmware, a kernel's symbols mean nothing yet. */
const toTheKernel = ["-ex", "thbreak start_kernel", "-ex", "continue"];

/** The domain's /lib/modules: what its guest loads by itself, such as LTTng's tracer, is there as well. */
function moduleFolder({ card }: Domain): string {
	return `/var/lib/tracelab/domains/${card.libvirtName}/root/lib/modules`;
}

/** @throws LabError where a file with symbols is not there, or is something else */
export function readSymbols(file: string, { stack }: Domain): ElfFacts {
	try {
		return readElf(onHost(file));
	} catch (error) {
		const why = error instanceof ElfError ? error.message : systemCode(error);
		if (why === undefined) throw error;
		throw new LabError(
			`${file} ${why === "ENOENT" ? "is gone" : `cannot be read: ${why}`}`,
			`./lab${stackOption(stack)} up makes it again`,
		);
	}
}

/** @throws LabError where gdb would have no symbols of the kernel */
export function checkVmlinux(domain: Domain): ElfFacts {
	const { vmlinux } = domain.kernel;
	const elf = readSymbols(vmlinux, domain);
	if (elf.debugInfo) return elf;
	throw new LabError(
		`${vmlinux} has no debug information`,
		"ask for CONFIG_DEBUG_INFO_DWARF5=y in the stack file, as the fragment quickstart does",
	);
}

/** Only looked at: whoever connects to a gdbstub stops the guest, and a second debugger would wait for ever. */
export async function checkGdbstub(domain: Domain): Promise<void> {
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

/**
 * The build-id of the guest's kernel lies in its memory where vmlinux says. Where another is there, or none, a guest that
 * answers says which it runs, and of one that does not it is known what it boots.
 */
async function checkBuildId(domain: Domain, elf: ElfFacts, state: "running" | "paused"): Promise<Guest> {
	const { name, kernel, stack } = domain;
	if (elf.notes !== undefined && elf.buildId !== undefined) {
		const there = buildIdIn(await guestMemory(domain, elf.notes.address, elf.notes.length));
		if (there === elf.buildId) return "booted";
	}
	const agent = new GuestAgent(domain);
	const answers = state === "running" && (await agent.answers(5));
	const file = answers ? undefined : (await definition(domain)).kernel;
	const id = answers ? buildIdIn((await agent.exec(["cat", "/sys/kernel/notes"])).stdout) : buildIdBeside(String(file));
	if (id === elf.buildId && id !== undefined) return answers ? "booted" : "not booted";
	throw new LabError(
		`${quote(name)} ${file === undefined ? "runs" : `boots ${file},`} a kernel with build-id ${id ?? "unknown"}, but ${kernel.vmlinux} has ${elf.buildId ?? "none"}: its symbols would be wrong`,
		`./lab${stackOption(stack)} up starts ${name} on the kernel that belongs to it`,
	);
}

/** What the build says of a bzImage. */
function buildIdBeside(bzImage: string): string | undefined {
	try {
		return readFileSync(onHost(`${dirname(bzImage)}/build-id`), "utf8").trim();
	} catch {
		return undefined;
	}
}

/** gdb detaches when it ends, and the guest goes on; one that was killed could not. */
export async function letGo(domain: Domain, before: "running" | "paused"): Promise<void> {
	if (before === "paused" || !existsSync(onHost(`/run/libvirt/qemu/${domain.card.libvirtName}.pid`))) return;
	if ((await domainState(domain)) !== "paused") return;
	await askQemu(domain, "resume");
	say(`lab: gdb left ${domain.name} stopped: it goes on now`);
}
