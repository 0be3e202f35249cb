import test from "ava";
import fc from "fast-check";
import { type ClockPair, fitClock } from "../../spec/clock-fit.ts";
import { ClockMap } from "../../spec/clock-map.ts";

/** Two clocks whose truth is known: the host's time of the guest's instant x is x + offset + drift x, in nanoseconds. */
interface Truth {
	offset: number;
	/** Parts per million. */
	drift: number;
}

const epoch = { guest: 812_345_678_901n, host: 90_071_992_547_409n };

/** The host's time less both epochs, as a double: exact to a thousandth of a nanosecond here. */
const trueHost = ({ offset, drift }: Truth, x: number): number => x + offset + (drift * x) / 1e6;

/** What a beacon says: readings are the clock's time, rounded down. */
function pair(truth: Truth, x: number, before: number, after: number, granule = 1): ClockPair {
	const reading = (at: number) => epoch.guest + BigInt(Math.floor(at / granule) * granule);
	const host = epoch.host + BigInt(Math.floor(trueHost(truth, x)));
	return { guest: [reading(x - before), reading(x + after)], host: [host, host] };
}

/** Off by how much is a fit at an instant of the guest's, and by how much may it be? */
function error(pairs: readonly ClockPair[], truth: Truth, x: number, granule = 1) {
	const fit = fitClock(pairs, { granule });
	const map = new ClockMap(fit.pieces);
	const shift = Number(fit.reference.guest - epoch.guest);
	const reading = Math.floor(x / granule) * granule - shift;
	const said = map.hostTime(reading) + Number(fit.reference.host - epoch.host);
	return { off: Math.abs(said - trueHost(truth, x)), bound: map.bound(reading), fit };
}

const truths = fc.record({
	offset: fc.integer({ min: -(10 ** 12), max: 10 ** 12 }),
	drift: fc.double({ min: -500, max: 500, noNaN: true }),
});

/** Beacons: the pause before each, and how long before and after the write the guest's clock was read. */
const brackets = fc.array(
	fc.record({
		pause: fc.integer({ min: 100_000, max: 1_000_000_000 }),
		before: fc.integer({ min: 300, max: 50_000 }),
		after: fc.integer({ min: 300, max: 50_000 }),
	}),
	{ minLength: 1, maxLength: 60 },
);

function pairsOf(truth: Truth, beacons: readonly { pause: number; before: number; after: number }[], granule = 1) {
	let x = 0;
	const instants: number[] = [];
	const pairs = beacons.map(({ pause, before, after }) => {
		x += pause;
		instants.push(x);
		return pair(truth, x, before, after, granule);
	});
	return { pairs, instants };
}

test("what two clocks differ by is within the stated bound at every instant between beacons", (t) => {
	fc.assert(
		fc.property(truths, brackets, fc.constantFrom(1, 10, 280), (truth, beacons, granule) => {
			const { pairs, instants } = pairsOf(truth, beacons, granule);
			const reads = instants.map((x, index) => x - (beacons[index]?.before ?? 0));
			const [first = 0, last = 0] = [reads[0], reads.at(-1)];
			for (const part of [0, 0.3, 0.99, 1]) {
				const x = first + part * (last - first);
				const { off, bound, fit } = error(pairs, truth, x, granule);
				if (bound === undefined || off > bound) return false;
				if (fit.pieces.length !== 1) return false;
			}
			return true;
		}),
	);
	t.pass();
});

test("the bound is tight: half a bracket, where brackets are even", (t) => {
	const truth = { offset: 7_000_000, drift: -9.6 };
	const beacons = Array.from({ length: 1000 }, (_, index) => ({
		pause: 1_000_000,
		before: 700 + ((index * 37) % 500),
		after: 700 + ((index * 91) % 500),
	}));
	const { fit } = error(pairsOf(truth, beacons).pairs, truth, 500_000_000);
	t.is(fit.pieces.length, 1);
	t.true(fit.bound >= 700 && fit.bound <= 760, String(fit.bound));
	t.true(Math.abs((fit.pieces[0]?.drift ?? 0) + 9.6) < 0.01, String(fit.pieces[0]?.drift));
	t.is(fit.pairs, 1000);
	t.true(fit.residuals.median < 200 && fit.residuals.max <= 252, JSON.stringify(fit.residuals));
});

test("wide brackets say little, and spoil nothing", (t) => {
	const truth = { offset: 0, drift: 3 };
	const good = Array.from({ length: 100 }, () => ({ pause: 1_000_000, before: 1000, after: 1000 }));
	const preempted = good.map((beacon, index) => (index % 3 === 0 ? { ...beacon, after: 900_000 } : beacon));
	const [one, two] = [good, preempted].map((beacons) => error(pairsOf(truth, beacons).pairs, truth, 50_000_000));
	t.true((one?.fit.bound ?? 0) < 1020, String(one?.fit.bound));
	t.true((two?.fit.bound ?? 0) < 1040, String(two?.fit.bound));
});

test("the order of the pairs does not matter", (t) => {
	const shuffled = fc
		.tuple(truths, brackets)
		.map(([truth, beacons]) => pairsOf(truth, beacons).pairs)
		.chain((pairs) => fc.tuple(fc.constant(pairs), fc.shuffledSubarray(pairs, { minLength: pairs.length })));
	fc.assert(
		fc.property(shuffled, ([pairs, others]) => {
			t.deepEqual(fitClock(others), fitClock(pairs));
		}),
	);
	t.pass();
});

test("a step is found, with its size, and the truth is within the bound on either side of it and in it", (t) => {
	const steps = fc.oneof(fc.integer({ min: 300_000, max: 10 ** 10 }), fc.integer({ min: -(10 ** 10), max: -300_000 }));
	const each = fc.record({
		pause: fc.integer({ min: 1_000_000, max: 20_000_000 }),
		before: fc.integer({ min: 300, max: 10_000 }),
		after: fc.integer({ min: 300, max: 10_000 }),
	});
	const side = fc.array(each, { minLength: 20, maxLength: 40 });
	fc.assert(
		fc.property(truths, side, side, steps, (truth, early, late, step) => {
			const { instants } = pairsOf(truth, [...early, ...late]);
			const after = { ...truth, offset: truth.offset + step };
			const pairs = [...early, ...late].map(({ before, after: behind }, index) =>
				pair(index < early.length ? truth : after, instants[index] ?? 0, before, behind),
			);
			const fit = fitClock(pairs);
			const [first, gap, last, ...more] = fit.pieces;
			if (first === undefined || last === undefined || more.length > 0) return false;
			const { step: found, stepBound } = gap?.change ?? { step: 0, stepBound: 0 };
			if (Math.abs(found - step) > stepBound + 2 || stepBound > 60_000) return false;
			return instants.every((x, index) => {
				const truthHere = index < early.length ? truth : after;
				const { off, bound } = error(pairs, truthHere, x - ([...early, ...late][index]?.before ?? 0));
				return bound !== undefined && off <= bound;
			});
		}),
		{ numRuns: 40 },
	);
	t.pass();
});

test("what a change of the clocks looks like is said", (t) => {
	const beacons = Array.from({ length: 60 }, () => ({ pause: 10_000_000, before: 1000, after: 1000 }));
	const { instants } = pairsOf({ offset: 0, drift: 0 }, beacons);
	const changed = (truth: (x: number) => Truth) =>
		fitClock(instants.map((x) => pair(truth(x), x, 1000, 1000))).pieces.find(({ change }) => change !== undefined)
			?.change;
	const middle = (instants[29] ?? 0) + 5_000_000;
	const stopped = changed((x) => ({ offset: x > middle ? 2_500_000 : 0, drift: 5 }));
	t.regex(
		stopped?.cause ?? "",
		/^the guest's clock stood still for 2(?:499|500)\.\d µs: the guest was stopped, or its clocksource was changed$/,
	);
	const jumped = changed((x) => ({ offset: x > middle ? -40_000_000 : 0, drift: 5 }));
	t.regex(
		jumped?.cause ?? "",
		/^the guest's clock jumped ahead by (?:39999|40000)\.\d µs: it caught up on lost time, or/,
	);
	const bent = changed((x) => (x > middle ? { offset: (-200 * middle) / 1e6, drift: 200 } : { offset: 0, drift: 0 }));
	t.regex(
		bent?.cause ?? "",
		/^the rate changed by (?:19\d|20\d)\.\d ppm: another clocksource, or a clock that is being/,
	);
	t.true(Math.abs((bent?.step ?? 9999) - 0) <= (bent?.stepBound ?? 0));
});

test("beyond the pairs, the bound grows with what is not known of the drift", (t) => {
	const truth = { offset: 5, drift: 20 };
	const beacons = Array.from({ length: 50 }, () => ({ pause: 1_000_000, before: 1000, after: 1000 }));
	const { pairs, instants } = pairsOf(truth, beacons);
	const [first = 0, last = 0] = [instants[0], instants.at(-1)];
	const cover = [epoch.guest + BigInt(first - 10 ** 9), epoch.guest + BigInt(last + 10 ** 9)] as const;
	const [near, far] = [fitClock(pairs), fitClock(pairs, { cover })];
	t.is(near.pieces[0]?.from, 0);
	t.is(far.pieces[0]?.from, Number(cover[0] - far.reference.guest));
	t.is(far.pieces[0]?.to, Number(cover[1] - far.reference.guest));
	t.true(far.bound > 20 * near.bound, `${far.bound} ${near.bound}`);
	const map = new ClockMap(near.pieces);
	t.is(map.bound(-1), undefined);
	t.is(map.bound(0), near.bound);
});

test("exchanges with brackets at the host are as good as any", (t) => {
	const pairs = [0, 1, 2, 3].map((index) => {
		const [guest, host] = [1_000_000_000n * BigInt(index + 1), 1_000_000_000n * BigInt(index + 1) + 500n];
		return { guest: [guest, guest], host: [host - 20_000_000n, host + 10_000_000n] } as const;
	});
	const fit = fitClock(pairs);
	t.is(fit.pieces.length, 1);
	t.is(fit.bound, 15_000_004);
});

test("no pairs are an error, and so are readings that run backwards", (t) => {
	t.throws(() => fitClock([]), { message: "no pairs: there is nothing to fit a clock to" });
	t.throws(() => fitClock([{ guest: [9n, 2n], host: [5n, 5n] }]), {
		message: "a pair's second reading is before its first",
	});
});
