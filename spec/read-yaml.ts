import {
	type Document,
	isAlias,
	isMap,
	isScalar,
	isSeq,
	LineCounter,
	type Node,
	type Pair,
	parseDocument,
	type YAMLError,
} from "yaml";
import type { Located, Place } from "./located.ts";
import { quote, visible } from "./quote.ts";
import { readText } from "./read-text.ts";
import type { Fault, Problem } from "./stack-file-error.ts";
import { nestedTooDeeply, strayTag, yamlFault } from "./yaml-fault.ts";

/** Most values that a file may come to once its aliases are followed. */
const maxValues = 10000;

/** What a YAML file holds, as far as it could be understood, and what is wrong with it as YAML. */
export interface YamlFile {
	readonly root: Located | undefined;
	readonly problems: readonly Problem[];
}

/** Reads a file; undefined where there is none. `shown` is what problems call it. */
export function readYaml(path: string, shown: string): YamlFile | undefined {
	const text = readText(path);
	if (text === undefined) return undefined;
	if (typeof text === "string") return parseYaml(text, shown);
	return { root: undefined, problems: [{ file: shown, line: 0, column: 0, path: "", ...text }] };
}

/** Parses the text of a file. */
export function parseYaml(text: string, shown: string): YamlFile {
	return new Reading(text, shown).read();
}

class Reading {
	readonly #text: string;
	readonly #file: string;
	readonly #lines = new LineCounter();
	readonly #problems: Problem[] = [];
	/** Finished values by anchor. An alias within its own anchor finds none, so there are no circles. */
	readonly #anchors = new Map<string, Located>();

	constructor(text: string, file: string) {
		this.#text = text;
		this.#file = file;
	}

	read(): YamlFile {
		if (this.#isUnmerged()) return { root: undefined, problems: this.#problems };
		const document = this.#parse();
		if (document === undefined) return { root: undefined, problems: this.#problems };
		for (const fault of document.errors.length > 0 ? document.errors : document.warnings) this.#yamlProblem(fault);
		this.#checkVersion(document);
		if (document.errors.length > 0) return { root: undefined, problems: this.#problems };
		const root = this.#value(document.contents, { file: this.#file, line: 1, column: 1 });
		if (root.size > maxValues) {
			this.#problem(0, {
				message: `the file comes to ${root.size} values once its aliases (*) are followed, and at most ${maxValues} are read`,
				hint: "write fewer aliases of aliases",
			});
			return { root: undefined, problems: this.#problems };
		}
		return { root, problems: this.#problems };
	}

	/** git's marks of a merge that is not done. */
	#isUnmerged(): boolean {
		const at = this.#text.search(/^<{7} .*$/m);
		if (at === -1 || !/^>{7} .*$/m.test(this.#text)) return false;
		this.#lines.addNewLine(0);
		for (const { index } of this.#text.matchAll(/\n/g)) this.#lines.addNewLine(index + 1);
		this.#problem(at, {
			message: "a merge of git's begins here that was left unfinished",
			hint: "keep one side, and take out the lines that start with <<<<<<<, ======= and >>>>>>>",
		});
		return true;
	}

	#parse(): Document | undefined {
		try {
			return parseDocument(this.#text, {
				lineCounter: this.#lines,
				prettyErrors: false,
				logLevel: "error",
				// It compares each key with all others, and takes true and "true" for two.
				uniqueKeys: false,
				version: "1.2",
			});
		} catch (error) {
			if (!(error instanceof RangeError)) throw error;
			this.#problem(0, nestedTooDeeply);
			return undefined;
		}
	}

	/** YAML 1.1 reads `no` as false and 0644 as octal. */
	#checkVersion({ directives }: Document): void {
		const version = directives?.yaml.version;
		if (version === "1.2" || version === undefined) return;
		this.#problem(0, {
			message: `asks for YAML ${visible(version)}`,
			hint: "take the line %YAML out: stack files are YAML 1.2",
		});
	}

	#value(node: unknown, key: Place): Located {
		const place = hasRange(node) ? this.#place(node.range[0]) : key;
		if (isAlias(node)) return this.#aliased(node.source, place, key);
		if (hasTag(node) && !plainTags.test(node.tag)) return this.#tagged(place, key);
		const located = this.#plainValue(node, place, key);
		if (hasAnchor(node)) this.#anchors.set(node.anchor, located);
		return located;
	}

	#plainValue(node: unknown, place: Place, key: Place): Located {
		if (isMap(node)) return this.#map(node.items, place, key);
		if (isSeq(node)) {
			const items = node.items.map((item) => this.#value(item, hasRange(item) ? this.#place(item.range[0]) : place));
			return { place, key, content: { kind: "list", items }, size: total(items) };
		}
		return { place, key, content: { kind: "scalar", value: isScalar(node) ? node.value : null }, size: 1 };
	}

	#map(pairs: readonly Pair[], place: Place, key: Place): Located {
		const entries = new Map<string, Located>();
		for (const pair of pairs) {
			const at = hasRange(pair.key) ? this.#place(pair.key.range[0]) : place;
			const name = keyText(pair.key);
			const value = this.#value(pair.value, at);
			if (name === undefined) {
				this.#problems.push({ ...at, path: "", message: "a key must be plain text", hint: "write KEY: VALUE" });
			} else if (entries.has(name)) {
				const message = `the key ${quote(name)} is there twice in one map`;
				this.#problems.push({ ...at, path: "", message, hint: "keep one of them" });
			} else {
				entries.set(name, value);
			}
		}
		return { place, key, content: { kind: "map", entries }, size: total([...entries.values()]) };
	}

	/** Others stand for sets, bytes and times, of which a stack file has none; or for what a program makes of them. */
	#tagged(place: Place, key: Place): Located {
		const isTold = this.#problems.some(({ line }) => line === place.line);
		if (!isTold) this.#problems.push({ ...place, path: "", ...strayTag });
		return { place, key, content: { kind: "scalar", value: undefined }, size: 1 };
	}

	#aliased(name: string, place: Place, key: Place): Located {
		const value = this.#anchors.get(name);
		if (value !== undefined) return { ...value, place, key };
		const shown = visible(name);
		this.#problems.push({
			...place,
			path: "",
			message: `the alias *${shown} stands for nothing`,
			hint: `put &${shown} before a value further up, outside of which the alias stands; a text that starts with * needs quotes`,
		});
		return { place, key, content: { kind: "scalar", value: undefined }, size: 1 };
	}

	/** The parser goes on after an error; what else it finds in the same line comes of the first. */
	#yamlProblem(fault: YAMLError): void {
		const { line } = this.#place(fault.pos[0]);
		if (this.#problems.some((problem) => problem.line === line)) return;
		this.#problem(fault.pos[0], yamlFault(fault, this.#text.split("\n", line)[line - 1] ?? ""));
	}

	#problem(offset: number, fault: Fault): void {
		this.#problems.push({ ...this.#place(offset), path: "", ...fault });
	}

	#place(offset: number): Place {
		const { line, col } = this.#lines.linePos(offset);
		return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) };
	}
}

const total = (values: readonly Located[]): number => values.reduce((sum, { size }) => sum + size, 1);

function hasRange(node: unknown): node is { range: NonNullable<Node["range"]> } {
	return node !== null && typeof node === "object" && "range" in node && Array.isArray(node.range);
}

const plainTags = /^tag:yaml\.org,2002:(?:str|int|float|bool|null|map|seq)$/;

function hasTag(node: unknown): node is { tag: string } {
	return node !== null && typeof node === "object" && "tag" in node && typeof node.tag === "string";
}

function hasAnchor(node: unknown): node is { anchor: string } {
	return node !== null && typeof node === "object" && "anchor" in node && typeof node.anchor === "string";
}

/** `__proto__` would not be a key like any other in what is made of the file. */
function keyText(key: unknown): string | undefined {
	if (!isScalar(key) || key.value === null || typeof key.value === "object") return undefined;
	const text = String(key.value);
	return text === "__proto__" ? undefined : text;
}
