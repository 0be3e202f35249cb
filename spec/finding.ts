import { type Located, locate, type Path, pathText } from "./located.ts";
import type { Problem } from "./stack-file-error.ts";

/** Something wrong in a stack, not yet traced to a line of a file. */
export interface Finding {
	readonly path: Path;
	/** Does the key or the value at the path show it best? */
	readonly at: "key" | "value";
	/** What is wrong. */
	readonly message: string;
	/** What to do. */
	readonly hint: string;
}

/** Findings with the places that they are about. */
export function located(root: Located, findings: readonly Finding[]): Problem[] {
	return findings.map(({ path, at, message, hint }) => ({
		...locate(root, path, at),
		path: pathText(path),
		message,
		hint,
	}));
}
