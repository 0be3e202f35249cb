import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Causality, OrderedEvent } from "../../spec/causality.ts";
import { CausalityWatch } from "../../spec/causality-watch.ts";
import { ClockMap } from "../../spec/clock-map.ts";
import type { ClockRecord } from "../../spec/clock-record.ts";
import type { CtfLine, Fields } from "../../spec/ctf-line.ts";
import { quote } from "../../spec/quote.ts";
import type { Run } from "../../spec/run.ts";
import { stackOption } from "../card.ts";
import { runClock } from "../clock/run-clock.ts";
import { LabError } from "../errors.ts";
import { type CtfTrace, ctfEvents, ctfTraces, earliest } from "./ctf.ts";
import { readRun } from "./run-file.ts";

/** An event of a run, on the host's clock. Its fields are read when they are asked for. */
export class MergedEvent implements OrderedEvent {
	readonly #line: CtfLine;
	readonly time: number;
	readonly bound: number;
	readonly layer: OrderedEvent["layer"];
	readonly domain: string | undefined;
	#fields: Fields | undefined;

	constructor(
		line: CtfLine,
		[time, bound]: readonly [time: number, bound: number],
		layer: OrderedEvent["layer"],
		domain: string | undefined,
	) {
		this.#line = line;
		this.time = time;
		this.bound = bound;
		this.layer = layer;
		this.domain = domain;
	}

	get name(): string {
		return this.#line.name;
	}

	/** The processor that it is from, of the guest's or of the host's; -1 where the trace does not say. */
	get cpu(): number {
		return this.#line.cpu;
	}

	get fields(): Fields {
		this.#fields ??= this.#line.fields;
		return this.#fields;
	}

	/** Its fields as text. */
	get text(): string {
		return this.#line.text;
	}

	/** The time on its own layer's clock, CLOCK_MONOTONIC in nanoseconds. */
	get cycles(): bigint {
		return this.#line.cycles;
	}
}

export interface MergedRun {
	/** What it says of itself, where it does. */
	record: Run | undefined;
	/** The host's CLOCK_MONOTONIC, in nanoseconds, that the events' times are relative to. */
	base: bigint;
	/** What puts the guests' events on it. */
	clock: ClockRecord;
	events: AsyncGenerator<MergedEvent>;
}

/**
 * The events of all layers of a run in one order: the guests' are put on the host's clock.
 *
 * @param record what the run says of itself; by default its run.json
 */
export async function mergedEvents(folder: string, record = readRun(folder)): Promise<MergedRun> {
	if (record !== undefined && record.ended === undefined) {
		throw new LabError(
			`run ${quote(record.run)} is being recorded`,
			`./lab${stackOption(record.stack)} trace stop ${record.run} ends it; what trace rotate ended of it before, babeltrace2 reads`,
		);
	}
	const domains = record?.domains ?? {};
	const clock = await runClock(folder, domains);
	const { guests } = clock;
	const guestNames = existsSync(join(folder, "guest")) ? readdirSync(join(folder, "guest")).sort() : [];
	const base = earliest(Object.values(guests).map(({ reference }) => BigInt(reference.host))) ?? 0n;
	const names = new Set([...guestNames, ...Object.keys(guests), ...Object.keys(domains)]);
	const [only] = names.size === 1 ? names : [];
	const byPid = new Map(Object.entries(domains).map(([name, { pid }]) => [pid, name]));
	const domainOf = (line: CtfLine) => only ?? (byPid.size === 0 ? undefined : byPid.get(line.pid));
	const sources: Source[] = [];
	for (const layer of ["qemu", "host"] as const) {
		for (const trace of ctfTraces(join(folder, layer))) {
			const domain = layer === "qemu" ? domainOf : () => undefined;
			sources.push(
				new Source(trace, (line) => new MergedEvent(line, [Number(line.cycles - base), 0], layer, domain(line))),
			);
		}
	}
	for (const name of guestNames) {
		const own = guests[name];
		const traces = ctfTraces(join(folder, "guest", name));
		if (own === undefined && traces.length > 0) {
			throw new LabError(
				`nothing says how the clock of guest ${name} stands to the host's: there is no clock/${name} in ${folder}`,
				"record the run again, with clock-beacon running in the guest",
			);
		}
		if (own === undefined) continue;
		const [here, shift] = [BigInt(own.reference.guest), Number(BigInt(own.reference.host) - base)];
		for (const trace of traces) {
			const map = new ClockMap(own.pieces);
			const place = (line: CtfLine) => {
				const guest = Number(line.cycles - here);
				return [map.hostTime(guest) + shift, map.bound(guest) ?? Number.POSITIVE_INFINITY] as const;
			};
			sources.push(new Source(trace, (line) => new MergedEvent(line, place(line), "guest", name)));
		}
	}
	return { record, base, clock, events: inOneOrder(sources) };
}

/** Checks on what the guests' disks do that no effect comes before its cause. */
export async function causality(folder: string, run?: Run): Promise<Causality> {
	const { record, events } = await mergedEvents(folder, run);
	const watch = new CausalityWatch(record);
	for await (const event of events) watch.see(event);
	return watch.result();
}

/** A trace that is read as far as its next event. */
class Source {
	readonly #batches: AsyncGenerator<CtfLine[]>;
	readonly #event: (line: CtfLine) => MergedEvent;
	#batch: readonly CtfLine[] = [];
	#at = 0;
	head: MergedEvent | undefined;

	constructor(trace: CtfTrace, event: (line: CtfLine) => MergedEvent) {
		this.#batches = ctfEvents(trace);
		this.#event = event;
	}

	/** Goes on to the next event; false where it has to be waited for. */
	next(): boolean {
		const line = this.#batch[this.#at++];
		this.head = line === undefined ? undefined : this.#event(line);
		return line !== undefined;
	}

	/** Waits for more events; there may be none. */
	async more(): Promise<void> {
		const { value, done } = await this.#batches.next();
		[this.#batch, this.#at] = [done ? [] : value, 0];
		this.next();
	}

	async end(): Promise<void> {
		await this.#batches.return(undefined);
	}
}

async function* inOneOrder(sources: readonly Source[]): AsyncGenerator<MergedEvent> {
	try {
		await Promise.all(sources.map((source) => source.more()));
		for (;;) {
			let first: Source | undefined;
			for (const source of sources) {
				if (source.head !== undefined && source.head.time < (first?.head?.time ?? Number.POSITIVE_INFINITY))
					first = source;
			}
			if (first?.head === undefined) return;
			yield first.head;
			if (!first.next()) await first.more();
		}
	} finally {
		await Promise.all(sources.map((source) => source.end()));
	}
}
