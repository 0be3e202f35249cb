import type { Layer } from "./event.ts";
import type { Distribution } from "./latencies.ts";

/** What the page draws: written by `aggregate`, read in the browser. Times are nanoseconds since the first event. */
export interface PageData {
	/** From the first event to the last one. */
	readonly length: number;
	readonly lanes: readonly Lane[];
	readonly items: ItemColumns;
	readonly rates: { readonly width: number; readonly series: readonly RateSeries[] };
	readonly latencies: readonly { readonly title: string; readonly layer: Layer; readonly distribution: Distribution }[];
	readonly clocks: readonly {
		readonly domain: string;
		readonly bound: number;
		readonly points: readonly (readonly [time: number, nanoseconds: number])[];
	}[];
}

/** A row of the timeline: a CPU of a layer, or the things of a layer that are on no one CPU. */
export interface Lane {
	readonly layer: Layer;
	readonly source: string;
	readonly label: string;
	/** Slices stack up to so many rows. */
	readonly depth: number;
}

export interface RateSeries {
	readonly layer: Layer;
	readonly source: string;
	/** Events of each column. */
	readonly counts: readonly number[];
}

/** The timeline's items in the order of their starts: columns, which pack well. */
export interface ItemColumns {
	/** Nanoseconds after the start of the item before. */
	readonly starts: readonly number[];
	/** -1 for an event without a length. */
	readonly durations: readonly number[];
	readonly lanes: readonly number[];
	/** Row within the lane. */
	readonly rows: readonly number[];
	/** Index in `kinds`. */
	readonly kindOf: readonly number[];
	/** Field values, as many as the kind has field names, as text. */
	readonly values: readonly (readonly (string | number)[])[];
	readonly labels: readonly number[];
	readonly texts: readonly string[];
	readonly kinds: readonly Kind[];
}

export interface Kind {
	/** The event's name, or the two names of a slice. */
	readonly name: string;
	readonly fields: readonly string[];
	/** One of so many of this kind is drawn. */
	readonly every: number;
}
