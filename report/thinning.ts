interface Kind<T> {
	kept: T[];
	seen: number;
	/** One of so many is kept: a power of two. */
	every: number;
}

/**
 * Keeps no more than a number of items, without knowing how many will come. Where there are too many, the kind that has
 * most loses every second one: what is rare stays whole, and what is frequent is thinned evenly over its time.
 */
export class Thinning<T> {
	readonly #limit: number;
	readonly #kinds = new Map<string, Kind<T>>();
	#kept = 0;

	constructor(limit: number) {
		this.#limit = limit;
	}

	/** The item is made only where it is kept. */
	add(name: string, item: () => T): void {
		let kind = this.#kinds.get(name);
		if (kind === undefined) {
			kind = { kept: [], seen: 0, every: 1 };
			this.#kinds.set(name, kind);
		}
		if (kind.seen++ % kind.every !== 0) return;
		kind.kept.push(item());
		this.#kept++;
		// Of a kind that is alone, nothing can go: so many kinds may be over the limit.
		if (this.#kept > this.#limit) this.#thin();
	}

	/** How many of a kind one that was kept stands for. */
	every(name: string): number {
		return this.#kinds.get(name)?.every ?? 1;
	}

	kept(): T[] {
		return [...this.#kinds.values()].flatMap(({ kept }) => kept);
	}

	#thin(): void {
		let most: Kind<T> | undefined;
		for (const kind of this.#kinds.values()) if (kind.kept.length > (most?.kept.length ?? 0)) most = kind;
		if (most === undefined) return;
		const before = most.kept.length;
		most.kept = most.kept.filter((_, index) => index % 2 === 0);
		most.every *= 2;
		this.#kept -= before - most.kept.length;
	}
}
