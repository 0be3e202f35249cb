/** Counts over time of several series, in columns of one width. */
export interface RateTable {
	/** Nanoseconds of a column. */
	readonly width: number;
	readonly counts: ReadonlyMap<string, readonly number[]>;
}

/** Counts events over a time whose length is not known before: where there are too many columns, two become one. */
export class Rates {
	readonly #columns: number;
	readonly #counts = new Map<string, Float64Array>();
	#width = 1000;
	#last = 0;

	/** @param columns how many there are at most; an even number. */
	constructor(columns = 1200) {
		this.#columns = columns;
	}

	add(series: string, time: number): void {
		while (time >= this.#width * this.#columns) this.#halve();
		let counts = this.#counts.get(series);
		if (counts === undefined) {
			counts = new Float64Array(this.#columns);
			this.#counts.set(series, counts);
		}
		const at = Math.floor(time / this.#width);
		counts[at] = (counts[at] ?? 0) + 1;
		if (time > this.#last) this.#last = time;
	}

	table(): RateTable {
		const used = Math.floor(this.#last / this.#width) + 1;
		return {
			width: this.#width,
			counts: new Map([...this.#counts].map(([series, counts]) => [series, [...counts.subarray(0, used)]])),
		};
	}

	#halve(): void {
		this.#width *= 2;
		for (const [series, counts] of this.#counts) {
			const fewer = new Float64Array(this.#columns);
			for (let at = 0; at < counts.length; at += 2) fewer[at / 2] = (counts[at] ?? 0) + (counts[at + 1] ?? 0);
			this.#counts.set(series, fewer);
		}
	}
}
