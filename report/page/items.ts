import type { ItemColumns, Lane } from "../page-data.ts";

/** The items of a lane, in the order of their starts. */
export interface LaneItems {
	readonly lane: Lane;
	/** On a CPU, slices are inside each other; elsewhere they lie beside each other. */
	readonly nested: boolean;
	readonly slices: readonly number[];
	readonly marks: readonly number[];
}

/** The timeline's items, unpacked. */
export class Items {
	readonly #columns: ItemColumns;
	readonly starts: Float64Array;
	readonly lanes: readonly LaneItems[];

	constructor(columns: ItemColumns, lanes: readonly Lane[]) {
		this.#columns = columns;
		this.starts = new Float64Array(columns.starts.length);
		let at = 0;
		for (const [index, step] of columns.starts.entries()) {
			at += step;
			this.starts[index] = at;
		}
		const byLane = lanes.map((lane) => ({
			lane,
			nested: /CPU \d+$/.test(lane.label),
			slices: [] as number[],
			marks: [] as number[],
		}));
		for (const [index, lane] of columns.lanes.entries()) {
			byLane[lane]?.[(columns.durations[index] ?? -1) < 0 ? "marks" : "slices"].push(index);
		}
		this.lanes = byLane;
	}

	start(index: number): number {
		return this.starts[index] ?? 0;
	}

	duration(index: number): number {
		return this.#columns.durations[index] ?? -1;
	}

	row(index: number): number {
		return this.#columns.rows[index] ?? 0;
	}

	label(index: number): string {
		return this.#columns.texts[this.#columns.labels[index] ?? 0] ?? "";
	}

	every(index: number): number {
		return this.#kind(index)?.every ?? 1;
	}

	name(index: number): string {
		return this.#kind(index)?.name ?? "";
	}

	fields(index: number): [string, string][] {
		const values = this.#columns.values[index] ?? [];
		return (this.#kind(index)?.fields ?? []).map((field, at) => [field, String(values[at] ?? "")]);
	}

	#kind(index: number) {
		return this.#columns.kinds[this.#columns.kindOf[index] ?? 0];
	}
}
