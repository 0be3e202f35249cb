/** A stack as its file has it, of which nothing is known yet: every look at it may find nothing. */
export class RawStack {
	readonly #root: unknown;

	constructor(root: unknown) {
		this.#root = root;
	}

	/** Names in one of the stack's maps. */
	names(kind: string): string[] {
		const map = member(this.#root, kind);
		return isMap(map) ? Object.keys(map) : [];
	}

	/** The value at a path; undefined where there is none. */
	at(...path: (string | number)[]): unknown {
		return path.reduce(member, this.#root);
	}

	/** The text at a path; undefined where there is none, or something else. */
	text(...path: (string | number)[]): string | undefined {
		const value = this.at(...path);
		return typeof value === "string" ? value : undefined;
	}

	/** The texts of the list at a path, with their indices. */
	texts(...path: (string | number)[]): [index: number, text: string][] {
		const value = this.at(...path);
		if (!Array.isArray(value)) return [];
		return [...value.entries()].filter((entry): entry is [number, string] => typeof entry[1] === "string");
	}
}

function member(value: unknown, part: string | number): unknown {
	if (Array.isArray(value)) return value[Number(part)];
	return isMap(value) && Object.hasOwn(value, part) ? value[part] : undefined;
}

function isMap(value: unknown): value is Record<string, unknown> {
	return value !== null && typeof value === "object" && !Array.isArray(value);
}
