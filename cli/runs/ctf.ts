import { existsSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { CtfLine } from "../../spec/ctf-line.ts";
import { type TraceClock, traceClock } from "../../spec/trace-clock.ts";
import { LabError } from "../errors.ts";
import { outputOf } from "../program.ts";

/** A CTF trace: its folder, or, of a session that was rotated, that of each piece. Their metadata is the same. */
export type CtfTrace = readonly [string, ...string[]];

/** A folder of what was recorded between two rotations of a session: BEGIN-NUMBER where that goes on, archives/BEGIN-END-NUMBER. */
const piece = /(^|\/)(archives\/)?(\d{8}T\d{6}[+-]\d{4}-){1,2}\d+(?=\/)/;

/**
 * The CTF traces below a folder, such as an LTTng session's output: one for each user and bitness.
 *
 * @throws LabError for one that is not whole
 */
export function ctfTraces(folder: string): CtfTrace[] {
	if (!existsSync(folder)) return [];
	const folders = readdirSync(folder, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile() && entry.name === "metadata")
		.map(({ parentPath }) => parentPath)
		.sort();
	for (const one of folders) {
		if (statSync(join(one, "metadata")).size > 0) continue;
		throw new LabError(`the trace ${one} has no metadata yet`, "stop its session: lttng list, then lttng destroy NAME");
	}
	const traces = Map.groupBy(folders, (one) => relative(folder, one).replace(piece, ""));
	return [...traces.values()].flatMap(([first, ...others]) =>
		first === undefined ? [] : [[first, ...others] as const],
	);
}

/** The clock that a trace's metadata describes. */
export async function ctfClock([trace]: CtfTrace): Promise<TraceClock> {
	let text = "";
	for await (const part of outputOf("babeltrace2", ["--output-format=ctf-metadata", trace])) text += part;
	const clock = traceClock(text);
	if (clock !== undefined) return clock;
	throw new LabError(
		`${trace} has no clock of nanoseconds`,
		"it was not recorded by LTTng with its own clock; record it again without --clock plugins",
	);
}

/** Linux takes 128 KiB in one argument. */
const piecesAtOnce = 200;

/** The first and the last instant of a trace, as its packets say, on its own clock; nothing where it is empty. */
export async function ctfRange(trace: CtfTrace): Promise<readonly [bigint, bigint] | undefined> {
	let text = "";
	for (let at = 0; at < trace.length; at += piecesAtOnce) {
		const inputs = JSON.stringify(trace.slice(at, at + piecesAtOnce));
		const query = ["query", "source.ctf.fs", "babeltrace.trace-infos", `--params=inputs=${inputs}`];
		for await (const part of outputOf("babeltrace2", query)) text += part;
	}
	const { offset } = await ctfClock(trace);
	const times = (which: string) =>
		[...text.matchAll(new RegExp(`^ *${which}: (-?\\d+)$`, "gm"))].map(([, time = "0"]) => BigInt(time) - offset);
	const [first, last] = [earliest(times("begin")), latest(times("end"))];
	return first === undefined || last === undefined ? undefined : [first, last];
}

/** The events of a trace in their order, a good number at a time. */
export async function* ctfEvents(trace: CtfTrace): AsyncGenerator<CtfLine[]> {
	// One trace at a time: of several, babeltrace2 orders the events by what each trace believes the wall clock to be.
	const args = ["--clock-cycles", "--no-delta", "--fields=trace:domain", "--color=never", ...trace];
	let rest = "";
	for await (const part of outputOf("babeltrace2", args)) {
		const lines = (rest + part).split("\n");
		rest = lines.pop() ?? "";
		if (lines.length > 0) yield lines.map((line) => new CtfLine(line));
	}
}

const inOrder = (times: readonly bigint[]): bigint[] => [...times].sort((one, two) => (one < two ? -1 : 1));

export const earliest = (times: readonly bigint[]): bigint | undefined => inOrder(times)[0];
export const latest = (times: readonly bigint[]): bigint | undefined => inOrder(times).at(-1);
