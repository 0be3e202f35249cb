/** A field of an event of ftrace's, as the event's format file in tracefs says where it stands in a record. */
export interface FtraceField {
	readonly name: string;
	/** Bytes from the record's begin; for one whose size differs, to the word that says where it is. */
	readonly offset: number;
	/** Bytes of it there. */
	readonly size: number;
	/** Does it stand there, or is that a word (__data_loc), which may count from its own end (__rel_loc)? */
	readonly place: "here" | "located" | "relative";
	/** A text that ends with a NUL, or whole numbers. */
	readonly type: "text" | FtraceInteger;
	/** How many of these it is, where that is not one: "any" for one whose size differs. */
	readonly count?: number | "any";
}

export interface FtraceInteger {
	readonly bytes: 1 | 2 | 4 | 8;
	readonly signed: boolean;
	/** Is it an address, or bytes of which nothing is known? */
	readonly hex: boolean;
}

export interface FtraceEvent {
	/** The number that its records begin with. */
	readonly id: number;
	/** What LTTng calls it: irq_softirq_entry. */
	readonly name: string;
	/** Those of its own, without what all events have. */
	readonly fields: readonly FtraceField[];
}

/**
 * @param formats format files, each behind a line `==> …/SUBSYSTEM/EVENT/format <==`, as tail prints several
 * @param names for each event, a line with LTTng's name of it and SUBSYSTEM:EVENT
 */
export function ftraceEvents(formats: string, names: string): FtraceEvent[] {
	const called = new Map([...names.matchAll(/^(\S+) (\S+)$/gm)].map(([, name = "", event = ""]) => [event, name]));
	return formats.split(/^==> /m).flatMap((text) => {
		const [, subsystem, event] = /^\S*?([^/\s]+)\/([^/\s]+)\/format <==$/m.exec(text) ?? [];
		const id = /^ID: (\d+)$/m.exec(text)?.[1];
		if (event === undefined || id === undefined) return [];
		const lines = [...text.matchAll(/^\tfield:(.+?);\toffset:(\d+);\tsize:(\d+);\tsigned:([01]);$/gm)];
		const fields = lines
			.filter(([, declaration = ""]) => !/ common_\w+$/.test(declaration))
			.map(([, declaration = "", offset, size, signed]) =>
				fieldOf(declaration, Number(offset), Number(size), signed === "1"),
			);
		return [{ id: Number(id), name: called.get(`${subsystem}:${event}`) ?? event, fields }];
	});
}

/** Of `unsigned int nr_sector`, `char comm[16]` or `__data_loc char[] name`. */
function fieldOf(declaration: string, offset: number, size: number, signed: boolean): FtraceField {
	const [, type = "", name = declaration, , length] = /^(.*?)(\w+)(\[(.*)\])?$/.exec(declaration) ?? [];
	const [, word, element = ""] = /^__(data|rel)_loc (.*?)(?:\[\])? *$/.exec(type) ?? [];
	if (word !== undefined) {
		const place = word === "data" ? "located" : "relative";
		if (/\bchar$/.test(element) && !element.includes("unsigned")) return { name, offset, size, place, type: "text" };
		return { name, offset, size, place, type: integer(bytesOf(element), signed, element), count: "any" };
	}
	const here = { name, offset, size, place: "here" } as const;
	if (length === undefined && isWidth(size)) return { ...here, type: integer(size, signed, type) };
	if (length !== undefined && /\bchar *$/.test(type) && !type.includes("unsigned")) return { ...here, type: "text" };
	const each = size / Number(length);
	if (isWidth(each)) return { ...here, type: integer(each, signed, type), count: Number(length) };
	return { ...here, type: { bytes: 1, signed: false, hex: true }, count: size };
}

const integer = (bytes: FtraceInteger["bytes"], signed: boolean, type: string): FtraceInteger => ({
	bytes,
	signed,
	hex: type.includes("*"),
});

const isWidth = (size: number): size is FtraceInteger["bytes"] => [1, 2, 4, 8].includes(size);

/** How wide a type of C's is on x86-64, as far as its name says; else its bytes are shown. */
function bytesOf(type: string): FtraceInteger["bytes"] {
	const bits = Number(/(8|16|32|64)(?:_t)?$/.exec(type)?.[1] ?? 0);
	if (isWidth(bits / 8)) return (bits / 8) as FtraceInteger["bytes"];
	if (/\blong\b|\*/.test(type)) return 8;
	if (/\bshort\b/.test(type)) return 2;
	return /\bint$|\bunsigned$/.test(type) ? 4 : 1;
}
