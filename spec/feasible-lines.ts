/**
 * The straight lines, value = a + b x, that contradict nothing known: a convex polygon in the plane of a and b, cut by a
 * half-plane for each thing known. Its corners, a and b in turn, go round it.
 */
export type FeasibleLines = readonly number[];

/** A line of them. */
export interface Line {
	readonly a: number;
	readonly b: number;
}

/** What a point says of a line: it passes `below` the point or through it, or `above` it or through it. */
export type Side = "below" | "above";

/** Lines that pass between two points, the upper one and the lower one, with a slope of at most `steepest` either way. */
export function linesBetween(upper: Point, lower: Point, steepest: number): FeasibleLines | undefined {
	const corner = ({ x, value }: Point, slope: number) => value - slope * x;
	const [up, down] = [steepest, -steepest];
	const corners = [corner(lower, down), down, corner(upper, down), down, corner(upper, up), up, corner(lower, up), up];
	return corner(lower, down) > corner(upper, down) || corner(lower, up) > corner(upper, up) ? undefined : corners;
}

export interface Point {
	readonly x: number;
	readonly value: number;
}

/** Those of the lines that pass on one side of a point, or nothing where none does. */
export function cut(lines: FeasibleLines, { x, value }: Point, side: Side): FeasibleLines | undefined {
	const sign = side === "below" ? 1 : -1;
	const beyond: number[] = [];
	for (let at = 0; at < lines.length; at += 2)
		beyond.push(sign * (coordinate(lines, at) + coordinate(lines, at + 1) * x - value));
	if (beyond.every((distance) => distance <= 0)) return lines;
	const kept: number[] = [];
	for (const [index, distance] of beyond.entries()) {
		const next = (index + 1) % beyond.length;
		const [a, b] = [coordinate(lines, 2 * index), coordinate(lines, 2 * index + 1)];
		if (distance <= 0) kept.push(a, b);
		const other = coordinate(beyond, next);
		if (distance <= 0 === other <= 0) continue;
		const part = distance / (distance - other);
		kept.push(a + part * (coordinate(lines, 2 * next) - a), b + part * (coordinate(lines, 2 * next + 1) - b));
	}
	return kept.length === 0 ? undefined : kept;
}

/** The lowest and the highest value that any of the lines has at x. */
export function range(lines: FeasibleLines, x: number): { low: number; high: number } {
	let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
	for (let at = 0; at < lines.length; at += 2) {
		const value = coordinate(lines, at) + coordinate(lines, at + 1) * x;
		low = Math.min(low, value);
		high = Math.max(high, value);
	}
	return { low, high };
}

/**
 * One of the lines, as near as may be to the middle of all of them at both ends of an interval: the line through both
 * middles is the best one where it contradicts nothing itself, and else what lies towards it.
 */
export function middleLine(lines: FeasibleLines, from: number, to: number): Line {
	const inside = cornerMean(lines);
	if (to <= from) return inside;
	const middle = (x: number) => {
		const { low, high } = range(lines, x);
		return (low + high) / 2;
	};
	const slope = (middle(to) - middle(from)) / (to - from);
	const best = { a: middle(from) - slope * from, b: slope };
	const part = reach(lines, inside, best);
	return { a: inside.a + part * (best.a - inside.a), b: inside.b + part * (best.b - inside.b) };
}

function cornerMean(lines: FeasibleLines): Line {
	let [a, b] = [0, 0];
	for (let at = 0; at < lines.length; at += 2) {
		a += coordinate(lines, at);
		b += coordinate(lines, at + 1);
	}
	return { a: (2 * a) / lines.length, b: (2 * b) / lines.length };
}

/** How far, 0 to 1, the way from a point inside the polygon to another point stays in it. */
function reach(lines: FeasibleLines, inside: Line, target: Line): number {
	let part = 1;
	for (let at = 0; at < lines.length; at += 2) {
		const next = (at + 2) % lines.length;
		const [a, b] = [coordinate(lines, at), coordinate(lines, at + 1)];
		const [da, db] = [coordinate(lines, next) - a, coordinate(lines, next + 1) - b];
		const side = (point: Line) => da * (point.b - b) - db * (point.a - a);
		const [here, there] = [side(inside), side(target)];
		if (here * there < 0) part = Math.min(part, here / (here - there));
	}
	return part;
}

/** An array's number that is known to be there. */
function coordinate(numbers: readonly number[], index: number): number {
	return numbers[index] ?? Number.NaN;
}
