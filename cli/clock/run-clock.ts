import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import {
	beaconEvent,
	beaconPort,
	type GuestBeacon,
	type HostBeacon,
	matchBeacons,
	readBeacons,
} from "../../spec/beacon-match.ts";
import { type ClockFit, type ClockFitOptions, type ClockPair, fitClock } from "../../spec/clock-fit.ts";
import {
	type ClockRecord,
	clockRecordSchema,
	defaultBounds,
	fitRecord,
	type GuestClock,
	granuleOf,
	offsetTolerance,
} from "../../spec/clock-record.ts";
import type { CtfLine } from "../../spec/ctf-line.ts";
import { quote } from "../../spec/quote.ts";
import type { Run } from "../../spec/run.ts";
import { LabError } from "../errors.ts";
import { replaceFile } from "../replace-file.ts";
import { ctfClock, ctfEvents, ctfRange, ctfTraces, earliest, latest } from "../runs/ctf.ts";
import { hostClock, readExchanges, type SystemClock } from "./system-clock.ts";

export interface FitRunOptions {
	/** What the guests say of their clocks at the end, by domain: where it is not given, their traces are not checked against it. */
	guests?: Readonly<Record<string, SystemClock>>;
	/**
	 * What the run has of its domains: the process of QEMU tells their beacons apart where more than one is traced with the
	 * context vpid, and the clocksource is the guest's at the start.
	 */
	domains?: Readonly<Record<string, Pick<Run["domains"][string], "pid" | "clocksource">>>;
	/** Those in QEMU's traces, where they were read already. */
	beacons?: readonly TracedBeacon[];
}

/**
 * Fits the clocks of the guests of a run to the host's, from the beacons in clock/DOMAIN and QEMU's trace, or else from
 * the exchanges in clock/DOMAIN.agent, and writes clock.json beside the traces.
 *
 * @throws LabError for a guest that nothing puts on the host's clock
 */
export async function fitRun(folder: string, options: FitRunOptions = {}): Promise<ClockRecord> {
	const { guests = {}, domains = {}, beacons = await beaconsOf(join(folder, "qemu")) } = options;
	const host = hostClock();
	const traces = await checkedTraces(folder, host, guests);
	const record: ClockRecord = { clocksource: host.clocksource, guests: {}, traces };
	for (const name of clockedDomains(folder)) {
		const clocksource = guests[name]?.clocksource;
		const { pid, clocksource: first = clocksource } = domains[name] ?? {};
		const fitting: ClockFitOptions = {
			// Where it changed, nobody knows which pairs were read of which.
			granule: Math.max(granuleOf(first), granuleOf(clocksource)),
			hostGranule: granuleOf(host.clocksource),
			...(await guestInterval(join(folder, "guest", name))),
		};
		const ours = pid === undefined ? beacons : beacons.filter((beacon) => beacon.pid === pid || beacon.pid === -1);
		const clock = fitGuest(folder, name, ours, fitting);
		record.guests[name] = clocksource === undefined ? clock : { ...clock, clocksource };
	}
	replaceFile(join(folder, "clock.json"), (part) => writeFileSync(part, `${JSON.stringify(record, null, "\t")}\n`));
	return record;
}

/** Says of each guest whose bound is over its limit by how much; nothing where all is well. */
export function checkBound({ guests }: ClockRecord, limit?: number): string[] {
	return Object.entries(guests).flatMap(([name, { bound, method, pieces }]) => {
		const most = limit ?? defaultBounds[method];
		if (bound <= most) return [];
		const causes = pieces.flatMap(({ change }) => (change === undefined ? [] : [change.cause]));
		const why = causes.length === 0 ? "" : `: ${causes.join("; ")}`;
		return [`${name}: its clock is known to ${bound} ns on the host's (${method}), over the limit of ${most} ns${why}`];
	});
}

/** Says of each trace whose own offset to the wall clock is not the system's. */
export function checkOffsets({ traces }: ClockRecord): string[] {
	return traces
		.filter(({ difference }) => Math.abs(difference ?? 0) > offsetTolerance)
		.map(
			({ trace, difference }) => `${trace}: the wall clock was set by ${-(difference ?? 0)} ns since it was recorded`,
		);
}

/** The clock.json of a run, which is fitted where it has none yet. */
export async function runClock(folder: string, domains: NonNullable<FitRunOptions["domains"]>): Promise<ClockRecord> {
	const file = join(folder, "clock.json");
	if (!existsSync(file)) return fitRun(folder, { domains });
	const record = clockRecordSchema.safeParse(JSON.parse(readFileSync(file, "utf8")));
	if (record.success) return record.data;
	throw new LabError(`${file} is none of this version`, "remove it: it is made anew from the run");
}

/** The domains whose clock a run recorded. */
function clockedDomains(folder: string): string[] {
	const names = existsSync(join(folder, "clock")) ? readdirSync(join(folder, "clock")) : [];
	return [...new Set(names.map((name) => name.replace(/\.agent$/, "")))].sort();
}

/** A beacon as QEMU's trace has it. */
export interface TracedBeacon extends HostBeacon {
	pid: number;
}

/** The beacons in QEMU's traces below a folder. */
export async function beaconsOf(folder: string): Promise<TracedBeacon[]> {
	const found: TracedBeacon[] = [];
	for (const trace of ctfTraces(folder)) {
		for await (const events of ctfEvents(trace)) found.push(...events.flatMap((event) => beaconIn(event) ?? []));
	}
	return found;
}

/** The beacon that an event of QEMU's is, if it is one. */
export function beaconIn(event: Pick<CtfLine, "name" | "fields" | "cycles">): TracedBeacon | undefined {
	if (event.name !== beaconEvent) return undefined;
	const { addr, value, vpid = -1 } = event.fields;
	if (addr !== beaconPort) return undefined;
	return { time: event.cycles, value: Number(value) & 0xff, pid: Number(vpid) };
}

function fitGuest(
	folder: string,
	name: string,
	host: readonly HostBeacon[],
	options: ClockFitOptions,
): Omit<GuestClock, "clocksource"> {
	const text = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "");
	const guest = readBeacons(text(join(folder, "clock", name)));
	const { pairs, unmatched } = matchBeacons(guest, host);
	if (pairs.length > 0) {
		const fit = fitted(name, pairs, { ...options, ...covered(guest, pairs, options.cover) });
		return { method: "in-band beacon", ...fitRecord(fit), unmatched };
	}
	const exchanges = readExchanges(text(join(folder, "clock", `${name}.agent`)));
	if (exchanges.length > 0) return { method: "guest agent", ...fitRecord(fitted(name, exchanges, options)), unmatched };
	throw new LabError(
		`nothing puts the clock of ${quote(name)} on the host's: of ${guest.length} beacons of the guest and ${host.length} in QEMU's trace, none fit together`,
		guest.length === 0
			? "clock-beacon said nothing: run it in the guest while QEMU is traced"
			: `trace its QEMU with ${beaconEvent}, and see that no events were discarded`,
	);
}

/** As many beacons at an end that fit nowhere are no chance: something happened to a clock there that no pair shows. */
const outcasts = 3;

/** The interval that pairs speak for: all of it, or up to the beacons at its ends that found no partner. */
function covered(
	guest: readonly GuestBeacon[],
	pairs: readonly ClockPair[],
	cover: ClockFitOptions["cover"],
): Pick<ClockFitOptions, "cover"> {
	const times = pairs.map((pair) => pair.guest[0]);
	const [first, last] = [earliest(times), latest(times)];
	if (cover === undefined || first === undefined || last === undefined) return {};
	const before = guest.filter((beacon) => beacon.before < first).length;
	const behind = guest.filter((beacon) => beacon.before > last).length;
	return { cover: [before < outcasts ? cover[0] : first, behind < outcasts ? cover[1] : last] };
}

function fitted(name: string, pairs: readonly ClockPair[], options: ClockFitOptions): ClockFit {
	try {
		return fitClock(pairs, options);
	} catch (error) {
		if (!(error instanceof RangeError)) throw error;
		throw new LabError(`the clock of ${quote(name)} cannot be fitted: ${error.message}`, "record the run again");
	}
}

async function guestInterval(folder: string): Promise<{ cover?: readonly [bigint, bigint] }> {
	const ranges = await Promise.all(ctfTraces(folder).map(ctfRange));
	const ends = ranges.flatMap((range) => range ?? []);
	const [first, last] = [earliest(ends), latest(ends)];
	return first === undefined || last === undefined ? {} : { cover: [first, last] };
}

async function checkedTraces(
	folder: string,
	host: SystemClock,
	guests: Readonly<Record<string, SystemClock>>,
): Promise<ClockRecord["traces"]> {
	const systems = [host, ...Object.values(guests)];
	return Promise.all(
		ctfTraces(folder).map(async (trace) => {
			const { uuid, offset } = await ctfClock(trace);
			const system = systems.find(({ bootId }) => bootId === uuid);
			const recorded = { trace: relative(folder, trace[0]), offset: String(offset) };
			if (system === undefined) return recorded;
			return { ...recorded, system: String(system.offset), difference: Number(offset - system.offset) };
		}),
	);
}
