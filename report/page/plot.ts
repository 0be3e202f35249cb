import uPlot from "uplot";
import { instantText, thin } from "../units.ts";
import { colour, sans } from "./theme.ts";
import type { View } from "./view.ts";

/** What plots have in common: no legend, no grid but faint lines, sizes that follow the page. */
export function plot(element: HTMLElement, options: Omit<uPlot.Options, "width">, data: uPlot.AlignedData): uPlot {
	const made = new uPlot({ legend: { show: false }, ...options, width: widthOf(element) }, data, element);
	new ResizeObserver(() => {
		const width = widthOf(element);
		if (width !== made.width) made.setSize({ width, height: made.height });
	}).observe(element);
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => made.redraw());
	return made;
}

const widthOf = (element: HTMLElement): number => Math.max(200, Math.floor(element.clientWidth));

export const axis: Pick<uPlot.Axis, "stroke" | "grid" | "ticks" | "font" | "gap"> = {
	stroke: () => colour("dim"),
	grid: { stroke: () => colour("line"), width: 1 },
	ticks: { show: false },
	font: `11px ${sans}`,
	gap: 6,
};

/** An axis of time below a plot that follows a view. */
export function timeAxis(view: View): uPlot.Axis {
	// A label that the edge would cut is left out. These plots are as wide as their canvas.
	const inside = ({ width }: uPlot, split: number) => {
		const at = ((split - view.from) / view.width) * width;
		return at > 22 && at < width - 26;
	};
	return {
		...axis,
		space: 76,
		size: 28,
		values: (self, splits) => splits.map((split) => (inside(self, split) ? tickText(split, view) : "")),
	};
}

/** Ticks are counted from a round instant before what is seen, in a unit that fits: `baseOf` says which. */
function tickText(split: number, view: View): string {
	const { unit, size, base } = scaleOf(view);
	const value = (split - base) / size;
	return `${base > 0 ? "+" : ""}${Number(value.toPrecision(6))}${thin}${unit}`;
}

/** Where the ticks count from, and how wide the view is. */
export function baseText(view: View): string {
	const { base } = scaleOf(view);
	return base > 0 ? `from ${instantText(base)}` : "";
}

function scaleOf(view: View): { unit: string; size: number; base: number } {
	const [unit, size] = (
		[
			["s", 1e9],
			["ms", 1e6],
			["µs", 1e3],
		] as const
	).find(([, size]) => view.width >= 2 * size) ?? ["ns", 1];
	const step = size * 1000;
	const from = Math.max(0, view.from);
	// Below a thousand units, labels are short without a base.
	return { unit, size, base: view.to < step ? 0 : Math.floor(from / step) * step };
}

/** A plot's scale of time that is the view's. */
export function viewScale(view: View): uPlot.Scale {
	return { time: false, auto: false, range: () => [view.from, view.to] };
}
