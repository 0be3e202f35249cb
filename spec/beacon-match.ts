import type { ClockPair } from "./clock-fit.ts";
import { cut, type FeasibleLines, linesBetween } from "./feasible-lines.ts";

/** The port that clock-beacon writes to. */
export const beaconPort = 0xa20;

/** The tracepoint that such a write passes, and what keeps all other writes out of a trace. */
export const beaconEvent = "qemu:memory_region_ops_write";
export const beaconFilter = `addr == ${beaconPort}`;

/** A beacon as the guest has it: a line of clock-beacon. */
export interface GuestBeacon {
	readonly sequence: number;
	readonly before: bigint;
	readonly after: bigint;
}

/** A beacon as QEMU's trace has it: the host's time, and the byte that was written. */
export interface HostBeacon {
	readonly time: bigint;
	readonly value: number;
}

export interface BeaconMatch {
	readonly pairs: readonly ClockPair[];
	/** Beacons that found no partner, of either side. */
	readonly unmatched: { readonly guest: number; readonly host: number };
}

/**
 * Fewer that agree are no evidence: of 24 beacons that come three at a time, seven pauses do, and of the pauses of others
 * about one in twenty looks the same.
 */
const evidence = 24;

/** The byte says no more than this of a sequence number. */
const wrap = 256;

/** How much faster than the other a clock may run. */
const drift = 0.01;

/** Nanoseconds that the steps of a clock may have, as far as beacons are told apart. */
const granule = 1000;

/** So many bytes that fit nowhere are somebody else's; after more, the clocks have jumped. */
const strangers = 8;

/**
 * Finds which byte in QEMU's trace is which beacon of the guest.
 *
 * The byte leaves every 256th beacon to choose from, and the rhythm decides: one straight line must put the guest's
 * beacons on the host's. Once enough of them agree on it, the next ones are told by their byte and the pause before them,
 * and the line may bend. Beacons may be lost on either side, and the clocks may jump: there a run of agreement ends, and
 * the next one has to find its place anew. What has two places, or too little to show for one, stays without a partner.
 */
export function matchBeacons(guest: readonly GuestBeacon[], host: readonly HostBeacon[]): BeaconMatch {
	const [guests, hosts] = [inOrder(guest, ({ before }) => before), inOrder(host, ({ time }) => time)];
	const start = guests[0]?.before ?? 0n;
	const origin = hosts[0]?.time ?? 0n;
	const sides = {
		guests: guests.map(({ sequence, before, after }) => ({
			value: sequence % wrap,
			before: Number(before - start),
			after: Number(after - start),
		})),
		hosts: hosts.map(({ time, value }) => ({ value, time: Number(time - origin) })),
	};
	const pairs: ClockPair[] = [];
	let free = 0;
	for (let at = 0; at < hosts.length; ) {
		const run = runFrom(sides, at, free);
		for (const { guest: index, host: byte } of run) {
			const [one, two] = [guests[index], hosts[byte]];
			if (one !== undefined && two !== undefined)
				pairs.push({ guest: [one.before, one.after], host: [two.time, two.time] });
		}
		const last = run.at(-1);
		free = last === undefined ? free : last.guest + 1;
		at = last === undefined ? at + 1 : last.host + 1;
	}
	return { pairs, unmatched: { guest: guests.length - pairs.length, host: hosts.length - pairs.length } };
}

interface Sides {
	readonly guests: readonly { value: number; before: number; after: number }[];
	readonly hosts: readonly { value: number; time: number }[];
}

/** Places in both lists of what is one beacon. */
interface Partners {
	readonly guest: number;
	readonly host: number;
}

/** The guest's beacons that the host's from one on are, as long as they agree; none where that is not clear. */
function runFrom(sides: Sides, at: number, free: number): Partners[] {
	const value = sides.hosts[at]?.value;
	let best: Partners[] = [];
	let second = 0;
	for (let index = free; index < sides.guests.length; index++) {
		if (sides.guests[index]?.value !== value) continue;
		const run = agreement(sides, at, index);
		if (run.length > best.length) [best, second] = [run, best.length];
		else second = Math.max(second, run.length);
	}
	return best.length >= evidence && best.length > 2 * second ? best : [];
}

/** How far host and guest agree where the host's beacon `at` is the guest's `index`. */
function agreement({ guests, hosts }: Sides, at: number, index: number): Partners[] {
	let last = { guest: index, host: at };
	const run = [last];
	let lines = onLine(undefined, guests[index], hosts[at]);
	for (let next = at + 1; next < hosts.length && next - last.host <= strangers; next++) {
		const [here, there, from] = [hosts[last.host], hosts[next], guests[last.guest]];
		if (here === undefined || there === undefined || from === undefined) break;
		const pause = there.time - here.time;
		// Further off, what has the same byte may be another one; and there are beacons to find a place anew by.
		for (let to = last.guest + 1; to < Math.min(guests.length, last.guest + wrap / 2); to++) {
			const candidate = guests[to];
			if (candidate?.value !== there.value) continue;
			if (pause < (candidate.before - from.after) * (1 - drift) - granule) continue;
			if (pause > (candidate.after - from.before) * (1 + drift) + granule) continue;
			if (run.length < evidence) {
				const fewer = onLine(lines, candidate, there);
				if (fewer === undefined) continue;
				lines = fewer;
			}
			last = { guest: to, host: next };
			run.push(last);
			break;
		}
	}
	return run;
}

/** Those of the lines of offsets that a pair leaves, or all that it allows; nothing where it leaves none. */
function onLine(
	lines: FeasibleLines | undefined,
	guest: Sides["guests"][number] | undefined,
	host: Sides["hosts"][number] | undefined,
): FeasibleLines | undefined {
	if (guest === undefined || host === undefined) return undefined;
	// In seconds, so that slopes and values are of like size.
	const upper = { x: guest.before / 1e9, value: host.time + granule - guest.before };
	const lower = { x: guest.after / 1e9, value: host.time - granule - guest.after };
	if (lines === undefined) return linesBetween(upper, lower, drift * 1e9);
	const below = cut(lines, upper, "below");
	return below === undefined ? undefined : cut(below, lower, "above");
}

function inOrder<T>(beacons: readonly T[], time: (beacon: T) => bigint): T[] {
	return [...beacons].sort((one, two) => (time(one) < time(two) ? -1 : time(one) > time(two) ? 1 : 0));
}

/** Reads what clock-beacon printed; its last line may be cut off where it was killed. */
export function readBeacons(text: string): GuestBeacon[] {
	return [...text.matchAll(/^(\d+) (\d+) (\d+)\n/gm)].map(([, sequence = "", before = "", after = ""]) => ({
		// Only its last bits are ever compared.
		sequence: Number(BigInt(sequence) % BigInt(wrap)),
		before: BigInt(before),
		after: BigInt(after),
	}));
}
