import test from "ava";
import fc from "fast-check";
import { Latencies } from "../../report/latencies.ts";

function distribution(values: readonly number[]) {
	const latencies = new Latencies();
	for (const value of values) latencies.add(value);
	return latencies.distribution();
}

test("quantiles are values that were measured", (t) => {
	const hundred = Array.from({ length: 100 }, (_, index) => (index + 1) * 1000);
	const { buckets: _, ...figures } = distribution(hundred.reverse()) ?? {};
	t.deepEqual(figures as object, {
		count: 100,
		min: 1000,
		median: 50_000,
		p90: 90_000,
		p99: 99_000,
		max: 100_000,
		mean: 50_500,
	});
});

test("ten columns are a factor of ten, and empty ones between are there", (t) => {
	t.deepEqual(
		distribution([1000, 1000, 1200, 1300, 2000])?.buckets.map(({ from, to, count }) => [
			Math.round(from),
			Math.round(to),
			count,
		]),
		[
			[1000, 1259, 3],
			[1259, 1585, 1],
			[1585, 1995, 0],
			[1995, 2512, 1],
		],
	);
});

test("one value is all of its distribution; nothing has none", (t) => {
	t.deepEqual(distribution([]), undefined);
	const { median, p99, buckets } = distribution([7]) ?? {};
	t.deepEqual([median, p99, buckets?.length], [7, 7, 1]);
});

test("each value is in the column that its limits say", (t) => {
	fc.assert(
		fc.property(fc.array(fc.integer({ min: 0, max: 10 ** 10 }), { minLength: 1, maxLength: 3000 }), (values) => {
			const { buckets, count } = distribution(values) ?? { buckets: [], count: -1 };
			t.is(count, values.length);
			for (const { from, to, count } of buckets) {
				// A hair's breadth: limits are roots of ten.
				const inside = (value: number) =>
					Math.max(1, value) >= from * (1 - 1e-8) && Math.max(1, value) < to * (1 + 1e-8);
				t.true(values.filter(inside).length >= count);
			}
			t.is(
				buckets.reduce((sum, bucket) => sum + bucket.count, 0),
				values.length,
			);
		}),
		{ numRuns: 50 },
	);
});
