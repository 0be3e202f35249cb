import uPlot from "uplot";
import type { PageData } from "../page-data.ts";
import { shortCount, timeText } from "../units.ts";
import { zoomable } from "./gestures.ts";
import { axis, plot, timeAxis, viewScale } from "./plot.ts";
import { colour, faint, sans } from "./theme.ts";
import type { View } from "./view.ts";

const valueAxis: uPlot.Axis = { ...axis, size: 52, space: 30 };

/** A plot for each layer, below each other: their rates differ too much for one axis. */
export function rates(element: HTMLElement, { rates: { width, series } }: PageData, view: View): void {
	const seconds = width / 1e9;
	for (const [index, { layer, source, counts }] of series.entries()) {
		const part = document.createElement("div");
		const title = document.createElement("p");
		title.className = `chart-title ${layer}`;
		title.textContent = `${source}, events/s`;
		element.append(title, part);
		const last = index === series.length - 1;
		let lines: readonly number[] = [];
		const times = [...counts.map((_, at) => at * width), counts.length * width];
		const made = plot(
			part,
			{
				height: last ? 112 : 84,
				padding: [8, 0, 0, 0],
				scales: { x: viewScale(view), y: { range: (_, _min, max) => [0, max > 0 ? max * 1.05 : 1] } },
				axes: [
					{ ...timeAxis(view), ...(last ? {} : { size: 0, values: () => [] }) },
					// Their numbers stand in the plot, so that it is as wide as the timeline.
					{
						...valueAxis,
						size: 0,
						values: (_, splits) => {
							lines = splits;
							return [];
						},
					},
				],
				series: [
					{},
					{
						stroke: () => colour(layer),
						fill: () => faint(colour(layer), 0.2),
						width: 1,
						points: { show: false },
						...stepped(),
					},
				],
				cursor: { show: false },
				hooks: { draw: [(self) => levels(self, lines)] },
			},
			[times, [...counts.map((count) => count / seconds), 0]],
		);
		zoomable(made.over, view);
		view.follow(() => made.setScale("x", { min: view.from, max: view.to }));
	}
}

/** The values of a plot's horizontal lines, beside these and in the plot. */
function levels(self: uPlot, values: readonly number[]): void {
	const { ctx, bbox } = self;
	const pixel = devicePixelRatio;
	ctx.save();
	ctx.fillStyle = colour("text");
	ctx.strokeStyle = colour("page");
	ctx.lineWidth = 3 * pixel;
	ctx.lineJoin = "round";
	ctx.font = `${11 * pixel}px ${sans}`;
	ctx.textAlign = "left";
	for (const value of values) {
		if (value <= 0) continue;
		const y = self.valToPos(value, "y", true);
		const below = y - bbox.top < 13 * pixel;
		ctx.textBaseline = below ? "top" : "bottom";
		const at = [bbox.left + 2 * pixel, y + (below ? 2 : -1) * pixel] as const;
		// Readable on what is drawn there, too.
		ctx.strokeText(shortCount(value), ...at);
		ctx.fillText(shortCount(value), ...at);
	}
	ctx.restore();
}

/** How often each latency was seen, over a logarithmic axis, with the median and the 99th percentile. */
export function latency(element: HTMLElement, { latencies }: PageData, index: number): void {
	const shown = latencies[index];
	if (shown === undefined) return;
	const { layer, distribution } = shown;
	const { buckets, median, p99 } = distribution;
	const edges = [...buckets.map(({ from }) => from), buckets.at(-1)?.to ?? 10];
	const [from, to] = [(edges[0] ?? 1) / 1.3, (edges.at(-1) ?? 10) * 1.3];
	const ticks = ticksOf(from, to);
	plot(
		element,
		{
			height: 150,
			padding: [20, 8, 0, 0],
			scales: {
				x: { time: false, distr: 3, range: () => [from, to] },
				y: { range: (_, _min, max) => [0, Math.max(1, max * 1.05)] },
			},
			axes: [
				{
					...axis,
					size: 28,
					space: 60,
					splits: () => ticks,
					// uPlot's own leaves out what it takes for too close.
					filter: (_, splits) => splits,
					values: (self, splits) =>
						splits.map((split) => (self.valToPos(split, "x") < self.width - 82 ? tickText(split) : "")),
				},
				{
					...valueAxis,
					values: (_, splits) => splits.map((split) => (Number.isInteger(split) ? shortCount(split) : "")),
				},
			],
			series: [
				{},
				{
					stroke: () => colour(layer),
					fill: () => faint(colour(layer), 0.25),
					width: 1,
					points: { show: false },
					...stepped(),
				},
			],
			cursor: { show: false },
			hooks: {
				draw: [
					(self) => {
						const close = Math.abs(self.valToPos(p99, "x") - self.valToPos(median, "x")) < 110;
						mark(self, median, `median ${timeText(median)}`, close ? "right" : "left");
						mark(self, p99, `p99 ${timeText(p99)}`, "left");
					},
				],
			},
		},
		[edges, [...buckets.map(({ count }) => count), 0]],
	);
}

/** 1 ms where a number that was measured is 1.00 ms. */
const tickText = (value: number): string =>
	timeText(value)
		.replace(/(\.\d*?)0+(?=\D*$)/, "$1")
		.replace(/\.(?=\D*$)/, "");

/** Powers of ten, and where there are few of them, their doubles and halves. */
function ticksOf(from: number, to: number): number[] {
	const [first, last] = [Math.floor(Math.log10(from)), Math.ceil(Math.log10(to))];
	const digits = Math.log10(to / from) > 2.2 ? [1] : [1, 2, 5];
	const ticks = Array.from({ length: last - first + 1 }, (_, power) =>
		digits.map((digit) => digit * 10 ** (first + power)),
	);
	return ticks.flat().filter((tick) => tick >= from && tick <= to);
}

/** A line at a value, named above the plot. */
function mark(self: uPlot, value: number, text: string, side: "left" | "right"): void {
	const { ctx, bbox } = self;
	const pixel = devicePixelRatio;
	const x = self.valToPos(value, "x", true);
	ctx.save();
	ctx.fillStyle = colour("text");
	ctx.fillRect(x - pixel / 2, bbox.top, pixel, bbox.height);
	ctx.font = `${11 * pixel}px ${sans}`;
	ctx.textBaseline = "bottom";
	const wide = ctx.measureText(text).width;
	const right = bbox.left + bbox.width;
	const left = side === "right" ? x - wide : Math.min(x, right - wide);
	ctx.fillText(text, Math.max(bbox.left, left), bbox.top - 3 * pixel);
	ctx.restore();
}

/** How far off the fit each pair of clock readings lies, between the lines of the bound. */
export function clock(element: HTMLElement, { clocks }: PageData, index: number): void {
	const shown = clocks[index];
	if (shown === undefined) return;
	const { bound, points } = shown;
	const times = points.map(([time]) => time);
	plot(
		element,
		{
			height: 170,
			padding: [10, 8, 0, 0],
			scales: {
				x: { time: false, range: (_, min, max) => (max > min ? [min, max] : [min - 1e9, max + 1e9]) },
				y: { range: (_, min, max) => [Math.min(-bound, min) * 1.15, Math.max(bound, max) * 1.15] },
			},
			axes: [
				{
					...axis,
					size: 28,
					space: 76,
					values: (_, splits) => splits.map((split) => `${Number((split / 1e9).toPrecision(6))} s`),
				},
				{ ...valueAxis, size: 60, values: (_, splits) => splits.map((split) => (split === 0 ? "0" : tickText(split))) },
			],
			series: [
				{},
				{
					stroke: () => colour("guest"),
					paths: () => null,
					points: { show: true, size: 4, width: 0, fill: () => faint(colour("guest"), 0.7), stroke: "transparent" },
				},
			],
			cursor: { show: false },
			hooks: {
				draw: [
					(self) => {
						for (const value of [bound, -bound])
							level(self, value, `${value > 0 ? "+" : ""}${timeText(value)}: the bound`);
					},
				],
			},
		},
		[times, points.map(([, nanoseconds]) => nanoseconds)],
	);
}

/** A dashed line across, named at its right end. */
function level(self: uPlot, value: number, text: string): void {
	const { ctx, bbox } = self;
	const pixel = devicePixelRatio;
	const y = self.valToPos(value, "y", true);
	ctx.save();
	ctx.strokeStyle = colour("dim");
	ctx.lineWidth = pixel;
	ctx.setLineDash([4 * pixel, 3 * pixel]);
	ctx.beginPath();
	ctx.moveTo(bbox.left, y);
	ctx.lineTo(bbox.left + bbox.width, y);
	ctx.stroke();
	ctx.fillStyle = colour("dim");
	ctx.font = `11px ${sans}`.replace("11", String(11 * pixel));
	ctx.textAlign = "right";
	ctx.textBaseline = value > 0 ? "top" : "bottom";
	ctx.fillText(text, bbox.left + bbox.width, y + (value > 0 ? 3 : -3) * pixel);
	ctx.restore();
}

function stepped(): { paths?: uPlot.Series.PathBuilder } {
	const paths = uPlot.paths.stepped?.({ align: 1 });
	return paths === undefined ? {} : { paths };
}
