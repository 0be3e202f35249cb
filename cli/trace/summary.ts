import { layerSeconds, type Run, type RunLayer, secondsOf, titleOf } from "../../spec/run.ts";
import { duration, size, table } from "../terminal.ts";

/** Events of a layer that are shown one by one. */
const shown = 10;

/** What a run recorded, for a person. */
export function summary(run: Run, folder: string): string[] {
	const recorded = run.layers.filter(({ absent }) => absent === undefined);
	const rows = recorded.map((layer) => [
		titleOf(layer),
		String(layer.total),
		perSecond(layer.total, layerSeconds(run, layer)),
		size(layer.bytes),
		`${size(Math.round(layer.bytes / layerSeconds(run, layer)))}/s`,
		String(layer.discarded),
		String(layer.lostPackets),
	]);
	const head = ["LAYER", "EVENTS", "A SECOND", "SIZE", "RATE", "DISCARDED EVENTS", "LOST PACKETS"];
	return [
		`run ${run.run}: ${run.profile} of ${Object.keys(run.domains).join(", ")} for ${duration(secondsOf(run))}, in ${folder}`,
		table(head, rows),
		...run.layers.filter(({ total }) => total > 0).map(eventsOf),
		...run.layers.flatMap(({ absent }) => absent ?? []),
		...run.notes,
		...overBudget(run),
	];
}

function eventsOf(layer: RunLayer): string {
	const sorted = Object.entries(layer.events).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
	const rows = sorted.slice(0, shown).map(([name, n]) => [`  ${name}`, String(n)]);
	const rest = sorted.slice(shown);
	if (rest.length > 0) rows.push([`  ${rest.length} others`, String(rest.reduce((sum, [, n]) => sum + n, 0))]);
	return `${titleOf(layer)}:\n${table([], rows)}`;
}

/** What was over the profile's budget, in a sentence for each layer. */
export function overBudget(run: Run): string[] {
	return run.layers.flatMap((layer) => {
		const seconds = layerSeconds(run, layer);
		const domains = layer.layer === "qemu" ? Object.keys(run.domains).length : 1;
		const [rate, events] = [run.budget.rate * domains, run.budget.events * domains];
		const over = [
			...(layer.bytes / seconds > rate * 1e6
				? [`${size(Math.round(layer.bytes / seconds))}/s instead of ${rate} MB/s`]
				: []),
			...(layer.total / seconds > events
				? [`${perSecond(layer.total, seconds)} events a second instead of ${events}`]
				: []),
		];
		return over.length === 0 ? [] : [`${titleOf(layer)} is over the budget of ${run.profile}: ${over.join(", ")}`];
	});
}

const perSecond = (count: number, seconds: number): string => String(Math.round(count / seconds));
