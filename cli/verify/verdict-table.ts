import { paint, table, wrapped } from "../terminal.ts";
import type { Verdict } from "./verify.ts";

const colours = { pass: "green", fail: "red", "not looked at": "yellow" } as const;

/** Claims with what was seen of each below it, so that they can be read in `width` columns; without one, no line is broken. */
export function verdictTable(verdicts: readonly Verdict[], width = Number.POSITIVE_INFINITY): string {
	const widest = (title: string, key: "domain" | "verdict") =>
		Math.max(title.length, ...verdicts.map((row) => row[key].length)) + 2;
	const left = width - widest("DOMAIN", "domain") - widest("VERDICT", "verdict");
	const below = (text: string) => wrapped(text, left - 2).map((line) => `  ${line}`);
	const rows = verdicts.map(({ domain, claim, verdict, evidence, todo }, index) => {
		const seen = below(evidence).map((line) => paint("dim", line));
		// Said once for all claims in a row that it is for.
		const said = todo === undefined || (verdicts[index + 1]?.todo === todo && verdicts[index + 1]?.domain === domain);
		const advice = said ? [] : `what to do: ${todo}`.split("\n").flatMap(below);
		return [domain, paint(colours[verdict], verdict), [claim, ...seen, ...advice].join("\n")];
	});
	return table(["DOMAIN", "VERDICT", "CLAIM"], rows);
}
