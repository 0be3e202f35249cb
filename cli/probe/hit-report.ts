const marker = Buffer.from("----- probe hit report: \n");

/**
 * Divides what a probe's module says (SystemTap's option -t) into the script's own output and the report that comes
 * at its end: how often each probe point was hit.
 */
export class HitReport {
	#held: Buffer = Buffer.alloc(0);
	#begun = false;

	/** Takes what came; returns what of it is known to be the script's. */
	take(bytes: Buffer): Buffer {
		const all = Buffer.concat([this.#held, bytes]);
		const at = this.#begun ? 0 : all.indexOf(marker);
		if (at !== -1) {
			this.#begun = true;
			this.#held = all.subarray(at);
			return all.subarray(0, at);
		}
		// The end may be the marker's beginning.
		const own = all.length - commonEnd(all);
		this.#held = all.subarray(own);
		return all.subarray(0, own);
	}

	/** What was held back and is the script's after all: nothing more comes. */
	rest(): Buffer {
		return this.#begun ? Buffer.alloc(0) : this.#held;
	}

	/** Hits by probe point, as stap has resolved it; a point that is not there had none. Undefined where no report came. */
	hits(): ReadonlyMap<string, number> | undefined {
		if (!this.#begun) return undefined;
		const lines = this.#held.toString().matchAll(/^(.*), \([^()]*:\d+:\d+\), hits: (\d+), /gm);
		const hits = new Map<string, number>();
		for (const [, point = "", count] of lines) hits.set(point, (hits.get(point) ?? 0) + Number(count));
		return hits;
	}
}

/** Length of the longest end of the bytes with which the marker begins. */
function commonEnd(bytes: Buffer): number {
	let length = Math.min(bytes.length, marker.length - 1);
	while (length > 0 && !bytes.subarray(bytes.length - length).equals(marker.subarray(0, length))) length--;
	return length;
}

/** A probe point that a script was compiled for. */
export interface ProbePoint {
	/** As stap has resolved it. */
	point: string;
	/** As the script has it, or near to that. */
	own: string;
}

/** The file `points` of a compiled probe. */
export function readPoints(text: string): ProbePoint[] {
	return text
		.split("\n")
		.filter((line) => line !== "")
		.map((line) => {
			const [point = "", own = ""] = line.split("\t");
			return { point, own };
		});
}

/** How often each thing that the script waits for came, most often first; what begins and ends a run is no such thing. */
export function countHits(
	points: readonly ProbePoint[],
	hits: ReadonlyMap<string, number>,
): [own: string, n: number][] {
	const counts = new Map<string, number>();
	for (const { point, own } of points) {
		if (/^(?:begin|end|error)(?:\(|$)/.test(point)) continue;
		counts.set(own, (counts.get(own) ?? 0) + (hits.get(point) ?? 0));
	}
	return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
}
