import type { Fields } from "../spec/ctf-line.ts";
import { type Layer, outsideIn, plainValue, sourceName } from "./event.ts";
import type { ItemColumns, Lane } from "./page-data.ts";

/** A slice or a single event of the timeline. */
export interface TimelineItem {
	/** What it is thinned with. */
	readonly kind: string;
	readonly layer: Layer;
	readonly domain: string | undefined;
	readonly lane: string;
	readonly start: number;
	/** Nothing for a single event. */
	readonly end?: number;
	readonly name: string;
	readonly label: string;
	readonly fields: Fields;
}

/** More rows than this are no longer told apart: what is beyond lies in the last one. */
const deepest = 4;

/** Puts items into lanes and rows, and these into columns. */
export function packItems(
	items: readonly TimelineItem[],
	every: (kind: string) => number,
): { lanes: Lane[]; items: ItemColumns } {
	// An outer slice first, so that the rows follow the nesting.
	const sorted = [...items].sort((a, b) => a.start - b.start || (b.end ?? b.start) - (a.end ?? a.start));
	const laneTable = laneNumbers(sorted);
	const texts = new Numbers();
	const kinds = new Map<string, { index: number; name: string; fields: string[]; every: number }>();
	const columns = {
		starts: [] as number[],
		durations: [] as number[],
		lanes: [] as number[],
		rows: [] as number[],
		kindOf: [] as number[],
		values: [] as (string | number)[][],
		labels: [] as number[],
	};
	let before = 0;
	for (const item of sorted) {
		const lane = laneTable.get(laneKey(item));
		if (lane === undefined) continue;
		const fields = Object.keys(item.fields);
		const shape = `${item.kind}\0${item.name}\0${fields.join("\0")}`;
		let kind = kinds.get(shape);
		if (kind === undefined) {
			kind = { index: kinds.size, name: item.name, fields, every: every(item.kind) };
			kinds.set(shape, kind);
		}
		columns.starts.push(item.start - before);
		before = item.start;
		columns.durations.push(item.end === undefined ? -1 : item.end - item.start);
		columns.lanes.push(lane.index);
		columns.rows.push(item.end === undefined ? 0 : rowOf(lane.rows, item.start, item.end));
		columns.kindOf.push(kind.index);
		columns.values.push(fields.map((field) => plainValue(item.fields[field])));
		columns.labels.push(texts.of(item.label));
	}
	return {
		lanes: [...laneTable.values()].map(({ item, rows }) => ({
			layer: item.layer,
			source: sourceName(item.layer, item.domain),
			label: item.lane,
			depth: rows.length,
		})),
		items: { ...columns, texts: texts.all, kinds: [...kinds.values()].map(({ index: _, ...kind }) => kind) },
	};
}

interface LaneRows {
	index: number;
	readonly item: TimelineItem;
	/** When the last slice of each row ends. */
	readonly rows: number[];
}

/** Lanes by layer, domain and label, CPUs by their numbers and before what is on no CPU. */
function laneNumbers(items: readonly TimelineItem[]): Map<string, LaneRows> {
	const found = new Map<string, LaneRows>();
	for (const item of items) if (!found.has(laneKey(item))) found.set(laneKey(item), { index: 0, item, rows: [] });
	const byName = new Intl.Collator("en", { numeric: true });
	const isCpu = ({ lane }: TimelineItem) => (/CPU \d+$/.test(lane) ? 0 : 1);
	const sorted = [...found].sort(
		([, { item: a }], [, { item: b }]) =>
			outsideIn.indexOf(a.layer) - outsideIn.indexOf(b.layer) ||
			byName.compare(a.domain ?? "", b.domain ?? "") ||
			isCpu(a) - isCpu(b) ||
			byName.compare(a.lane, b.lane),
	);
	for (const [index, [, lane]] of sorted.entries()) lane.index = index;
	return new Map(sorted);
}

const laneKey = ({ layer, domain, lane }: TimelineItem): string => `${layer}\0${domain}\0${lane}`;

function rowOf(rows: number[], start: number, end: number): number {
	const free = rows.findIndex((until) => until <= start);
	const row = free === -1 ? Math.min(rows.length, deepest - 1) : free;
	rows[row] = Math.max(rows[row] ?? 0, end);
	return row;
}

/** Texts that come again are one. */
class Numbers {
	readonly all: string[] = [];
	readonly #numbers = new Map<string, number>();

	of(text: string): number {
		const known = this.#numbers.get(text);
		if (known !== undefined) return known;
		this.#numbers.set(text, this.all.length);
		return this.all.push(text) - 1;
	}
}
