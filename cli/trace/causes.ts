import { globSync, readFileSync, statSync } from "node:fs";
import { matches } from "../../spec/profile.ts";
import type { Run } from "../../spec/run.ts";
import { type Domain, stackOption } from "../card.ts";
import type { GuestAgent } from "../guest/agent.ts";
import { onHost } from "../host.ts";
import { domainProcess } from "../libvirt.ts";
import { run } from "../program.ts";

/** Why a layer recorded nothing, as far as a look can tell, and what to do. */
export interface Cause {
	readonly why: string;
	readonly todo: string;
}

type Look = () => Promise<Cause | undefined>;

/** The first cause that a look finds for QEMU's layer of a domain being empty, in the order in which one hides the next. */
export async function emptyQemu(domain: Domain, pid: number, names: readonly string[]): Promise<Cause> {
	const looks = [
		async () => anotherProgram(domain, pid),
		() => unseenQemu(domain, pid),
		() => notBuiltIn(domain, pid, names),
	];
	return (await firstOf(looks)) ?? nothingHappened(names);
}

/** Why LTTng does not see a domain's QEMU at all, where it does not. */
export async function unseenQemu(domain: Domain, pid: number): Promise<Cause | undefined> {
	return firstOf([
		() => noSessionDaemon(domain),
		async () => withoutUst(domain, pid),
		async () => notLetIn(domain, pid),
		() => notRegistered(domain, pid),
	]);
}

/** The same for a guest's kernel. */
export async function emptyGuest(domain: Domain, agent: GuestAgent, names: readonly string[]): Promise<Cause> {
	const looks = [() => noModules(domain, agent), () => notInKernel(domain, agent, names)];
	return (await firstOf(looks)) ?? nothingHappened(names);
}

/** The same for the host's kernel, and for a guest's that ftrace recorded: either began with such events only. */
export const emptyKernel = (names: readonly string[]): Cause => nothingHappened(names);

async function firstOf(looks: readonly Look[]): Promise<Cause | undefined> {
	for (const look of looks) {
		const cause = await look();
		if (cause !== undefined) return cause;
	}
	return undefined;
}

/** The process that was traced is not, or not any more, the QEMU that this lab built for the domain. */
function anotherProgram(domain: Domain, pid: number): Cause | undefined {
	const { name, card, stack } = domain;
	const process = domainProcess(domain);
	const todo = `./lab${stackOption(stack)} up starts it on this lab's QEMU`;
	if (process === undefined) return { why: `${name} has no process any more`, todo };
	if (process.pid !== pid) return { why: `${name} is process ${process.pid} now, and ${pid} was traced`, todo };
	if (process.program === card.emulator) return undefined;
	return { why: `process ${pid} of ${name} is ${process.program || "unknown"}, not ${card.emulator}`, todo };
}

export async function noSessionDaemon({ stack }: Domain): Promise<Cause | undefined> {
	const { code, stderr } = await run("lttng", ["--no-sessiond", "list"]);
	if (code === 0) return undefined;
	const said = stderr.trim().split("\n").at(-1);
	return { why: `root's session daemon does not answer: ${said}`, todo: `./lab${stackOption(stack)} up starts it` };
}

/** What a process has mapped tells it even of a program whose file is another by now. */
function withoutUst(domain: Domain, pid: number): Cause | undefined {
	const mapped = text(`/proc/${pid}/maps`);
	if (mapped === "" || mapped.includes("/liblttng-ust.so")) return undefined;
	return {
		why: `process ${pid} of ${domain.name} is not built with LTTng-UST`,
		todo:
			anotherProgram(domain, pid)?.todo ??
			`write traceBackends: [ust] for ${domain.card.emulator} in the stack file, then ./lab${stackOption(domain.stack)} up`,
	};
}

/**
 * The socket where programs register with root's session daemon is open to every account as LTTng 2.13 makes it: the
 * group `tracing` is for who controls the daemon. Where somebody closed it, a process needs the socket's group, and has
 * the groups that there were when it started.
 */
export function notLetIn({ name, stack }: Domain, pid: number): Cause | undefined {
	const folder = "/run/lttng";
	const [file] = globSync("lttng-ust-sock-*", { cwd: onHost(folder) });
	if (file === undefined) return undefined;
	const socket = `${folder}/${file}`;
	const { mode, gid } = statSync(onHost(socket));
	const status = text(`/proc/${pid}/status`);
	const groups = /^Groups:\t(.*)$/m.exec(status)?.[1]?.trim().split(" ") ?? [];
	const uid = /^Uid:\t(\d+)/m.exec(status)?.[1];
	if (uid === "0" || mode & 0o002 || (mode & 0o020 && groups.includes(String(gid)))) return undefined;
	const lab = `./lab${stackOption(stack)}`;
	return {
		why: `process ${pid} of ${name} may not register with root's session daemon: ${socket} has mode ${(mode & 0o777).toString(8)}, and the process the groups ${groups.join(", ")}`,
		todo: `open the socket as LTTng does (chmod 666 ${socket}), or to the group tracing, which libvirt-qemu is in; then start the domain again: ${lab} exec ${name} -- poweroff, then ${lab} up`,
	};
}

/** QEMU looks for the session daemon when it starts, and again when that one comes back. */
async function notRegistered({ name, stack }: Domain, pid: number): Promise<Cause | undefined> {
	if ((await tracepointsOf(pid)) !== undefined) return undefined;
	return {
		why: `process ${pid} of ${name} is not registered with root's session daemon, as lttng list -u shows: the daemon was down or was started again, and QEMU did not come back to it`,
		todo: `wait some seconds and look again; where it stays away, start the domain again: ./lab${stackOption(stack)} exec ${name} -- poweroff, then ./lab${stackOption(stack)} up`,
	};
}

async function notBuiltIn({ name, card }: Domain, pid: number, names: readonly string[]): Promise<Cause | undefined> {
	const there = (await tracepointsOf(pid)) ?? [];
	if (names.some((pattern) => there.some((event) => matches(`qemu:${pattern}`, event)))) return undefined;
	return {
		why: `the QEMU of ${name} has none of these tracepoints: ${names.join(", ")}`,
		todo: `it is ${card.emulator}: see lttng list -u for those that it has, and traceBackends in the stack file`,
	};
}

async function noModules({ name }: Domain, agent: GuestAgent): Promise<Cause | undefined> {
	const { code } = await agent.exec(["/bin/sh", "-c", "modinfo lttng-tracer >/dev/null 2>&1"]);
	if (code === 0) return undefined;
	return {
		why: `guest ${name} has no lttng-modules for its kernel`,
		todo: "give the domain the modules lttng in the stack file, as stacks/quickstart.yaml does, then run up",
	};
}

/**
 * What was asked for, and is no event of a domain's QEMU or of its guest's kernel, a sentence for each of the two: LTTng takes any
 * name, and where others of the layer happen, nobody sees that one is missing. Where none is there, the layer is empty, and has a cause.
 *
 * @param agent of a guest that answers
 * @param enabled the guest's events that were there, where ftrace recorded them
 */
export async function unknownEvents(
	{ name }: Domain,
	{ domains, asked }: Run,
	seen: { userspace: Registered; agent: GuestAgent | undefined; enabled: readonly string[] | undefined },
): Promise<string[]> {
	const { userspace, agent, enabled } = seen;
	const qemu = userspace.get(domains[name]?.pid ?? 0) ?? [];
	const asksGuest = asked.guest.length > 0 && agent !== undefined;
	const guest = enabled ?? (asksGuest ? await kernelEvents(agent).catch(() => []) : []);
	const qemuNames = asked.qemu.map((pattern) => `qemu:${pattern}`);
	return [...unknown(`the QEMU of ${name}`, qemuNames, qemu), ...unknown(`the kernel of ${name}`, asked.guest, guest)];
}

/** The same of the host's kernel. */
export async function unknownHostEvents({ asked }: Run, enabled?: readonly string[]): Promise<string[]> {
	const there = enabled ?? eventsIn((await run("lttng", listKernel)).stdout);
	return unknown("the kernel of this host", asked.host, there);
}

function unknown(whose: string, names: readonly string[], there: readonly string[]): string[] {
	const missing = names.filter((pattern) => !there.some((event) => matches(pattern, event)));
	if (missing.length === 0 || missing.length === names.length) return [];
	return [`${whose} has no tracepoint ${missing.join(", ")}: nothing of that was recorded`];
}

const listKernel = ["--no-sessiond", "list", "--kernel"];

const eventsIn = (listed: string): string[] =>
	[...listed.matchAll(/^ +(\w+) \(loglevel/gm)].map(([, event = ""]) => event);

async function kernelEvents(agent: GuestAgent): Promise<string[]> {
	return eventsIn((await agent.exec(["lttng", ...listKernel])).stdout.toString());
}

async function notInKernel({ name }: Domain, agent: GuestAgent, names: readonly string[]): Promise<Cause | undefined> {
	const there = await kernelEvents(agent);
	if (there.length === 0 || names.some((pattern) => there.some((event) => matches(pattern, event)))) return undefined;
	return {
		why: `the kernel of ${name} has none of these tracepoints: ${names.join(", ")}`,
		todo: "see those that it has, in the guest: lttng list --kernel; some need another kernel configuration",
	};
}

function nothingHappened(names: readonly string[]): Cause {
	return {
		why: `all is well with the tracing, but none of these happened: ${names.join(", ")}`,
		todo: "have the command do what the profile is for, or take another profile: ls profiles/",
	};
}

/** The processes that are registered with root's session daemon, and the tracepoints of each. */
export type Registered = ReadonlyMap<number, string[]>;

export async function registered(): Promise<Registered> {
	const { stdout } = await run("lttng", ["--no-sessiond", "list", "--userspace"]);
	const [, ...processes] = stdout.split(/^PID: /m);
	return new Map(
		processes.map((text) => [
			Number.parseInt(text, 10),
			[...text.matchAll(/^ +(\w+:\w+) /gm)].map(([, name = ""]) => name),
		]),
	);
}

/** The tracepoints of a process that is registered; nothing for one that is not. */
export const tracepointsOf = async (pid: number): Promise<string[] | undefined> => (await registered()).get(pid);

function text(file: string): string {
	try {
		return readFileSync(onHost(file), "utf8");
	} catch {
		return "";
	}
}
