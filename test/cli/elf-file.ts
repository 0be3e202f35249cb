/** A section of an ELF file; type 1 is content, 7 is notes. */
export interface Section {
	name: string;
	type: number;
	bytes: Buffer;
}

/** A note as ELF has it: three numbers, then name and value, each filled up to four bytes. */
export function note(name: string, type: number, value: Buffer): Buffer {
	const filled = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
	const text = Buffer.from(`${name}\0`);
	const head = Buffer.alloc(12);
	for (const [index, number] of [text.length, value.length, type].entries()) head.writeUInt32LE(number, index * 4);
	return Buffer.concat([head, filled(text), filled(value)]);
}

/** Where the notes of such a file come to lie in physical memory. */
export const notesAddress = 0x1be7714n;

/**
 * A 64-bit little-endian ELF file of nothing but these sections and the table of their names; notes have a segment, too.
 */
export function elf(sections: readonly Section[]): Buffer {
	const names = Buffer.from(`\0${[...sections.map(({ name }) => name), ".shstrtab"].join("\0")}\0`);
	const all = [
		{ name: "", type: 0, bytes: Buffer.alloc(0) },
		...sections,
		{ name: ".shstrtab", type: 3, bytes: names },
	];
	const header = Buffer.alloc(64);
	Buffer.from("\x7fELF\x02\x01\x01").copy(header);
	const table: Buffer[] = [];
	let at = 64;
	for (const { name, type, bytes } of all) {
		const entry = Buffer.alloc(64);
		entry.writeUInt32LE(names.indexOf(`\0${name}\0`) + 1, 0);
		entry.writeUInt32LE(type, 4);
		entry.writeBigUInt64LE(BigInt(at), 24);
		entry.writeBigUInt64LE(BigInt(bytes.length), 32);
		table.push(entry);
		at += bytes.length;
	}
	const segment = Buffer.alloc(56);
	const notes = sections.find(({ type }) => type === 7);
	segment.writeUInt32LE(4, 0);
	segment.writeBigUInt64LE(notesAddress, 24);
	segment.writeBigUInt64LE(BigInt(notes?.bytes.length ?? 0), 32);
	header.writeBigUInt64LE(BigInt(at + table.length * 64), 32);
	header.writeUInt16LE(56, 54);
	header.writeUInt16LE(notes === undefined ? 0 : 1, 56);
	header.writeBigUInt64LE(BigInt(at), 40);
	for (const [offset, number] of [
		[58, 64],
		[60, all.length],
		[62, all.length - 1],
	] as const)
		header.writeUInt16LE(number, offset);
	return Buffer.concat([header, ...all.map(({ bytes }) => bytes), ...table, segment]);
}

/** A section of debug information, as long as that. */
export const debug = (length: number): Section => ({ name: ".debug_info", type: 1, bytes: Buffer.alloc(length) });
