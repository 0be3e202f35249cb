import type { Layer } from "../event.ts";

/** Colours of the page's style sheet, as they are now: they follow the system from light to dark. */
export function colour(name: Layer | "text" | "dim" | "line" | "page"): string {
	return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A colour, more or less of it. */
export function faint(colour: string, part: number): string {
	return `color-mix(in srgb, ${colour} ${Math.round(part * 100)}%, transparent)`;
}

export const sans = "system-ui, sans-serif";
