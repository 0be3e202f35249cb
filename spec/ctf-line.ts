/** A field of an event, as babeltrace2 shows it. What a double cannot hold is a bigint. */
export type FieldValue = number | bigint | string | readonly FieldValue[] | Fields;

export interface Fields {
	readonly [name: string]: FieldValue;
}

/** An event as one line of babeltrace2's text says it; its fields are read when they are asked for. */
export class CtfLine {
	readonly #line: string;
	/** Where the first of its groups of fields begins. */
	readonly #groups: number;
	/** The clock's value. */
	readonly cycles: bigint;
	readonly name: string;

	/** @throws SyntaxError for a line that is no event */
	constructor(line: string) {
		// [00000015342546772605] ust qemu:memory_region_ops_write: { cpu_id = 1 }, { cpu_index = 0, …
		const [end, groups] = [line.indexOf("] "), line.indexOf(": {")];
		if (line[0] !== "[" || end < 2 || groups < end) throw new SyntaxError(`no event of babeltrace2's: ${line}`);
		this.#line = line;
		this.#groups = groups + 2;
		this.cycles = BigInt(line.slice(1, end));
		this.name = line.slice(line.lastIndexOf(" ", groups) + 1, groups);
	}

	/** Which processor it is from, or -1 where the trace does not say. */
	get cpu(): number {
		return this.#integer("{ cpu_id = ");
	}

	/** The process, where the session records it (context vpid), or -1. */
	get pid(): number {
		return this.#integer(" vpid = ");
	}

	/** Its packet's context, its own contexts and its payload, as one; a payload's field goes before a context's. */
	get fields(): Fields {
		return Object.assign({}, ...new FieldReader(this.#line, this.#groups).groups()) as Fields;
	}

	/** The fields as babeltrace2 shows them. */
	get text(): string {
		return this.#line.slice(this.#groups);
	}

	#integer(before: string): number {
		const at = this.#line.indexOf(before, this.#groups);
		return at === -1 ? -1 : Number.parseInt(this.#line.slice(at + before.length, at + before.length + 10), 10);
	}
}

/** Reads what stands behind an event's name: `{ a = 1 }, { b = "x", c = [ [0] = 1 ], d = { e = ( "F" : container = 2 ) } }`. */
class FieldReader {
	readonly #text: string;
	#at: number;

	constructor(text: string, at: number) {
		this.#text = text;
		this.#at = at;
	}

	groups(): Fields[] {
		const groups = [this.#structure()];
		while (this.#accept(", ")) groups.push(this.#structure());
		if (this.#at !== this.#text.length) throw this.#fault();
		return groups;
	}

	#structure(): Fields {
		const fields: Record<string, FieldValue> = {};
		this.#expect("{ ");
		while (!this.#accept("}")) {
			const end = this.#text.indexOf(" = ", this.#at);
			if (end === -1) throw this.#fault();
			const name = this.#text.slice(this.#at, end);
			this.#at = end + 3;
			fields[name] = this.#value();
			this.#accept(",");
			this.#expect(" ");
		}
		return fields;
	}

	#value(): FieldValue {
		switch (this.#text[this.#at]) {
			case "{":
				return this.#structure();
			case "[":
				return this.#list();
			case "(":
				return this.#enumeration();
			case '"':
				return this.#string();
			default:
				return this.#number();
		}
	}

	#list(): FieldValue[] {
		const values: FieldValue[] = [];
		this.#expect("[ ");
		while (!this.#accept("]")) {
			this.#match(/\[\d+\] = /y);
			values.push(this.#value());
			this.#accept(",");
			this.#expect(" ");
		}
		return values;
	}

	/** The label stands for the value, where it has one. */
	#enumeration(): FieldValue {
		const label = /\( (?:"((?:[^"\\]|\\.)*)"|<unknown>|\{.*?\}) : container = (-?\w+) \)/y;
		const [, text, number = ""] = this.#match(label);
		return text === undefined ? numberOf(number) : unescaped(text);
	}

	#string(): string {
		return unescaped(this.#match(/"((?:[^"\\]|\\.)*)"/y)[1] ?? "");
	}

	#number(): number | bigint {
		return numberOf(this.#match(/[-+.\w]+/y)[0]);
	}

	#match(pattern: RegExp): RegExpExecArray {
		pattern.lastIndex = this.#at;
		const found = pattern.exec(this.#text);
		if (found === null) throw this.#fault();
		this.#at += found[0].length;
		return found;
	}

	#accept(text: string): boolean {
		const found = this.#text.startsWith(text, this.#at);
		if (found) this.#at += text.length;
		return found;
	}

	#expect(text: string): void {
		if (!this.#accept(text)) throw this.#fault();
	}

	#fault(): SyntaxError {
		return new SyntaxError(`babeltrace2's fields are not as expected at ${this.#at}: ${this.#text}`);
	}
}

function numberOf(text: string): number | bigint {
	const value = Number(text);
	if (!/^-?(?:\d+|0x[\da-f]+)$/i.test(text) || Number.isSafeInteger(value)) return value;
	return text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text);
}

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" };

function unescaped(text: string): string {
	return text.replace(/\\(?:x([\da-f]{1,2})|(.))/gis, (_, hex: string | undefined, char = "") =>
		hex === undefined ? (escapes[char] ?? char) : String.fromCharCode(Number.parseInt(hex, 16)),
	);
}
