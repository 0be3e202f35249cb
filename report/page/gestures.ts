import type { View } from "./view.ts";

/**
 * Zoom and pan of a plot. A wheel alone scrolls the page, as does a finger that moves up and down.
 * Fingers: one pans, two zoom. Mouse: dragging pans, with shift it selects (that is uPlot's own), ctrl and wheel zoom.
 */
export function zoomable(over: HTMLElement, view: View): void {
	const pointers = new Map<number, number>();
	const timeAt = (clientX: number) => {
		const { left, width } = over.getBoundingClientRect();
		return view.from + ((clientX - left) / width) * view.width;
	};
	const perPixel = () => view.width / over.getBoundingClientRect().width;

	over.style.touchAction = "pan-y";
	over.addEventListener("pointerdown", (event) => {
		if (event.button !== 0 || event.shiftKey) return;
		pointers.set(event.pointerId, event.clientX);
		over.setPointerCapture(event.pointerId);
	});
	over.addEventListener("pointermove", (event) => {
		const before = pointers.get(event.pointerId);
		if (before === undefined) return;
		const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
		pointers.set(event.pointerId, event.clientX);
		if (other === undefined) {
			view.pan((before - event.clientX) * perPixel());
			return;
		}
		const apart = Math.max(Math.abs(event.clientX - other), 8);
		view.zoom(Math.max(Math.abs(before - other), 8) / apart, timeAt((event.clientX + other) / 2));
	});
	for (const end of ["pointerup", "pointercancel"] as const) {
		over.addEventListener(end, (event) => pointers.delete(event.pointerId));
	}
	over.addEventListener(
		"wheel",
		(event) => {
			const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
			if (!event.ctrlKey && !event.metaKey && !sideways) return;
			event.preventDefault();
			if (sideways) view.pan(event.deltaX * perPixel());
			else view.zoom(Math.exp(event.deltaY / 200), timeAt(event.clientX));
		},
		{ passive: false },
	);
	over.addEventListener("dblclick", () => view.zoom(0.25));
}

/** The same by keys, where the plot has the focus. */
export function keys(element: HTMLElement, view: View): void {
	element.tabIndex = 0;
	element.addEventListener("keydown", (event) => {
		const act = {
			ArrowLeft: () => view.pan(-view.width / 5),
			ArrowRight: () => view.pan(view.width / 5),
			"+": () => view.zoom(0.5),
			"=": () => view.zoom(0.5),
			"-": () => view.zoom(2),
			"0": () => view.all(),
		}[event.key];
		if (act === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
		event.preventDefault();
		act();
	});
}
