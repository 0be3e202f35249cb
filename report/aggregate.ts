import { beaconPort } from "../spec/beacon-match.ts";
import { bareName, type Layer, outsideIn, sourceName, type TraceEvent } from "./event.ts";
import { packItems, type TimelineItem } from "./items.ts";
import { type Distribution, Latencies } from "./latencies.ts";
import type { PageData } from "./page-data.ts";
import { Rates } from "./rates.ts";
import { RequestPath, type Stage } from "./request-path.ts";
import { type SliceRule, sliceRules } from "./slice-rules.ts";
import { type PairCount, type Slice, Slices } from "./slices.ts";
import { Thinning } from "./thinning.ts";

/** So many items a phone draws in a frame, and a file of a few megabytes holds. */
export const drawnLimit = 50_000;

/** How many of the longest of each kind are named. */
const longestShown = 5;

export interface EventCount {
	readonly layer: Layer;
	readonly domain: string | undefined;
	readonly name: string;
	readonly count: number;
	/** One of so many is drawn. */
	readonly every: number;
}

export interface LatencyKind {
	readonly title: string;
	readonly layer: Layer;
	readonly domain: string | undefined;
	/** What is measured, from which event to which. */
	readonly what: string;
	readonly distribution: Distribution;
	readonly unmatched: PairCount;
	/** The longest ones, with their starts. */
	readonly longest: readonly { readonly start: number; readonly duration: number; readonly label: string }[];
}

export interface Report {
	/** The first event's time: all others count from it. */
	readonly origin: number;
	readonly total: number;
	readonly bySource: readonly { readonly layer: Layer; readonly domain: string | undefined; readonly count: number }[];
	/** The most frequent first. */
	readonly events: readonly EventCount[];
	readonly latencies: readonly LatencyKind[];
	/** Where a guest's block requests spend their time, by domain; only where both layers saw them. */
	readonly paths: readonly {
		readonly domain: string | undefined;
		readonly stages: readonly Stage[];
		readonly requests: number;
	}[];
	readonly drawn: number;
	readonly page: Omit<PageData, "clocks">;
}

interface Longest {
	readonly id: number;
	readonly item: TimelineItem;
	readonly duration: number;
}

interface LatencyState {
	readonly rule: Pick<SliceRule, "title" | "latency">;
	readonly layer: Layer;
	readonly domain: string | undefined;
	readonly values: Latencies;
	longest: Longest[];
}

/** Everything that a report says of a run's events, in one pass over them. */
export async function aggregate(events: AsyncIterable<TraceEvent>, limit = drawnLimit): Promise<Report> {
	const aggregation = new Aggregation(limit);
	for await (const event of events) aggregation.add(event);
	return aggregation.end();
}

class Aggregation {
	readonly #slices = new Slices();
	readonly #rates = new Rates();
	readonly #path = new RequestPath();
	readonly #items: Thinning<{ readonly id?: number; readonly item: TimelineItem }>;
	readonly #counts = new Map<string, { layer: Layer; domain: string | undefined; name: string; count: number }>();
	readonly #latencies = new Map<string, LatencyState>();
	readonly #accesses = new Map<string, number>();
	#origin: number | undefined;
	#last = 0;

	constructor(limit: number) {
		this.#items = new Thinning(limit);
	}

	add(event: TraceEvent): void {
		this.#origin ??= event.time;
		const time = this.#since(event);
		if (time > this.#last) this.#last = time;
		const source = `${event.layer} ${event.domain}`;
		this.#rates.add(source, time);
		this.#countEvent(source, event);
		const { closed, alone } = this.#slices.feed(event);
		for (const { slice, whole } of closed) {
			if (whole) this.#slice(slice, time, event);
			else this.#instant(slice.begin);
		}
		if (alone) this.#instant(event);
		this.#access(event, time);
	}

	end(): Report {
		for (const slice of this.#slices.end()) {
			// A task that runs on when the trace ends did run; of anything else, the end is not known.
			if (slice.rule.latency === undefined) this.#item(slice, this.#last);
			else this.#instant(slice.begin);
		}
		const { width, counts } = this.#rates.table();
		const rows = [...this.#counts.values()];
		const sources = distinct(rows);
		const latencies = this.#latencyKinds();
		const kept = this.#drawn();
		return {
			origin: this.#origin ?? 0,
			total: rows.reduce((sum, { count }) => sum + count, 0),
			bySource: sources.map(({ layer, domain }) => ({
				layer,
				domain,
				count: rows.reduce((sum, row) => sum + (row.layer === layer && row.domain === domain ? row.count : 0), 0),
			})),
			events: rows
				.map((row) => ({ ...row, every: this.#items.every(`${row.layer} ${row.domain} ${row.name}`) }))
				.sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1)),
			latencies,
			paths: this.#path.paths(),
			drawn: kept.length,
			page: {
				length: this.#last,
				...packItems(kept, (kind) => this.#items.every(kind)),
				rates: {
					width,
					series: sources.map(({ layer, domain }) => ({
						layer,
						source: sourceName(layer, domain),
						counts: counts.get(`${layer} ${domain}`) ?? [],
					})),
				},
				latencies: latencies.map(({ title, layer, domain, distribution }) => ({
					title: `${title} · ${sourceName(layer, domain)}`,
					layer,
					distribution,
				})),
			},
		};
	}

	/** A merged stream is in order; where a fit's bound lets one be before the first, it is at the first. */
	#since({ time }: TraceEvent): number {
		return Math.max(0, Math.round(time - (this.#origin ?? time)));
	}

	#countEvent(source: string, { layer, domain, name }: TraceEvent): void {
		const key = `${source} ${name}`;
		const row = this.#counts.get(key);
		if (row === undefined) this.#counts.set(key, { layer, domain, name, count: 1 });
		else row.count++;
	}

	#slice(slice: Slice, end: number, event: TraceEvent): void {
		const start = this.#since(slice.begin);
		const { layer, domain } = slice.begin;
		if (slice.rule.latency !== undefined) {
			const state = this.#latency(slice.rule, layer, domain);
			state.values.add(end - start);
			note(state, slice.id, end - start, () => this.#sliceItem(slice, end, event));
		}
		this.#path.add(slice, start, end);
		this.#item(slice, end, event);
	}

	#item(slice: Slice, end: number, ending?: TraceEvent): void {
		this.#items.add(kindOf(slice.begin), () => ({ id: slice.id, item: this.#sliceItem(slice, end, ending) }));
	}

	#sliceItem({ begin, rule }: Slice, end: number, ending?: TraceEvent): TimelineItem {
		return {
			kind: kindOf(begin),
			layer: begin.layer,
			domain: begin.domain,
			lane: rule.kind === "nested" ? cpuLabel(begin) : rule.title,
			start: this.#since(begin),
			end,
			label: rule.label(begin),
			...named(begin, ending),
		};
	}

	#instant(event: TraceEvent): void {
		const { layer, domain, name } = event;
		const kind = kindOf(event);
		this.#items.add(kind, () => ({
			item: {
				kind,
				layer,
				domain,
				lane: cpuLabel(event),
				start: this.#since(event),
				label: bareName(name),
				name,
				fields: event.fields,
			},
		}));
	}

	/** What is drawn: what thinning left, and the longest slices, which the page leads to. */
	#drawn(): TimelineItem[] {
		const kept = this.#items.kept();
		const there = new Set(kept.map(({ id }) => id));
		const longest = [...this.#latencies.values()].flatMap((state) => state.longest);
		return [...kept, ...longest.filter(({ id }) => !there.has(id))].map(({ item }) => item);
	}

	/**
	 * TCG has no exits: QEMU runs the guest's code itself. What would leave the guest under KVM is an access to a device,
	 * which has an instant and no end in the trace, so its pauses are what there is to measure.
	 */
	#access(event: TraceEvent, time: number): void {
		if (event.layer !== "qemu" || !deviceAccesses.events.includes(event.name)) return;
		const { addr, cpu_index: vcpu } = event.fields;
		// The lab's own, by which it measures the guest's clock.
		if (addr === beaconPort) return;
		const cpu = `${event.domain} ${vcpu}`;
		const before = this.#accesses.get(cpu);
		this.#accesses.set(cpu, time);
		if (before !== undefined) this.#latency(deviceAccesses, event.layer, event.domain).values.add(time - before);
	}

	#latency(rule: Pick<SliceRule, "title" | "latency">, layer: Layer, domain: string | undefined): LatencyState {
		const key = `${layer} ${domain} ${rule.title}`;
		let state = this.#latencies.get(key);
		if (state === undefined) {
			state = { rule, layer, domain, values: new Latencies(), longest: [] };
			this.#latencies.set(key, state);
		}
		return state;
	}

	#latencyKinds(): LatencyKind[] {
		const order = [...new Set(sliceRules.map(({ title }) => title)), deviceAccesses.title];
		return [...this.#latencies.values()]
			.sort(
				(a, b) =>
					order.indexOf(a.rule.title) - order.indexOf(b.rule.title) ||
					outsideIn.indexOf(b.layer) - outsideIn.indexOf(a.layer) ||
					((a.domain ?? "") < (b.domain ?? "") ? -1 : 1),
			)
			.flatMap(({ rule, layer, domain, values, longest }) => {
				const distribution = values.distribution();
				if (distribution === undefined) return [];
				const slice = sliceRules.find((each) => each === rule);
				const none = { pairs: distribution.count, beginsAlone: 0, endsAlone: 0 };
				const unmatched = slice === undefined ? none : this.#slices.count(slice, `${layer} ${domain}`);
				return [
					{
						title: rule.title,
						layer,
						domain,
						what: rule.latency ?? "",
						distribution,
						unmatched,
						longest: longest.map(({ duration, item: { start, label } }) => ({ start, duration, label })),
					},
				];
			});
	}
}

const deviceAccesses = {
	title: "Pauses between device accesses",
	latency: "memory_region_ops_read or _write to the next one of the same vCPU; under TCG these stand for vCPU exits",
	events: ["qemu:memory_region_ops_read", "qemu:memory_region_ops_write"],
};

function note({ longest }: LatencyState, id: number, duration: number, item: () => TimelineItem): void {
	if (longest.length === longestShown && duration <= (longest.at(-1)?.duration ?? 0)) return;
	const at = longest.findIndex((one) => one.duration < duration);
	longest.splice(at === -1 ? longest.length : at, 0, { id, duration, item: item() });
	longest.length = Math.min(longest.length, longestShown);
}

const kindOf = ({ layer, domain, name }: TraceEvent): string => `${layer} ${domain} ${name}`;

const cpuLabel = ({ layer, cpu }: TraceEvent): string => (layer === "qemu" ? `host CPU ${cpu}` : `CPU ${cpu}`);

/** Both names of a slice, and what its end says that its begin does not, or says otherwise. */
function named(begin: TraceEvent, end: TraceEvent | undefined): Pick<TimelineItem, "name" | "fields"> {
	// The next task's begin says nothing of this one.
	if (end === undefined || end.name === begin.name) return { name: begin.name, fields: begin.fields };
	const fields = { ...begin.fields };
	for (const [field, value] of Object.entries(end.fields)) {
		if (fields[field] !== value) fields[field in fields ? `${field} at its end` : field] = value;
	}
	return { name: `${begin.name} → ${end.name}`, fields };
}

function distinct(
	rows: readonly { layer: Layer; domain: string | undefined }[],
): { layer: Layer; domain: string | undefined }[] {
	const found = new Map(rows.map(({ layer, domain }) => [`${layer} ${domain}`, { layer, domain }]));
	return [...found.values()].sort(
		(a, b) => outsideIn.indexOf(a.layer) - outsideIn.indexOf(b.layer) || ((a.domain ?? "") < (b.domain ?? "") ? -1 : 1),
	);
}
