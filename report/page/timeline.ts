import type uPlot from "uplot";
import type { PageData } from "../page-data.ts";
import { countText, instantText, timeText } from "../units.ts";
import { keys, zoomable } from "./gestures.ts";
import { Items, type LaneItems } from "./items.ts";
import { baseText, plot, timeAxis, viewScale } from "./plot.ts";
import { colour, faint, sans } from "./theme.ts";
import type { View } from "./view.ts";

const rowHeight = 15;
const marksHeight = 20;
const labelHeight = 15;
const headHeight = 24;
const laneGap = 7;
const axisHeight = 28;

/** A lane with its place from the plot's top, in pixels of the page. */
interface Placed {
	readonly items: LaneItems;
	/** Of the first lane of a layer: where its name stands. */
	readonly head?: number;
	readonly label: number;
	readonly slices: number;
	readonly marks: number;
	readonly bottom: number;
}

/** The timeline: a lane for each CPU of each layer, as marks where there is room for them and as density where not. */
export function timeline(element: HTMLElement, data: PageData, view: View): void {
	const items = new Items(data.items, data.lanes);
	const { lanes, height } = place(items);
	const tip = document.createElement("div");
	tip.className = "tip";
	tip.hidden = true;
	let found: number | undefined;

	const made = plot(
		element,
		{
			height: height + axisHeight,
			padding: [0, 0, 0, 0],
			scales: { x: viewScale(view), y: { range: [0, 1] } },
			axes: [timeAxis(view), { show: false }],
			series: [{}, { show: false }],
			cursor: {
				y: false,
				points: { show: false },
				drag: { setScale: false, x: true, y: false },
				bind: {
					dblclick: () => null,
					// Without shift, a drag pans: that is ours.
					mousedown: (_self, _target, handler) => (event: MouseEvent) => (event.shiftKey ? handler(event) : null),
				},
			},
			hooks: {
				draw: [(self) => draw(self, items, lanes, view, found)],
				setCursor: [
					(self) => {
						const { left = -1, top = -1 } = self.cursor;
						const next = left < 0 ? undefined : itemAt(self, items, lanes, view, left, top);
						if (next !== found) {
							found = next;
							self.redraw(false);
						}
						tell(tip, self, items, found, left, top);
					},
				],
				setSelect: [
					({ select: { left, width }, over }) => {
						if (width < 4) return;
						const scale = view.width / over.clientWidth;
						view.show(view.from + left * scale, view.from + (left + width) * scale);
						made.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
					},
				],
			},
		},
		[
			[0, data.length],
			[null, null],
		] as uPlot.AlignedData,
	);
	made.over.append(tip);
	zoomable(made.over, view);
	element.setAttribute("aria-label", "Timeline; arrow keys pan, + and − zoom, 0 shows all");
	keys(element, view);
	element.before(toolbar(view));
	view.follow(() => made.setScale("x", { min: view.from, max: view.to }));
}

function toolbar(view: View): HTMLElement {
	const bar = document.createElement("div");
	bar.className = "toolbar";
	const button = (text: string, label: string, act: () => void) => {
		const made = document.createElement("button");
		made.type = "button";
		made.textContent = text;
		made.ariaLabel = label;
		made.title = label;
		made.addEventListener("click", act);
		bar.append(made);
	};
	button("−", "zoom out", () => view.zoom(2));
	button("+", "zoom in", () => view.zoom(0.5));
	button("‹", "earlier", () => view.pan(-view.width / 2));
	button("›", "later", () => view.pan(view.width / 2));
	button("all", "show the whole run", () => view.all());
	const said = document.createElement("output");
	const say = () => {
		said.textContent = `${timeText(view.width)} ${baseText(view)}`;
	};
	say();
	view.follow(say);
	bar.append(said);
	const help = document.createElement("span");
	help.className = "help";
	help.textContent = matchMedia("(pointer: coarse)").matches
		? "drag, pinch; tap a mark"
		: "drag pans, shift + drag or ctrl + wheel zooms";
	bar.append(help);
	return bar;
}

function place(items: Items): { lanes: Placed[]; height: number } {
	const lanes: Placed[] = [];
	let top = 0;
	let source = "";
	for (const each of items.lanes) {
		const first = each.lane.source !== source;
		source = each.lane.source;
		const head = top + (lanes.length > 0 ? 8 : 0);
		const label = first ? head + headHeight : top;
		const slices = label + labelHeight;
		const marks = slices + each.lane.depth * rowHeight + (each.slices.length > 0 && each.marks.length > 0 ? 2 : 0);
		const bottom = marks + (each.marks.length > 0 ? marksHeight : 0);
		lanes.push({ items: each, ...(first && { head }), label, slices, marks, bottom });
		top = bottom + laneGap;
	}
	return { lanes, height: Math.max(top, 60) };
}

/** Where the view's instants are on the canvas. */
function scale({ bbox }: uPlot, view: View): (time: number) => number {
	const perTime = bbox.width / view.width;
	return (time) => bbox.left + (time - view.from) * perTime;
}

function draw(self: uPlot, items: Items, lanes: readonly Placed[], view: View, found: number | undefined): void {
	const { ctx, bbox } = self;
	const pixel = devicePixelRatio;
	const x = scale(self, view);
	const most = lanes.reduce((high, { items: { marks } }) => Math.max(high, densest(items, marks, x, view, pixel)), 0);
	ctx.save();
	ctx.beginPath();
	ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
	ctx.clip();
	ctx.textBaseline = "middle";
	ctx.textAlign = "left";
	for (const lane of lanes) {
		const {
			items: { lane: about, slices, marks },
		} = lane;
		const accent = colour(about.layer);
		if (lane.head !== undefined) {
			ctx.fillStyle = accent;
			ctx.font = `600 ${13 * pixel}px ${sans}`;
			ctx.fillText(about.source, bbox.left + 2 * pixel, (lane.head + headHeight / 2) * pixel);
		}
		ctx.fillStyle = colour("line");
		ctx.fillRect(bbox.left, lane.bottom * pixel, bbox.width, pixel);
		drawSlices(self, items, slices, lane, x, view, accent);
		drawMarks(self, items, marks, lane, x, view, accent, most);
		ctx.fillStyle = colour("dim");
		ctx.font = `${11 * pixel}px ${sans}`;
		ctx.fillText(about.label, bbox.left + 2 * pixel, (lane.label + labelHeight / 2) * pixel);
		if (found !== undefined && (slices.includes(found) || marks.includes(found))) {
			outline(self, items, found, lane, x);
		}
	}
	ctx.restore();
}

function drawSlices(
	{ ctx, bbox }: uPlot,
	items: Items,
	slices: readonly number[],
	lane: Placed,
	x: (time: number) => number,
	view: View,
	accent: string,
): void {
	const pixel = devicePixelRatio;
	const height = (rowHeight - 2) * pixel;
	const reached: number[] = [];
	ctx.font = `${10.5 * pixel}px ${sans}`;
	for (const index of slices) {
		const start = items.start(index);
		if (start > view.to) break;
		const end = start + items.duration(index);
		if (end < view.from) continue;
		const row = items.row(index);
		const left = Math.max(x(start), bbox.left - pixel);
		const right = Math.min(Math.max(x(end), left + pixel), bbox.left + bbox.width + pixel);
		// What would lie on the same pixel is there already.
		if (right <= (reached[row] ?? Number.NEGATIVE_INFINITY) + 0.5) continue;
		reached[row] = right;
		const top = (lane.slices + row * rowHeight) * pixel;
		ctx.fillStyle = faint(accent, lane.items.nested ? ([0.28, 0.6, 0.95][row] ?? 0.95) : 0.5);
		// A gap between neighbours, where there is room for one.
		ctx.fillRect(left, top, right - left > 4 * pixel ? right - left - pixel : right - left, height);
		if (right - left < 34 * pixel) continue;
		ctx.fillStyle = row >= 1 && lane.items.nested ? colour("page") : colour("text");
		fitText(ctx, items.label(index), left + 4 * pixel, top + height / 2, right - left - 8 * pixel);
	}
}

function drawMarks(
	{ ctx }: uPlot,
	items: Items,
	marks: readonly number[],
	lane: Placed,
	x: (time: number) => number,
	view: View,
	accent: string,
	most: number,
): void {
	const pixel = devicePixelRatio;
	const bottom = (lane.marks + marksHeight) * pixel;
	const full = (marksHeight - 2) * pixel;
	ctx.fillStyle = accent;
	const columns = density(items, marks, x, view, pixel);
	if (columns !== undefined) {
		for (const [at, count] of columns) {
			const height = Math.max(pixel, (Math.log1p(count) / Math.log1p(most)) * full);
			ctx.fillRect(at, bottom - height, 2 * pixel, height);
		}
		return;
	}
	ctx.font = `${10.5 * pixel}px ${sans}`;
	const visible = seen(items, marks, view);
	for (const [order, index] of visible.entries()) {
		const left = x(items.start(index));
		const next = visible[order + 1];
		const room = (next === undefined ? Number.POSITIVE_INFINITY : x(items.start(next))) - left;
		ctx.fillRect(left - 0.75 * pixel, bottom - full, 1.5 * pixel, full);
		if (room < 40 * pixel) continue;
		ctx.fillStyle = colour("text");
		fitText(ctx, items.label(index), left + 4 * pixel, bottom - full / 2, room - 8 * pixel);
		ctx.fillStyle = accent;
	}
}

function seen(items: Items, marks: readonly number[], view: View): readonly number[] {
	return marks.slice(before(items, marks, view.from), before(items, marks, view.to));
}

/** How many of a lane's marks are before an instant. */
function before(items: Items, marks: readonly number[], time: number): number {
	let [low, high] = [0, marks.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (items.start(marks[middle] ?? 0) < time) low = middle + 1;
		else high = middle;
	}
	return low;
}

/** Events by column of two pixels; nothing where there is room to draw each by itself. */
function density(
	items: Items,
	marks: readonly number[],
	x: (time: number) => number,
	view: View,
	pixel: number,
): Map<number, number> | undefined {
	const visible = seen(items, marks, view);
	if (visible.length * 4 * pixel < x(view.to) - x(view.from)) return undefined;
	const columns = new Map<number, number>();
	for (const index of visible) {
		const at = Math.floor(x(items.start(index)) / (2 * pixel)) * 2 * pixel;
		columns.set(at, (columns.get(at) ?? 0) + items.every(index));
	}
	return columns;
}

function densest(items: Items, marks: readonly number[], x: (time: number) => number, view: View, pixel: number) {
	let most = 0;
	for (const count of density(items, marks, x, view, pixel)?.values() ?? []) most = Math.max(most, count);
	return most;
}

function outline({ ctx }: uPlot, items: Items, index: number, lane: Placed, x: (time: number) => number): void {
	const pixel = devicePixelRatio;
	const left = x(items.start(index));
	const duration = items.duration(index);
	const top = duration < 0 ? lane.marks + 1 : lane.slices + items.row(index) * rowHeight;
	const height = duration < 0 ? marksHeight : rowHeight - 2;
	const right = Math.max(duration < 0 ? left : x(items.start(index) + duration), left + 2 * pixel);
	ctx.strokeStyle = colour("text");
	ctx.lineWidth = 1.5 * pixel;
	ctx.strokeRect(left - pixel, top * pixel, right - left + pixel, height * pixel);
}

function fitText(ctx: CanvasRenderingContext2D, text: string, left: number, middle: number, room: number): void {
	const wide = ctx.measureText(text).width;
	if (wide <= room) {
		ctx.fillText(text, left, middle);
		return;
	}
	const fitting = Math.floor((text.length * room) / wide) - 1;
	if (fitting >= 3) ctx.fillText(`${text.slice(0, fitting)}…`, left, middle);
}

/** The item at a point of the plot, or the nearest one that a finger may have meant. */
function itemAt(self: uPlot, items: Items, lanes: readonly Placed[], view: View, left: number, top: number) {
	const lane = lanes.find(({ label, bottom }) => top >= label && top <= bottom + laneGap);
	if (lane === undefined) return undefined;
	const perPixel = view.width / self.over.clientWidth;
	const time = view.from + left * perPixel;
	const onMarks = lane.items.marks.length > 0 && top >= lane.marks;
	const row = Math.floor((top - lane.slices) / rowHeight);
	let best: number | undefined;
	let nearest = 8 * perPixel;
	for (const index of onMarks ? lane.items.marks : lane.items.slices) {
		const start = items.start(index);
		if (start > time + nearest) break;
		if (!onMarks && items.row(index) !== row) continue;
		const end = start + Math.max(0, items.duration(index));
		const off = time < start ? start - time : time > end ? time - end : 0;
		if (off > nearest) continue;
		best = index;
		nearest = off;
	}
	return best;
}

function tell(tip: HTMLElement, self: uPlot, items: Items, index: number | undefined, left: number, top: number): void {
	tip.hidden = index === undefined;
	if (index === undefined) return;
	const duration = items.duration(index);
	const line = (className: string, text: string) => {
		const made = document.createElement("div");
		made.className = className;
		made.textContent = text;
		return made;
	};
	const every = items.every(index);
	tip.replaceChildren(
		line("title", items.label(index)),
		line("name", items.name(index)),
		line("when", `${instantText(items.start(index))}${duration < 0 ? "" : `, for ${timeText(duration)}`}`),
		...items.fields(index).map(([field, value]) => line("field", `${field} = ${value}`)),
		...(every > 1 ? [line("when", `one in ${countText(every)} of this kind is drawn`)] : []),
	);
	const width = self.over.clientWidth;
	// Beside the pointer, on the side where there is room.
	tip.style.left = `${Math.max(0, Math.min(left + 14, width - tip.offsetWidth))}px`;
	const above = top + 18 + tip.offsetHeight > self.over.clientHeight + 40;
	tip.style.top = `${above ? top - tip.offsetHeight - 12 : top + 18}px`;
}
