import { lstatSync } from "node:fs";
import { basename } from "node:path";
import type { Domain } from "../card.ts";
import { LabError } from "../errors.ts";
import { onHost } from "../host.ts";
import { domainProcess } from "../libvirt.ts";
import { run } from "../program.ts";
import { tracepointsOf, unseenQemu } from "../trace/causes.ts";
import { startedAgain, up } from "./claim.ts";

// What the host shows of a domain's process.

/** @throws LabError for a domain that does not run */
export function processOf(domain: Domain): { pid: number; program: string } {
	const process = domainProcess(domain);
	if (process !== undefined) return process;
	throw new LabError(`domain ${domain.name} has no process`, `${up(domain)} starts it`);
}

export async function emulator(domain: Domain): Promise<string> {
	const { pid, program } = processOf(domain);
	if (program === domain.card.emulator) return `/proc/${pid}/exe -> ${program}`;
	throw new LabError(
		`/proc/${pid}/exe is ${program || "gone"}, not ${domain.card.emulator}`,
		`${up(domain)} starts it anew`,
	);
}

export async function processName(domain: Domain): Promise<string> {
	const { processName } = domain.card;
	const { pid } = processOf(domain);
	const { stdout } = await run("pgrep", ["-x", processName]);
	const found = stdout.split("\n").filter((line) => line !== "");
	if (!found.includes(String(pid))) {
		throw new LabError(
			`pgrep -x ${processName} finds ${found.join(", ") || "nothing"}, and not process ${pid}`,
			`${up(domain)} starts it anew, with set_process_name in /etc/libvirt/qemu.conf`,
		);
	}
	if (found.length === 1) return `pgrep -x ${processName}: ${pid}`;
	throw new LabError(
		`pgrep -x ${processName} finds ${found.join(", ")}, of which ${pid} alone is ${domain.name}`,
		"end the others, or give the domain another processName in the stack file",
	);
}

export async function builtWithUst(domain: Domain): Promise<string> {
	const { emulator } = domain.card;
	const { code, stdout, stderr } = await run("readelf", ["-d", onHost(emulator)]);
	if (code !== 0) {
		const why = stderr.trim().split(": ").at(-1);
		throw new LabError(`readelf cannot read ${emulator}: ${why}`, `${up(domain)} builds it again`);
	}
	const needed = stdout.split("\n").find((line) => line.includes("liblttng-ust.so"));
	if (needed !== undefined) return needed.trim().replaceAll(/\s+/g, " ");
	throw new LabError(
		`${emulator} is not linked with liblttng-ust`,
		"write traceBackends: [ust] for it in the stack file",
	);
}

export async function tracepoints(domain: Domain): Promise<string> {
	const { pid } = processOf(domain);
	const listed = (await tracepointsOf(pid))?.filter((name) => name.startsWith("qemu:")) ?? [];
	if (listed.length > 0) return `lttng list -u: ${listed.length} qemu:* tracepoints in process ${pid}`;
	const cause = await unseenQemu(domain, pid);
	if (cause !== undefined) throw new LabError(cause.why, cause.todo);
	throw new LabError(
		`process ${pid} of ${domain.name} is registered with root's session daemon, and has no qemu:* tracepoint`,
		`write traceBackends: [ust] for ${domain.card.emulator} in the stack file`,
	);
}

export async function listeners(domain: Domain): Promise<string> {
	const { card } = domain;
	const { pid } = processOf(domain);
	const addresses = await listening(pid, "-ntu");
	const open = addresses.filter((address) => !/^(127\.0\.0\.1|\[::1\]):/.test(address));
	if (open.length > 0) {
		throw new LabError(
			`process ${pid} listens on ${open.join(", ")}`,
			startedAgain(domain, "listens on 127.0.0.1 alone"),
		);
	}
	const stub = `127.0.0.1:${card.gdb.port}`;
	if (addresses.includes(stub)) return `ss -lntup: ${addresses.join(", ")}`;
	throw new LabError(
		`process ${pid} has no gdbstub on ${stub}; it listens on ${addresses.join(", ") || "nothing"}`,
		`${up(domain)} starts it anew`,
	);
}

export async function sockets(domain: Domain): Promise<string> {
	const { pid } = processOf(domain);
	const paths = await listening(pid, "-x");
	// Whoever may write to a socket may connect to it; and anybody to one that is no file (unix(7), abstract).
	const unnamed = paths.filter((path) => path.startsWith("@"));
	if (unnamed.length > 0) {
		throw new LabError(
			`process ${pid} listens on ${unnamed.join(", ")}, which is no file, so that everybody may connect`,
			startedAgain(domain, "has none"),
		);
	}
	const open = paths.filter((path) => (mode(path) & 0o002) !== 0);
	if (open.length === 0)
		return `ss -lxp: ${paths.map((path) => `${basename(path)} ${mode(path).toString(8)}`).join(", ") || "none"}`;
	throw new LabError(
		`process ${pid} listens on ${open.join(", ")}, which everybody may write to`,
		`close it: chmod o-w ${open.join(" ")}`,
	);
}

/** What a process listens on: addresses, or paths of unix sockets. */
async function listening(pid: number, kind: "-ntu" | "-x"): Promise<string[]> {
	const { stdout } = await run("ss", ["-Hlp", kind]);
	return stdout
		.split("\n")
		.filter((line) => line.includes(`pid=${pid},`))
		.map((line) => line.trim().split(/\s+/)[4] ?? "");
}

/** Its permissions; one that was removed has none, since nobody finds it. */
const mode = (path: string): number => (lstatSync(onHost(path), { throwIfNoEntry: false })?.mode ?? 0) & 0o777;
