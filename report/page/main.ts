import type { PageData } from "../page-data.ts";
import { clock, latency, rates } from "./charts.ts";
import { timeline } from "./timeline.ts";
import { View } from "./view.ts";

/** The data is JSON, packed with gzip, in base64: markup has no meaning in it. */
async function readData(): Promise<PageData> {
	const packed = document.getElementById("data")?.textContent ?? "";
	const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
	return (await new Response(stream).json()) as PageData;
}

async function main(): Promise<void> {
	const data = await readData();
	const view = new View(data.length);
	const charts: Record<string, (element: HTMLElement, index: number) => void> = {
		timeline: (element) => timeline(element, data, view),
		rates: (element) => rates(element, data, view),
		latency: (element, index) => latency(element, data, index),
		clock: (element, index) => clock(element, data, index),
	};
	for (const element of document.querySelectorAll<HTMLElement>("[data-chart]")) {
		charts[element.dataset["chart"] ?? ""]?.(element, Number(element.dataset["index"] ?? 0));
	}
	// The longest requests lead to where they are.
	for (const link of document.querySelectorAll<HTMLElement>("[data-start]")) {
		link.addEventListener("click", () => {
			const start = Number(link.dataset["start"]);
			const duration = Math.max(Number(link.dataset["duration"]), 100);
			view.show(start - duration / 2, start + duration * 1.5);
		});
	}
	document.documentElement.dataset["drawn"] = "true";
}

main().catch((error: unknown) => {
	const said = document.createElement("p");
	said.className = "bad";
	said.textContent = `The charts could not be drawn: ${error instanceof Error ? error.message : String(error)}`;
	document.querySelector("main")?.prepend(said);
	throw error;
});
