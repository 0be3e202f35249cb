import type { Causality, CausalityCheck } from "../../spec/causality.ts";
import { CausalityWatch } from "../../spec/causality-watch.ts";
import type { ClockRecord } from "../../spec/clock-record.ts";
import { UsageError } from "../errors.ts";
import { print, say } from "../terminal.ts";
import { type MergedEvent, mergedEvents } from "./merge.ts";
import { runFolder } from "./run-folder.ts";

export interface EventsOptions {
	/** Only those of qemu, guest or host. */
	layer?: string;
	/** Only those whose name, with its domain's before it (vm:sched_switch), matches. */
	match?: RegExp;
	/** Only those next to this time, in seconds of the host's CLOCK_MONOTONIC. */
	around?: bigint;
	/** So many on either side of it. */
	context: number;
}

/** Prints the events of a run, all layers in one order. */
export async function showEvents(stack: string, run: string, options: EventsOptions): Promise<number> {
	const { record, base, clock, events } = await mergedEvents(runFolder(stack, run));
	for (const said of clockText(clock)) say(said);
	const wanted = ({ layer, domain, name }: MergedEvent) =>
		(options.layer === undefined || options.layer === layer) &&
		(options.match === undefined || options.match.test(`${domain ?? ""}:${name}`));
	const line = (event: MergedEvent) => eventLine(event, base);
	if (options.around !== undefined) {
		const near = await nearest(events, wanted, Number(options.around - base), options.context);
		if (near.length === 0) throw new UsageError("there are no such events in this run", "leave out --layer or --match");
		for (const event of near) print(line(event));
		return 0;
	}
	const watch = new CausalityWatch(record);
	let text = "";
	for await (const event of events) {
		watch.see(event);
		if (!wanted(event)) continue;
		text += `${line(event)}\n`;
		if (text.length < 1 << 16) continue;
		await written(text);
		text = "";
	}
	await written(text);
	const result = watch.result();
	for (const said of causalityText(result)) say(said);
	return contradicts(result) ? 1 : 0;
}

/** The events next to an instant: the last ones before it, and the first ones from it on. */
async function nearest(
	events: AsyncIterable<MergedEvent>,
	wanted: (event: MergedEvent) => boolean,
	time: number,
	count: number,
): Promise<MergedEvent[]> {
	const [before, after]: [MergedEvent[], MergedEvent[]] = [[], []];
	for await (const event of events) {
		if (!wanted(event)) continue;
		if (event.time < time) {
			before.push(event);
			if (before.length > count) before.shift();
		} else if (after.push(event) >= count) break;
	}
	return [...before, ...after];
}

function eventLine({ time, layer, domain, cpu, name, text }: MergedEvent, base: bigint): string {
	const host = base + BigInt(Math.round(time));
	return `${secondsOf(host)}  ${layer.padEnd(5)}  ${(domain ?? "").padEnd(8)}  ${name}  cpu ${cpu}  ${text.replace(/^\{ cpu_id = \d+ \}, /, "")}`;
}

/** 16024.470235905, as --around takes it. */
const secondsOf = (time: bigint): string =>
	`${time / 1_000_000_000n}.${String(time % 1_000_000_000n).padStart(9, "0")}`;

const written = (text: string): Promise<void> =>
	new Promise((resolve) => {
		if (text === "") resolve();
		else process.stdout.write(text, () => resolve());
	});

/** How well each guest's clock is known on the host's, and where less well. */
export function clockText({ guests }: ClockRecord): string[] {
	return Object.entries(guests).flatMap(([name, { method, pairs, pieces, reference }]) => {
		const lines = pieces.filter(({ change }) => change === undefined).map(({ bound }) => bound);
		const at = (guest: number) => secondsOf(BigInt(reference.guest) + BigInt(guest));
		return [
			`guest ${name} is on the host's clock to ${Math.max(...lines)} ns (${method}, ${pairs} pairs)`,
			...pieces.flatMap(({ from, to, bound, change }) =>
				change === undefined
					? []
					: [`  but to ${bound} ns from ${at(from)} to ${at(to)} of its own, where ${change.cause}`],
			),
		];
	});
}

/** Whether an order is violated by more than the clocks' bound: then the bound is false. */
export function contradicts({ checks }: Causality): boolean {
	return checks.some(({ contradictions }) => contradictions > 0);
}

/** All checks in one line; none where there was nothing to compare. */
export function orderText({ checks }: Causality): string[] {
	const pairs = checks.reduce((sum, check) => sum + check.pairs, 0);
	const violations = checks.reduce((sum, check) => sum + check.violations, 0);
	if (pairs === 0) {
		const reasons = new Set(checks.map(({ absent }) => absent));
		return reasons.has(undefined) ? [] : [`causes and effects are not compared: ${[...reasons].join("; ")}`];
	}
	if (violations === 0) return [`causes come first: ${pairs} effects, none before its cause`];
	const contradictions = checks.reduce((sum, check) => sum + check.contradictions, 0);
	const least = Math.min(...checks.map((check) => check.least ?? 0));
	return [`causes come first: ${violations} of ${pairs} effects before their causes, ${early(least, contradictions)}`];
}

/** A line for each check, and one for what could not be checked. */
export function causalityText({ checks, unpaired }: Causality): string[] {
	const lines = checks.map((check) => `${check.order}: ${outcome(check)}`);
	return unpaired === 0
		? lines
		: [...lines, `${unpaired} requests and interrupts were not compared: one side has more of them`];
}

function outcome({ pairs, violations, contradictions, least = 0, median = 0, absent }: CausalityCheck): string {
	if (absent !== undefined) return `not compared, as ${absent}`;
	if (pairs === 0) return "nothing to compare";
	if (violations === 0) return `${pairs} times, never violated; ${least} ns at least, ${median} ns in the middle`;
	return `${violations} of ${pairs} violated, ${early(least, contradictions)}`;
}

function early(least: number, contradictions: number): string {
	const verdict =
		contradictions === 0
			? "within the clocks' bound"
			: `over the clocks' bound in ${contradictions}, where that is false`;
	return `by ${-least} ns at most: ${verdict}`;
}
