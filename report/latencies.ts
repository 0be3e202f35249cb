/** One column of a histogram: how many values are from `from` on and below `to`. */
export interface Bucket {
	readonly from: number;
	readonly to: number;
	readonly count: number;
}

export interface Distribution {
	readonly count: number;
	readonly min: number;
	readonly median: number;
	readonly p90: number;
	readonly p99: number;
	readonly max: number;
	readonly mean: number;
	readonly buckets: readonly Bucket[];
}

/** Columns of a histogram for each factor of ten: latencies spread over several. */
const perDecade = 10;

/** Every duration of one kind: quantiles are exact, at eight bytes a value. */
export class Latencies {
	#values = new Float64Array(1024);
	#count = 0;

	add(nanoseconds: number): void {
		if (this.#count === this.#values.length) {
			const more = new Float64Array(this.#count * 2);
			more.set(this.#values);
			this.#values = more;
		}
		this.#values[this.#count++] = nanoseconds;
	}

	get count(): number {
		return this.#count;
	}

	/** Nothing where there are no values. */
	distribution(): Distribution | undefined {
		if (this.#count === 0) return undefined;
		const sorted = this.#values.slice(0, this.#count).sort();
		// The nearest rank: a value that was measured, never one between two.
		const quantile = (part: number) => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
		return {
			count: sorted.length,
			min: quantile(0),
			median: quantile(0.5),
			p90: quantile(0.9),
			p99: quantile(0.99),
			max: quantile(1),
			mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
			buckets: bucketsOf(sorted),
		};
	}
}

function bucketsOf(sorted: Float64Array): Bucket[] {
	// Below a nanosecond there is nothing that a trace could tell apart.
	const index = (value: number) => Math.floor(Math.log10(Math.max(1, value)) * perDecade + 1e-9);
	const edge = (at: number) => 10 ** (at / perDecade);
	const first = index(sorted[0] ?? 1);
	const counts = new Array<number>(index(sorted.at(-1) ?? 1) - first + 1).fill(0);
	for (const value of sorted) {
		const at = index(value) - first;
		counts[at] = (counts[at] ?? 0) + 1;
	}
	return counts.map((count, at) => ({ from: edge(first + at), to: edge(first + at + 1), count }));
}
