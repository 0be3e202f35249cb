import { quote } from "./quote.ts";

/** A place in a file; line and column count from 1. */
export interface Place {
	readonly file: string;
	readonly line: number;
	readonly column: number;
}

/** A value of a YAML file that knows where it stands. */
export interface Located {
	/** Where the value starts. */
	readonly place: Place;
	/** Where its key starts, or the value itself where it has none. */
	readonly key: Place;
	readonly content:
		| { readonly kind: "map"; readonly entries: ReadonlyMap<string, Located> }
		| { readonly kind: "list"; readonly items: readonly Located[] }
		| { readonly kind: "scalar"; readonly value: unknown };
	/** How many values it is, itself and all within, every alias counted as what it stands for. */
	readonly size: number;
}

/** Keys and indices that lead from the top of a file to a value. */
export type Path = readonly (string | number)[];

/** `domains.vm.modules[0]` */
export function pathText(path: Path): string {
	return path.map((part, index) => partText(part, index === 0)).join("");
}

function partText(part: string | number, isFirst: boolean): string {
	if (typeof part === "number") return `[${part}]`;
	if (!/^[\w<-]{1,40}$/.test(part)) return `[${quote(part)}]`;
	return isFirst ? part : `.${part}`;
}

/** What remains of `base` where `over` extends it: maps are merged key by key, lists and scalars replace. */
export function merge(base: Located, over: Located): Located {
	if (base.content.kind !== "map" || over.content.kind !== "map") return over;
	const entries = new Map(base.content.entries);
	for (const [key, value] of over.content.entries) {
		const inherited = entries.get(key);
		entries.set(key, inherited === undefined ? value : merge(inherited, value));
	}
	return { ...over, content: { kind: "map", entries } };
}

/** The value without its places. */
export function plain({ content }: Located): unknown {
	if (content.kind === "scalar") return content.value;
	if (content.kind === "list") return content.items.map(plain);
	return Object.fromEntries([...content.entries].map(([key, value]) => [key, plain(value)]));
}

/** Where a path leads; a part that is not there is looked for where it would have to be added. */
export function locate(root: Located, path: Path, at: "key" | "value"): Place {
	let here = root;
	for (const part of path) {
		const next = child(here, part);
		if (next === undefined) return here.key;
		here = next;
	}
	return at === "key" ? here.key : here.place;
}

function child({ content }: Located, part: string | number): Located | undefined {
	if (content.kind === "map") return content.entries.get(String(part));
	if (content.kind === "list") return content.items[Number(part)];
	return undefined;
}
