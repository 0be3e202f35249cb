import { readdirSync, readFileSync } from "node:fs";

const folder = new URL("../guest/", import.meta.url);

/** The text of each of the lab's own programs for guests, guest/NAME.c, by name. */
export function guestToolSources(): Record<string, string> {
	const files = readdirSync(folder).filter((file) => file.endsWith(".c"));
	return Object.fromEntries(
		files.sort().map((file) => [file.slice(0, -2), readFileSync(new URL(file, folder), "utf8")]),
	);
}
