import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join, relative } from "node:path";
import type { CtfLine } from "../../spec/ctf-line.ts";
import { incomplete } from "../../spec/disk-interrupts.ts";
import { buffersFor } from "../../spec/profile.ts";
import { type Run, type RunLayer, titleOf } from "../../spec/run.ts";
import { type Domain, stackOption } from "../card.ts";
import { beaconIn, checkBound, checkOffsets, fitRun, type TracedBeacon } from "../clock/run-clock.ts";
import { guestSystemClock, hostClock, type SystemClock } from "../clock/system-clock.ts";
import { inOne, LabError, orFault } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { domainProcess, PausedError } from "../libvirt.ts";
import { ctfClock, ctfTraces } from "../runs/ctf.ts";
import { causalityText, clockText, orderText } from "../runs/events.ts";
import { causality } from "../runs/merge.ts";
import { emptyGuest, emptyKernel, emptyQemu, registered, unknownEvents, unknownHostEvents } from "./causes.ts";
import { bytesIn, countEvents, plainName } from "./event-counts.ts";
import { fetchPart, type GuestPart, type GuestParts, partIn } from "./guest.ts";
import { convertHost, written } from "./host-kernel.ts";
import { type Losses, lossesIn } from "./lttng.ts";
import type { Recording } from "./record.ts";
import { clockEvents, untracedHost } from "./session.ts";

/**
 * Makes a whole run of what the sessions wrote: brings the guests' parts in, counts what is there, and puts the guests'
 * clocks on the host's. Returns what is to be said of the clocks.
 *
 * @param said what `lttng --mi xml list` says of the host's session, or why that is gone
 * @param host what ftrace has of the host's kernel, where it recorded that, or why that cannot be had
 * @throws PausedError where a debugger stops a guest of a run while its part is fetched
 */
export async function completeRun(
	recording: Recording,
	said: string | LabError,
	parts: GuestParts,
	host: GuestPart | LabError | undefined,
) {
	const { folder, session, run } = recording;
	moveKernel(folder);
	const qemu = await qemuPart(recording, said);
	const qemuFault = [said, qemu].find((one) => one instanceof LabError);
	if (qemuFault !== undefined) recording.qemuFault = qemuFault;
	if (!(qemu instanceof LabError)) recording.processes = qemu.processes;
	run.layers.unshift(qemu instanceof LabError ? absentQemu(qemu) : qemu.layer);
	run.layers.push(...(await hostLayer(recording, said, host)));
	if (said instanceof LabError && !(qemu instanceof LabError)) {
		run.notes.push(
			`trace session ${session.session} was gone when the run was stopped: what came last is not in the run, and what was lost before is not counted`,
		);
		await endWithBoot(recording, qemu.last);
	}
	const guests: Record<string, SystemClock> = {};
	const userspace = await registered();
	for (const domain of session.domains) {
		run.notes.push(...endedQemu(domain, run));
		const part = parts.get(domain.name);
		const agent = new GuestAgent(domain);
		// Whoever does not answer, or gave no part, says nothing else either, and would be waited for each time.
		const fault = part instanceof LabError ? part : recording.silent?.get(domain.name);
		const clock = fault ?? (await orFault(() => guestSystemClock(agent)));
		if (!(clock instanceof LabError)) {
			guests[domain.name] = clock;
			run.notes.push(...clockChange(domain, run, clock));
		}
		let enabled: readonly string[] | undefined;
		if (part !== undefined) {
			const fetched = await orFault(() => guestLayer(recording, domain, agent, part));
			// A run's guest gives it once it goes on; of a snapshot, the others go on meanwhile.
			if (fetched instanceof PausedError && run.mode === "stream") throw fetched;
			if (fetched instanceof LabError) recording.guestFaults.set(domain.name, fetched);
			else enabled = fetched.enabled;
			run.layers.push(fetched instanceof LabError ? await brokenOff(recording, domain.name, fetched) : fetched.layer);
		}
		run.notes.push(
			...(await unknownEvents(domain, run, { userspace, agent: fault === undefined ? agent : undefined, enabled })),
		);
	}
	for (const name of Object.keys(run.rotated ?? {})) {
		if (session.domains.some((domain) => domain.name === name)) continue;
		run.layers.push(await brokenOff(recording, name, new LabError("the lab has no such domain any more")));
	}
	run.notes.push(...run.layers.flatMap((layer) => lossOf(layer, recording)));
	if (!existsSync(join(folder, "clock"))) return [];
	try {
		const beacons = qemu instanceof LabError ? [] : qemu.beacons;
		recording.clock = await fitRun(folder, { guests, domains: run.domains, beacons });
		run.notes.push(...checkOffsets(recording.clock));
		return [...clockText(recording.clock), ...(await orderOf(recording))];
	} catch (error) {
		if (!(error instanceof LabError)) throw error;
		// Where QEMU recorded nothing, it recorded no beacons either, and has a cause that says more.
		recording.clockFault = error;
		run.notes.push(error.message);
		return [];
	}
}

/** That a session followed a process which the domain has no more; a snapshot says it before. */
function endedQemu(domain: Domain, { domains, mode }: Run): string[] {
	const pid = domains[domain.name]?.pid;
	if (mode === "snapshot" || domainProcess(domain)?.pid === pid) return [];
	return [
		`the QEMU of ${domain.name} that was recorded, process ${pid}, has ended: nothing that ${domain.name} did behind that is in the run`,
	];
}

/** That a guest's clock began anew, or has another source than at the start, whether or not it shows that. */
function clockChange({ name }: Domain, { domains }: Run, { clocksource: to, bootId }: SystemClock): string[] {
	const { clocksource: from = to, bootId: before = bootId } = domains[name] ?? {};
	return [
		...(before === bootId ? [] : [`guest ${name} was started again in the run: its clock began anew there`]),
		...(from === to ? [] : [`the clocksource of guest ${name} changed from ${from} to ${to} in the run`]),
	];
}

/** What was lost of a layer, and why; what a flight recorder writes over, it is there to forget. */
function lossOf(layer: RunLayer, { session, run }: Recording): string[] {
	const packets = run.mode === "snapshot" ? 0 : layer.lostPackets;
	const lost = [
		...(layer.discarded > 0 ? [`${layer.discarded} events`] : []),
		...(packets > 0 ? [`${packets} packets of events`] : []),
	];
	if (lost.length === 0) return [];
	const { size, count } = buffersFor(session.profile);
	return [
		`${titleOf(layer)} lost ${lost.join(" and ")}: its buffers (${count} of ${size / 1024} KiB for each processor, by a budget of ${run.budget.rate} MB/s) were full; record less, by a smaller profile, or allow more, by budget: in a copy of profiles/${run.profile}.yaml or in traces: of the stack file`,
	];
}

/** Events that are read back within some seconds. */
const readable = 500_000;

/** Whether causes come first, where the run has events to compare. */
async function orderOf(recording: Recording): Promise<string[]> {
	const { folder, run } = recording;
	const has = (which: RunLayer["layer"], ...names: string[]) =>
		run.layers.some(({ layer, events }) => layer === which && names.some((name) => (events[name] ?? 0) > 0));
	if (!has("qemu", "virtio_blk_req_complete") || !has("guest", "block_rq_complete", "irq_handler_entry")) return [];
	const absent = incomplete(run);
	if (absent !== undefined) return [`causes and effects are not compared: ${absent}`];
	const total = run.layers.reduce((sum, layer) => sum + layer.total, 0);
	const lab = `./lab${stackOption(run.stack)}`;
	if (total > readable)
		return [`whether causes come first is not looked at in ${total} events; ${lab} events ${run.run} >/dev/null does`];
	recording.causality = await causality(folder, run);
	return orderText(recording.causality);
}

const uncounted: Losses = { discarded: 0, lostPackets: 0 };
const nothing = { events: {}, total: 0, ...uncounted, bytes: 0 };

/** The host's kernel as a layer of a run where it cannot be traced. */
export const absentHost = (absent: string): RunLayer => ({ ...ofHost, ...nothing, absent });

const absentQemu = ({ message }: LabError): RunLayer => ({
	...{ layer: "qemu", path: "qemu", ...nothing },
	absent: `QEMU's part is not to be had: ${message}`,
});

/** The layer of a guest that does not give its part at the end: what it gave when the run was rotated, where it was. */
async function brokenOff({ folder, run }: Recording, name: string, { message }: LabError): Promise<RunLayer> {
	const layer = { layer: "guest", domain: name, path: `guest/${name}` } as const;
	const losses = run.rotated?.[name];
	const given = losses && (await orFault(() => layerOf(folder, layer, losses)));
	if (given !== undefined && !(given instanceof LabError)) return given;
	return { ...layer, ...nothing, absent: `the part of guest ${name} is not to be had: ${message}` };
}

const ofHost = { layer: "host", path: "host" } as const;

/** The host's layer, or why it is absent; nothing where nobody asked for it, or where that was said before. */
async function hostLayer(
	recording: Recording,
	said: string | LabError,
	part: GuestPart | LabError | undefined,
): Promise<RunLayer[]> {
	const { folder, session, run } = recording;
	const lost = (fault: LabError) => {
		recording.hostFault = fault;
		return [absentHost(`the part of this host's kernel is not to be had: ${fault.message}`)];
	};
	const read = async (work: () => Promise<RunLayer>) => {
		const layer = await orFault(work);
		return layer instanceof LabError ? lost(layer) : [layer];
	};
	const convert = async (taken: GuestPart): Promise<RunLayer> => {
		const { losses, ftrace } = await convertHost(taken, `${folder}/host`, run.mode);
		run.notes.push(hostByFtrace, ...(await unknownHostEvents(run, ftrace)));
		return { ...(await layerOf(folder, ofHost, losses)), tracer: "ftrace" };
	};
	// What it wrote before is there.
	const leftOf = async (work: () => Promise<RunLayer>, fault: LabError) => {
		const layer = await orFault(work);
		if (layer instanceof LabError || layer.total === 0) return undefined;
		recording.hostFault = fault;
		return [layer];
	};
	if (part instanceof LabError) {
		const left = run.mode === "stream" ? await leftOf(() => convert(partIn(written(session), "")), part) : undefined;
		return left ?? lost(part);
	}
	if (part !== undefined) return read(() => convert(part));
	if (existsSync(`${folder}/host`)) {
		if (said instanceof LabError) {
			const left = await leftOf(() => layerOf(folder, ofHost, uncounted), new LabError("that went with QEMU's"));
			return left ?? [absentHost("the part of this host's kernel went with QEMU's")];
		}
		return read(async () => {
			run.notes.push(...(await unknownHostEvents(run)));
			return layerOf(folder, ofHost, lossesIn(said, "KERNEL"));
		});
	}
	if (run.asked.host.length === 0 || run.layers.some(({ layer }) => layer === "host")) return [];
	const untraced = await untracedHost(session);
	if (untraced !== "") return [absentHost(untraced)];
	const todo = run.mode === "stream" ? "record it again" : `./lab${stackOption(run.stack)} up records it again`;
	return lost(new LabError("nothing recorded it any more", todo));
}

/** Which of the two tracers of a kernel it was, where it was not LTTng's. */
export const hostByFtrace = "the kernel of this host has no lttng-modules: ftrace recorded it";
export const byFtrace = (domain: string) => `guest ${domain} has no lttng-modules for its kernel: ftrace recorded it`;

/** A guest's layer, and where ftrace recorded it, the events that were enabled. */
async function guestLayer(
	{ folder, session, run }: Recording,
	{ name }: Domain,
	agent: GuestAgent,
	part: GuestPart | LabError,
): Promise<{ layer: RunLayer; enabled?: readonly string[] }> {
	if (part instanceof LabError) throw part;
	// What finds no room in the guest's memory is lost, and LTTng does not count it.
	if (part.room < buffersFor(session.profile).size)
		run.notes.push(
			`the memory of guest ${name} for traces (/dev/shm) is full: what came last is not in its layer, and not counted as lost; record less at a time, or give the domain more memory:`,
		);
	const path = `guest/${name}`;
	const { losses, lttng, ftrace } = await fetchPart(agent, part, join(folder, path), run.mode);
	const layer = await layerOf(folder, { layer: "guest", domain: name, path }, losses);
	if (lttng !== undefined) run.lttng.guests[name] = lttng;
	if (ftrace === undefined) return { layer };
	run.notes.push(byFtrace(name));
	return { layer: { ...layer, tracer: "ftrace" }, enabled: ftrace };
}

/** The kernel's part of the host's session stands beside QEMU's, and is a layer of its own. */
export function moveKernel(folder: string): void {
	if (!existsSync(`${folder}/qemu`)) return;
	for (const entry of readdirSync(`${folder}/qemu`, { recursive: true, withFileTypes: true })) {
		if (!entry.isDirectory() || entry.name !== "kernel") continue;
		// One for each rotation.
		const own = join(folder, "host", relative(`${folder}/qemu`, entry.parentPath));
		mkdirSync(own, { recursive: true });
		renameSync(join(entry.parentPath, entry.name), join(own, entry.name));
	}
}

/** What there is of QEMU's part: of a session that is gone, what it had written by then, if it had anything. */
async function qemuPart(recording: Recording, said: string | LabError) {
	if (!(said instanceof LabError)) return orFault(() => qemuLayer(recording, lossesIn(said, "UST")));
	const left = await orFault(() => qemuLayer(recording, uncounted));
	return left instanceof LabError || left.layer.total === 0 ? said : left;
}

/** A host that was started again has another CLOCK_MONOTONIC: on its own, a run goes as far as its last event. */
async function endWithBoot({ folder, run }: Recording, last: bigint): Promise<void> {
	const [trace] = ctfTraces(join(folder, "qemu"));
	const started = BigInt(run.monotonic.started);
	if (trace === undefined || (await ctfClock(trace)).uuid === hostClock().bootId) return;
	// It began by itself a little before the run did.
	const end = last > started ? last : started;
	run.monotonic.ended = String(end);
	run.ended = new Date(Date.parse(run.started) + Number((end - started) / 1_000_000n)).toISOString();
	run.notes.push("this host was started again while it recorded: the run ends with the last event of QEMU");
}

/**
 * QEMU's layer, its beacons, the instant of its last event, and how many events each process has in it, but for those that are
 * there for the clock alone.
 */
async function qemuLayer({ folder, run }: Recording, losses: Losses) {
	const beacons: TracedBeacon[] = [];
	const processes = new Map<number, number>();
	const unasked = clockEvents(run.asked.qemu);
	let last = 0n;
	const look = (event: CtfLine) => {
		if (event.cycles > last) last = event.cycles;
		const beacon = beaconIn(event);
		if (beacon !== undefined) beacons.push(beacon);
		if (!unasked.includes(plainName(event))) processes.set(event.pid, (processes.get(event.pid) ?? 0) + 1);
	};
	const layer = await layerOf(folder, { layer: "qemu", path: "qemu" }, losses, look);
	return { layer, beacons, last, processes };
}

export async function layerOf(
	folder: string,
	layer: Pick<RunLayer, "layer" | "domain" | "path">,
	losses: Losses,
	look?: (event: CtfLine) => void,
): Promise<RunLayer> {
	let first: bigint | undefined;
	let last = 0n;
	const { events, total } = await countEvents(join(folder, layer.path), (event) => {
		const { cycles } = event;
		if (first === undefined || cycles < first) first = cycles;
		if (cycles > last) last = cycles;
		look?.(event);
	});
	const seconds = Number(last - (first ?? last)) / 1e9;
	return { ...layer, events, total, ...losses, bytes: bytesIn(join(folder, layer.path)), seconds };
}

/**
 * Nothing is silent: a layer that recorded nothing of what it was asked for is an error that names its cause.
 *
 * @throws LabError for such layers, and where all recorded, for clocks that nothing puts on the host's
 */
export async function checkLayers(recording: Recording): Promise<void> {
	const { session, run, clockFault, processes, guestFaults, qemuFault, hostFault } = recording;
	const found: { title: string; lacks?: string; why: string; todo: string }[] = [];
	const { qemu, guest, host } = run.asked;
	const absent = run.layers.find(({ layer }) => layer === "host")?.absent;
	if (absent !== undefined && hostFault === undefined && qemu.length + guest.length === 0)
		throw new LabError(absent, "leave --layer host out, or install lttng-modules-dkms on this host");
	if (qemuFault !== undefined && qemu.length === 0) throw qemuFault;
	// What is not there of a layer that has some events is what came last.
	const lacksOf = (which: RunLayer["layer"]) =>
		run.layers.some(({ layer, total }) => layer === which && total > 0) ? { lacks: "lacks what came last" } : {};
	const ofFault = ({ message: why, todo }: LabError) => ({ why, todo });
	if (qemuFault !== undefined) found.push({ title: "qemu", ...lacksOf("qemu"), ...ofFault(qemuFault) });
	else if (qemu.length > 0) {
		const known = new Set(Object.values(run.domains).map(({ pid }) => pid));
		const ofOthers = [...(processes?.keys() ?? [])].some((pid) => !known.has(pid));
		for (const domain of session.domains) {
			const pid = run.domains[domain.name]?.pid ?? 0;
			if ((processes?.get(pid) ?? 0) > 0) continue;
			// A snapshot of two QEMUs that crashed does not know which was whose.
			if (pid === 0 && ofOthers) continue;
			found.push({ title: `qemu of ${domain.name}`, ...(await emptyQemu(domain, pid, qemu)) });
		}
	}
	for (const layer of run.layers.filter((one) => one.layer === "guest")) {
		const domain = session.domains.find(({ name }) => name === layer.domain);
		const fault = guestFaults.get(layer.domain ?? "");
		if (domain === undefined || (layer.total > 0 && fault === undefined)) continue;
		const cause =
			fault === undefined
				? layer.tracer === "ftrace"
					? emptyKernel(guest)
					: await emptyGuest(domain, new GuestAgent(domain), guest)
				: { why: layer.absent ?? fault.message, todo: fault.todo };
		const lacks = layer.total > 0 ? "lacks what came after its last piece" : "recorded nothing";
		found.push({ title: titleOf(layer), lacks, ...cause });
	}
	if (run.layers.some(({ layer, total, absent }) => layer === "host" && total === 0 && absent === undefined))
		found.push({ title: "host", ...emptyKernel(host) });
	if (hostFault !== undefined) found.push({ title: "host", ...lacksOf("host"), ...ofFault(hostFault) });
	if (found.length === 0 && clockFault !== undefined) throw clockFault;
	if (found.length === 0) return;
	throw inOne(
		found.map(({ title, lacks = "recorded nothing", why, todo }) => ({
			message: `the layer ${title} ${lacks}: ${why}`,
			todo,
		})),
	);
}

/** @throws LabError where an effect comes before its cause by more than the clocks' bound */
export function checkOrder({ session, causality }: Recording): void {
	const checks = causality?.checks.filter(({ contradictions }) => contradictions > 0) ?? [];
	if (checks.length === 0) return;
	const measured = session.domains.map(({ name, stack }) => `./lab${stackOption(stack)} clock ${name}`).join(" and ");
	throw new LabError(
		causalityText({ checks, unpaired: 0 }).join("\n"),
		`the clock's bound is false there: docs/clocks.md has what it takes for granted, and ${measured} measures it again`,
	);
}

/**
 * @param limit nanoseconds; by default what is usual for the method
 * @throws LabError for guests whose clocks are not known to that on the host's
 */
export function checkClocks({ clock }: Recording, limit?: number): void {
	const over = clock === undefined ? [] : checkBound(clock, limit);
	if (over.length === 0) return;
	throw new LabError(
		over.join("\n"),
		"the run is there all the same; record it again when the host is less busy, or allow more: --clock-bound",
	);
}
