import test from "ava";
import fc from "fast-check";
import { type GuestBeacon, type HostBeacon, matchBeacons, readBeacons } from "../../spec/beacon-match.ts";

const start = 5_000_000_000_000n;

interface Beacon {
	/** Since the one before; every third is as uneven as clock-beacon makes it, and the others follow at once. */
	pause: number;
	before: number;
	after: number;
	lostByHost: boolean;
	lostByGuest: boolean;
	/** How long the guest is stopped before this one, in nanoseconds of the host's clock. */
	stopped: number;
}

/** Both sides of the same beacons, and which belongs to which: the guest's first reading, by the host's time. */
function recording(beacons: readonly Beacon[], offset: number, drift: number) {
	const guest: GuestBeacon[] = [];
	const host: HostBeacon[] = [];
	const truth = new Map<bigint, bigint>();
	let [x, stopped] = [0, 0];
	for (const [sequence, beacon] of beacons.entries()) {
		x += sequence % 3 === 0 ? beacon.pause : beacon.before + beacon.after;
		stopped += beacon.stopped;
		const before = start + BigInt(x - beacon.before);
		const time = BigInt(Math.floor(x + offset + stopped + (x * drift) / 1e6)) + start;
		if (!beacon.lostByGuest) guest.push({ sequence, before, after: start + BigInt(x + beacon.after) });
		if (!beacon.lostByHost) host.push({ time, value: sequence % 256 });
		truth.set(time, before);
	}
	return { guest, host, truth };
}

const beacon = (lost: number, stops: number) =>
	fc.record({
		pause: fc.integer({ min: 7_500_000, max: 12_500_000 }),
		before: fc.integer({ min: 300, max: 30_000 }),
		after: fc.integer({ min: 300, max: 30_000 }),
		lostByHost: fc.integer({ min: 0, max: 99 }).map((of100) => of100 < lost),
		lostByGuest: fc.integer({ min: 0, max: 99 }).map((of100) => of100 < lost),
		stopped: fc
			.tuple(fc.integer({ min: 0, max: 999 }), fc.integer({ min: 0, max: 10 ** 10 }))
			.map(([of1000, time]) => (of1000 < stops ? time : 0)),
	});

const offsets = fc.integer({ min: 0, max: 10 ** 12 });
const drifts = fc.integer({ min: -500, max: 500 });

test("nothing lost: every beacon finds its partner, over the wrap of the byte", (t) => {
	const all = fc.array(beacon(0, 0), { minLength: 24, maxLength: 1200, size: "max" });
	fc.assert(
		fc.property(all, offsets, drifts, (beacons, offset, drift) => {
			const { guest, host, truth } = recording(beacons, offset, drift);
			const { pairs, unmatched } = matchBeacons(guest, host);
			return (
				unmatched.guest === 0 &&
				unmatched.host === 0 &&
				pairs.length === beacons.length &&
				pairs.every((pair) => truth.get(pair.host[0]) === pair.guest[0])
			);
		}),
		{ numRuns: 25, endOnFailure: true },
	);
	t.pass();
});

test("beacons lost on both sides, stops of the guest, whole stretches gone: no pair is ever wrong, and most are found", (t) => {
	const all = fc.array(beacon(2, 3), { minLength: 600, maxLength: 1200, size: "max" });
	const stretch = fc.tuple(fc.nat(1200), fc.integer({ min: 200, max: 600 }));
	let [paired, possible] = [0, 0];
	fc.assert(
		fc.property(all, offsets, drifts, stretch, (beacons, offset, drift, [from, length]) => {
			const { guest, host: whole, truth } = recording(beacons, offset, drift);
			const host = whole.filter((_, index) => index < from || index >= from + length);
			const { pairs, unmatched } = matchBeacons(guest, host);
			const readings = new Set(guest.map(({ before }) => before));
			paired += pairs.length;
			possible += host.filter(({ time }) => readings.has(truth.get(time) ?? 0n)).length;
			return (
				pairs.every((pair) => truth.get(pair.host[0]) === pair.guest[0]) &&
				unmatched.guest === guest.length - pairs.length &&
				unmatched.host === host.length - pairs.length
			);
		}),
		{ numRuns: 25, endOnFailure: true },
	);
	t.log(`${paired} of ${possible} pairs found`);
	t.true(paired > 0.6 * possible, `${paired} of ${possible}`);
});

test("an even rhythm of which 768 were lost has two places, and is left alone", (t) => {
	const even = Array.from({ length: 1500 }, () => ({
		...{ pause: 10_000_000, before: 1000, after: 1000, lostByHost: false, lostByGuest: false, stopped: 0 },
	}));
	const { guest, host } = recording(even, 0, 0);
	const { pairs, unmatched } = matchBeacons(guest, host.slice(768));
	t.is(pairs.length, 0);
	t.deepEqual(unmatched, { guest: 1500, host: 732 });
});

test("a write of somebody else's finds no partner", (t) => {
	const beacons = Array.from({ length: 60 }, (_, index) => ({
		pause: 10_000_000 + ((index * 7919) % 2_000_000),
		...{ before: 1000, after: 1000, lostByHost: false, lostByGuest: false, stopped: 0 },
	}));
	const { guest, host, truth } = recording(beacons, 77, 0);
	const stranger = { time: (host[29]?.time ?? 0n) + 5_000_000n, value: 30 };
	const { pairs, unmatched } = matchBeacons(guest, [...host, stranger]);
	t.is(pairs.length, 60);
	t.true(pairs.every((pair) => truth.get(pair.host[0]) === pair.guest[0]));
	t.deepEqual(unmatched, { guest: 0, host: 1 });
});

test("fewer than 24 beacons are no evidence", (t) => {
	const beacons = Array.from({ length: 23 }, (_, index) => ({
		pause: 10_000_000 + index * 1_000_000,
		...{ before: 1000, after: 1000, lostByHost: false, lostByGuest: false, stopped: 0 },
	}));
	const { guest, host } = recording(beacons, 77, 0);
	t.deepEqual(matchBeacons(guest, host), { pairs: [], unmatched: { guest: 23, host: 23 } });
	t.deepEqual(matchBeacons([], []), { pairs: [], unmatched: { guest: 0, host: 0 } });
});

test("lines of clock-beacon are read, but for one that is cut off", (t) => {
	t.deepEqual(readBeacons("0 200767116860 200767263930\n300 200768691620 200768733920\n301 2007702000"), [
		{ sequence: 0, before: 200767116860n, after: 200767263930n },
		{ sequence: 44, before: 200768691620n, after: 200768733920n },
	]);
});
