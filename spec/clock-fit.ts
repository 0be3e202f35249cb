import { ClockMap, type ClockPiece } from "./clock-map.ts";
import { cut, type FeasibleLines, type Line, linesBetween, middleLine, type Point, range } from "./feasible-lines.ts";

/**
 * One instant as two clocks have it, both CLOCK_MONOTONIC in nanoseconds: the guest's was between two of its readings
 * when the host's was between two of its own. A pair of a beacon has one reading of the host, twice.
 */
export interface ClockPair {
	readonly guest: readonly [before: bigint, after: bigint];
	readonly host: readonly [before: bigint, after: bigint];
}

export interface ClockFit {
	/** The instant that the pieces' times are relative to, as either clock's nanoseconds. */
	readonly reference: { readonly guest: bigint; readonly host: bigint };
	/** They follow each other without gaps. */
	readonly pieces: readonly ClockPiece[];
	/** The largest bound of the pieces. */
	readonly bound: number;
	/** How far the middles of the pairs lie from the lines, in nanoseconds: how wide brackets were, more than the error. */
	readonly residuals: { readonly median: number; readonly max: number };
	readonly pairs: number;
}

export interface ClockFitOptions {
	/** The steps in which the guest's clock advances, in nanoseconds. @default 1 */
	readonly granule?: number;
	/** And the host's. @default 1 */
	readonly hostGranule?: number;
	/** An interval of the guest's clock to cover, beyond the first and the last pair. */
	readonly cover?: readonly [from: bigint, to: bigint];
}

/**
 * How much faster than the other a clock may run: the kernel itself takes no calibration of its TSC that is further off
 * than a hundredth. At boot it may well be a sixth of that, until it is refined.
 */
const steepest = 0.01;

/** Nanoseconds of a second: lines have their x in seconds, so that slopes and values are of like size. */
const second = 1e9;

/** A pair as the two points that the line of offsets passes between, with x in seconds. */
interface Bracket {
	readonly upper: Point;
	readonly lower: Point;
	/** Middle of the pair. */
	readonly middle: Point;
}

interface Segment {
	readonly lines: FeasibleLines;
	readonly brackets: readonly Bracket[];
}

/**
 * The map from a guest's clock to the host's that no pair contradicts.
 *
 * The host's clock rises. At the guest's first reading it was not yet past the host's later one, and at the guest's second
 * reading it had reached the earlier one: so the line of offsets passes below one point and above another. All lines
 * that do so for all pairs are a convex polygon, and what its corners say at an instant is the bound there. It is a hard
 * one as long as the clocks are what the model says, straight lines; where no line does, a new one begins.
 */
export function fitClock(
	pairs: readonly ClockPair[],
	{ granule = 1, hostGranule = 1, cover }: ClockFitOptions = {},
): ClockFit {
	const sorted = [...pairs].sort(
		(one, two) => compare(one.guest[0], two.guest[0]) || compare(one.guest[1], two.guest[1]),
	);
	const first = sorted[0];
	if (first === undefined) throw new RangeError("no pairs: there is nothing to fit a clock to");
	const reference = { guest: first.guest[0], host: first.host[0] };
	const brackets = sorted.map((pair) => bracketOf(pair, reference, granule, hostGranule));
	const segments = segmentsOf(brackets);
	const at = (time: bigint) => Number(time - reference.guest) / second;
	const pieces = piecesOf(segments, cover === undefined ? [] : [at(cover[0]), at(cover[1])], granule);
	const off = residuals(brackets, pieces);
	return {
		reference,
		pieces,
		bound: Math.max(...pieces.map(({ bound }) => bound)),
		residuals: { median: Math.round(off[Math.floor(off.length / 2)] ?? 0), max: Math.round(off.at(-1) ?? 0) },
		pairs: pairs.length,
	};
}

/**
 * A reading is the clock's time, rounded down to a granule. What is rounded down is not past the instant, so only the
 * later readings need room.
 */
function bracketOf(
	{ guest, host }: ClockPair,
	reference: ClockFit["reference"],
	granule: number,
	hostGranule: number,
): Bracket {
	const before = Number(guest[0] - reference.guest);
	const after = Number(guest[1] - reference.guest) + granule;
	const early = Number(host[0] - reference.host);
	const late = Number(host[1] - reference.host) + hostGranule;
	return {
		upper: { x: before / second, value: late - before },
		lower: { x: after / second, value: early - after },
		middle: { x: (before + after) / 2 / second, value: (early + late - before - after) / 2 },
	};
}

/**
 * The longest runs of pairs that a line fits, from the first one on. A run goes on until a pair contradicts it, and so
 * may have taken the first pairs of the next line for its own: the next line, followed back to where it fails, says
 * from where on that may be so, and what lies between counts for neither.
 */
function segmentsOf(brackets: readonly Bracket[]): Segment[] {
	const starts = [0];
	for (let begin = 0; begin < brackets.length; ) {
		const { end } = linesFrom(brackets, begin, brackets.length, 1);
		if (end < brackets.length) starts.push(end);
		begin = end;
	}
	const segments: Segment[] = [];
	let end = brackets.length;
	for (const [index, start] of [...starts.entries()].reverse()) {
		const { lines } = linesFrom(brackets, start, end, 1);
		segments.unshift({ lines, brackets: brackets.slice(start, end) });
		const floor = starts[index - 1];
		// Of the line before, at least its first pair is its own.
		if (floor !== undefined) end = linesFrom(brackets, start - 1, floor, -1, lines).end + 1;
	}
	return segments;
}

/** The lines that fit brackets from one on, either way, and the first bracket that they do not fit; at most `stop`. */
function linesFrom(
	brackets: readonly Bracket[],
	begin: number,
	stop: number,
	way: 1 | -1,
	fitting?: FeasibleLines,
): { lines: FeasibleLines; end: number } {
	let lines = fitting;
	let end = begin;
	for (; end !== stop; end += way) {
		const bracket = brackets[end];
		const fewer = bracket === undefined ? undefined : fittingToo(lines, bracket);
		if (fewer === undefined) break;
		lines = fewer;
	}
	if (lines === undefined) throw new RangeError("a pair's second reading is before its first");
	return { lines, end };
}

function fittingToo(lines: FeasibleLines | undefined, { upper, lower }: Bracket): FeasibleLines | undefined {
	if (lines === undefined) return linesBetween(upper, lower, steepest * second);
	const below = cut(lines, upper, "below");
	return below === undefined ? undefined : cut(below, lower, "above");
}

function piecesOf(segments: readonly Segment[], cover: readonly number[], granule: number): ClockPiece[] {
	const spans = segments.map(({ brackets }, index) => {
		const xs = [brackets[0]?.upper.x ?? 0, brackets.at(-1)?.upper.x ?? 0];
		// What is to be covered beyond the pairs is the first line's, and the last one's.
		return [
			index === 0 ? Math.min(...xs, ...cover) : Math.min(...xs),
			index === segments.length - 1 ? Math.max(...xs, ...cover) : Math.max(...xs),
		] as const;
	});
	const pieces: ClockPiece[] = [];
	let last: { lines: FeasibleLines; line: Line; to: number } | undefined;
	for (const [index, { lines, brackets }] of segments.entries()) {
		const [from, to] = spans[index] ?? [0, 0];
		const line = middleLine(lines, from, to);
		if (last !== undefined) pieces.push(between(last, { lines, line, from }, granule));
		pieces.push(piece(line, from, to, [lines], granule, brackets.length));
		last = { lines, line, to };
	}
	return pieces;
}

/** In the time between two lines either may hold: all that both say is possible there. */
function between(
	last: { lines: FeasibleLines; line: Line; to: number },
	next: { lines: FeasibleLines; line: Line; from: number },
	granule: number,
): ClockPiece {
	const [from, to] = [last.to, next.from];
	const [here, there] = [value(last.line, from), value(next.line, to)];
	const b = to > from ? (there - here) / (to - from) : 0;
	const half = (from + to) / 2;
	const step = value(next.line, half) - value(last.line, half);
	const stepBound = spread(next.lines, next.line, half) + spread(last.lines, last.line, half);
	const drift = (next.line.b - last.line.b) / 1000;
	const change = {
		step: Math.round(step),
		stepBound: Math.ceil(stepBound),
		drift: rounded(drift),
		cause: causeOf(step, stepBound, drift),
	};
	return { ...piece({ a: here - b * from, b }, from, to, [last.lines, next.lines], granule, 0), change };
}

function causeOf(step: number, bound: number, drift: number): string {
	if (Math.abs(step) <= bound) {
		return `the rate changed by ${drift.toFixed(1)} ppm: another clocksource, or a clock that is being corrected`;
	}
	const size = `${(Math.abs(step) / 1000).toFixed(1)} µs`;
	return step > 0
		? `the guest's clock stood still for ${size}: the guest was stopped, or its clocksource was changed`
		: `the guest's clock jumped ahead by ${size}: it caught up on lost time, or its clocksource was changed`;
}

/** How far the lines lie from one of them at an instant. */
function spread(lines: FeasibleLines, line: Line, x: number): number {
	const { low, high } = range(lines, x);
	return Math.max(high - value(line, x), value(line, x) - low);
}

/** The bound is largest at an end: the highest of straight lines is convex, and the lowest concave. */
function piece(
	line: Line,
	from: number,
	to: number,
	possible: readonly FeasibleLines[],
	granule: number,
	pairs: number,
): ClockPiece {
	const [offset, drift] = [rounded(value(line, from)), rounded(line.b / 1000)];
	// What is stated is rounded, which is nanoseconds in a day.
	const stated = { a: offset - drift * 1000 * from, b: drift * 1000 };
	const off = Math.max(...possible.flatMap((lines) => [spread(lines, stated, from), spread(lines, stated, to)]));
	return {
		from: Math.round(from * second),
		to: Math.round(to * second),
		offset,
		drift,
		// An event of the guest is up to a granule later than its time says, and the map's arithmetic rounds as well.
		bound: Math.ceil(off + granule) + 1,
		pairs,
	};
}

const value = ({ a, b }: Line, x: number): number => a + b * x;

/** To a millionth. */
const rounded = (number: number): number => Math.round(number * 1e6) / 1e6;

function residuals(brackets: readonly Bracket[], pieces: readonly ClockPiece[]): number[] {
	const map = new ClockMap(pieces);
	return brackets
		.map(({ middle }) => Math.abs(map.offset(middle.x * second) - middle.value))
		.sort((one, two) => one - two);
}

const compare = (one: bigint, two: bigint): number => (one < two ? -1 : one > two ? 1 : 0);
