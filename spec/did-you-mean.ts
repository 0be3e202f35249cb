import { distance } from "fastest-levenshtein";
import { quote } from "./quote.ts";

/** The known word that is near enough to what was written to be what was meant. */
export function nearest(written: string, known: Iterable<string>): string | undefined {
	// A third of the letters, so that short words that merely look alike are not offered.
	let best: { word: string; away: number } | undefined;
	for (const word of known) {
		const away = mistakes(written.toLowerCase(), word.toLowerCase());
		if (away <= Math.max(written.length, word.length) / 3 && (best === undefined || away < best.away))
			best = { word, away };
	}
	return best?.word;
}

/** Letters in another order are one slip of the fingers. */
function mistakes(a: string, b: string): number {
	const letters = (word: string) => [...word].sort().join("");
	return Math.min(distance(a, b), letters(a) === letters(b) ? 1 : Number.POSITIVE_INFINITY);
}

/** ` (did you mean "main"?)`, or nothing. */
export function didYouMean(written: string, known: Iterable<string>): string {
	const word = nearest(written, known);
	return word === undefined ? "" : ` (did you mean ${quote(word)}?)`;
}
