import type { Path } from "./located.ts";

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
