import type { Source } from "./schema.ts";

/** A source as its script gets it: an associative array with `kind` and the fields of that kind. */
export function sourceInput(source: Source): Record<string, string> {
	return Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined));
}
