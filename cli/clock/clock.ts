import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beaconEvent, beaconFilter } from "../../spec/beacon-match.ts";
import { ClockMap } from "../../spec/clock-map.ts";
import type { ClockRecord, GuestClock } from "../../spec/clock-record.ts";
import { quote } from "../../spec/quote.ts";
import { type Domain, findDomain, stackOption } from "../card.ts";
import { inOrder } from "../ending.ts";
import { LabError, orFault } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { runInGuest } from "../guest/process.ts";
import { onHost } from "../host.ts";
import { domainProcess, mustRun } from "../libvirt.ts";
import { print, say, table } from "../terminal.ts";
import { unseenQemu } from "../trace/causes.ts";
import { lttng, sessionStates } from "../trace/lttng.ts";
import { beaconsOf, checkBound, checkOffsets, fitRun, type TracedBeacon } from "./run-clock.ts";
import { exchangeClocks, exchangeLines, guestSystemClock, hostClock, type SystemClock } from "./system-clock.ts";

/** The program in the guest: guest/clock-beacon.c. */
export const clockBeacon = "/lab/bin/clock-beacon";

/** Beacons of a short measurement, and microseconds between each three of them. */
const measurement = ["90", "5000"] as const;

export interface MeasuredClock {
	host: SystemClock;
	guest: SystemClock;
	/** How the guest's clock stands to the host's, from a recording of its own. */
	clock: GuestClock;
	record: ClockRecord;
	/** Why it is not in band, where it is not. */
	fallback?: LabError;
}

/** Shows the clocks of host and guest, and measures what lies between them now. */
export async function showClock(stack: string, name: string, limit?: number): Promise<number> {
	const domain = findDomain(stack, name);
	const measured = await measureClock(domain);
	const { host, guest, clock, record, fallback } = measured;
	const offset = ({ offset, offsetBound }: SystemClock) =>
		offsetBound === 0 ? `${offset} ns` : `${offset} ns ± ${offsetBound} ns`;
	print(
		table(
			["", "CLOCKSOURCE", "REALTIME - MONOTONIC"],
			[
				["host", host.clocksource, offset(host)],
				[`guest ${name}`, guest.clocksource, offset(guest)],
			],
		),
	);
	if (fallback !== undefined) say(`lab: ${fallback.message}; so the clocks are compared over the guest's agent`);
	print(
		`host - guest, MONOTONIC: ${currentOffset(clock)} ns ± ${clock.bound} ns (${clock.method}, ${clock.pairs} pairs, drift ${driftOf(clock)} ppm)`,
	);
	for (const { trace, offset, difference } of record.traces) {
		if (difference !== undefined)
			print(`the trace ${trace} has REALTIME - MONOTONIC ${offset} ns: ${difference} ns from the system's own`);
	}
	const problems = [...checkBound(record, limit), ...checkOffsets(record)];
	for (const problem of problems) say(`lab: ${problem}`);
	return problems.length === 0 ? 0 : 1;
}

/** The host's clock less the guest's at the end of the recording. */
function currentOffset({ reference, pieces }: GuestClock): bigint {
	const map = new ClockMap(pieces);
	const shift = BigInt(reference.host) - BigInt(reference.guest);
	return shift + BigInt(Math.round(map.offset(pieces.at(-1)?.to ?? 0)));
}

const driftOf = ({ pieces }: GuestClock): string => (pieces.at(-1)?.drift ?? 0).toFixed(2);

/** Measures how a guest's clock stands to the host's, by a recording that leaves nothing behind. */
export async function measureClock(domain: Domain): Promise<MeasuredClock> {
	await mustRun(domain, "not paused");
	return inOrder((interrupted) => measure(domain, interrupted));
}

async function measure(domain: Domain, interrupted: AbortSignal): Promise<MeasuredClock> {
	const { name } = domain;
	const agent = new GuestAgent(domain);
	const folder = mkdtempSync(join(tmpdir(), "tracelab-clock-"));
	try {
		mkdirSync(join(folder, "clock"));
		const guest = await guestSystemClock(agent);
		let beacons: TracedBeacon[] | undefined;
		let fallback: LabError | undefined;
		try {
			const recorded = await recordBeacons(domain, agent, join(folder, "qemu"), interrupted);
			writeFileSync(join(folder, "clock", name), recorded.lines);
			beacons = recorded.beacons;
		} catch (error) {
			if (!(error instanceof LabError) || interrupted.aborted) throw error;
			fallback = error;
			writeFileSync(join(folder, "clock", `${name}.agent`), exchangeLines(await exchangeClocks(agent, 10)));
		}
		const record = await fitRun(folder, { guests: { [name]: guest }, ...(beacons !== undefined && { beacons }) });
		const clock = record.guests[name];
		if (clock === undefined) throw new Error(`no clock of ${name} in what was just recorded`);
		const measured = { host: hostClock(), guest, clock, record };
		return fallback === undefined ? measured : { ...measured, fallback };
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** Runs clock-beacon in the guest while QEMU's side of it is recorded; returns what it printed, and what QEMU saw. */
async function recordBeacons(
	domain: Domain,
	agent: GuestAgent,
	output: string,
	signal: AbortSignal,
): Promise<{ lines: string; beacons: TracedBeacon[] }> {
	const pid = domainProcess(domain)?.pid;
	if (pid === undefined) {
		throw new LabError(`domain ${quote(domain.name)} has no process`, `./lab${stackOption(domain.stack)} up starts it`);
	}
	await endKilled();
	const session = `tracelab-clock-${process.pid}`;
	await lttng("create", session, `--output=${output}`);
	try {
		await lttng("track", `--session=${session}`, "--userspace", `--vpid=${pid}`);
		await lttng("enable-event", `--session=${session}`, "--userspace", beaconEvent, `--filter=${beaconFilter}`);
		await lttng("start", session);
		const lines = await inGuest(domain, agent, [clockBeacon, ...measurement], signal);
		await lttng("stop", session);
		const beacons = await beaconsOf(output);
		const unseen = beacons.length === 0 ? await unseenQemu(domain, pid) : undefined;
		if (unseen !== undefined) throw new LabError(unseen.why, unseen.todo);
		return { lines, beacons };
	} finally {
		await lttng("destroy", session).catch(() => {});
	}
}

/** Ends the sessions of measurements that had no time to do so. */
export async function endKilled(): Promise<void> {
	for (const session of (await sessionStates()).keys()) {
		const pid = /^tracelab-clock-(\d+)$/.exec(session)?.[1];
		if (pid !== undefined && !existsSync(onHost(`/proc/${pid}`))) await orFault(() => lttng("destroy", session));
	}
}

async function inGuest(
	domain: Domain,
	agent: GuestAgent,
	argv: readonly string[],
	signal: AbortSignal,
): Promise<string> {
	const [out, errors]: [Buffer[], Buffer[]] = [[], []];
	const { code } = await runInGuest(agent, argv, {
		timeout: 60,
		signal,
		stdout: (bytes) => out.push(bytes),
		stderr: (bytes) => errors.push(bytes),
	});
	if (signal.aborted) throw new LabError("interrupted");
	if (code === 0) return Buffer.concat(out).toString();
	if (code === 127) {
		throw new LabError(
			`guest ${quote(domain.name)} has no ${clockBeacon}`,
			`./lab${stackOption(domain.stack)} up brings it in`,
		);
	}
	throw new LabError(
		`${argv.join(" ")} failed in ${quote(domain.name)}: ${Buffer.concat(errors).toString().trim() || `it ended with ${code}`}`,
		`run it by hand: ./lab${stackOption(domain.stack)} exec ${domain.name} -- ${argv.join(" ")}`,
	);
}
