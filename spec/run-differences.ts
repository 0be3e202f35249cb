import { type Run, type RunLayer, secondsOf, titleOf } from "./run.ts";

/** Events of a layer that are shown one by one: those that there are most of, in either run. */
const shown = 25;

type Row = [what: string, before: string, now: string, change: string];

/**
 * What differs between two runs of the same: how long they took, how their commands ended, what ran on what, and what they recorded.
 */
export function runDifferences(before: Run, now: Run): Row[] {
	const lost = ({ discarded, lostPackets }: RunLayer) => discarded + lostPackets;
	const sum = ({ layers }: Run, value: (layer: RunLayer) => number) =>
		layers.reduce((total, layer) => total + value(layer), 0);
	const [old, young] = [facts(before), facts(now)];
	const others = [...new Set([...old.keys(), ...young.keys()])].filter((fact) => old.get(fact) !== young.get(fact));
	const titles = [...new Set([...before.layers, ...now.layers].map(titleOf))];
	return [
		row("seconds", secondsOf(before), secondsOf(now)),
		...others.map((fact): Row => [fact, old.get(fact) ?? "", young.get(fact) ?? "", ""]),
		row("lost events and packets", sum(before, lost), sum(now, lost)),
		...titles.flatMap((title) => layerRows(title, layerOf(before, title), layerOf(now, title))),
	];
}

/** How a command ended, and what ran and recorded it; of hashes, what git shows of one. */
function facts({ exitStatus, commit, cli, hostKernel, lttng, domains }: Run): Map<string, string | undefined> {
	return new Map([
		["exit status", exitStatus?.toString()],
		["commit", commit],
		["cli/", cli?.slice(0, 12)],
		["host's kernel", hostKernel],
		["LTTng", lttng.host],
		...Object.entries(lttng.guests).map(([name, version]) => [`${name}: LTTng`, version] as const),
		...Object.entries(domains).flatMap(([name, { emulator, acceleration, kernel, modules, clocksource }]) => [
			[`${name}: emulator`, emulator] as const,
			[`${name}: acceleration`, acceleration] as const,
			[`${name}: kernel's build-id`, kernel?.slice(0, 12)] as const,
			...Object.entries(modules).map(([module, id]) => [`${name}: build-id of ${module}`, id.slice(0, 12)] as const),
			[`${name}: clocksource`, clocksource] as const,
		]),
	]);
}

const layerOf = ({ layers }: Run, title: string): RunLayer | undefined =>
	layers.find((layer) => titleOf(layer) === title);

function layerRows(title: string, before: RunLayer | undefined, now: RunLayer | undefined): Row[] {
	const names = [...new Set([...Object.keys(before?.events ?? {}), ...Object.keys(now?.events ?? {})])];
	const counts = names
		.map((name) => ({ name, old: before?.events[name] ?? 0, young: now?.events[name] ?? 0 }))
		.sort((a, b) => Math.max(b.old, b.young) - Math.max(a.old, a.young) || (a.name < b.name ? -1 : 1));
	const rest = counts.slice(shown);
	return [
		row(title, before?.total ?? 0, now?.total ?? 0),
		...counts.slice(0, shown).map(({ name, old, young }) => row(`  ${name}`, old, young)),
		...(rest.length === 0
			? []
			: [
					row(
						`  ${rest.length} others`,
						rest.reduce((total, { old }) => total + old, 0),
						rest.reduce((total, { young }) => total + young, 0),
					),
				]),
	];
}

const text = (count: number): string => (Number.isInteger(count) ? String(count) : count.toFixed(3));

function row(what: string, before: number, now: number): Row {
	return [what, text(before), text(now), change(before, now)];
}

/** In percent of what was before. */
function change(before: number, now: number): string {
	if (before === now) return "";
	if (before === 0) return "new";
	if (now === 0) return "gone";
	const percent = (now / before - 1) * 100;
	return `${percent < 0 ? "−" : "+"}${Math.abs(percent).toFixed(1)} %`;
}
