import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** What gdb needs of an ELF file. */
export interface ElfFacts {
	/** GNU build-id in hex, where it has one. */
	buildId: string | undefined;
	/** Does it have debug information? */
	debugInfo: boolean;
	/** Where in physical memory its notes come to lie, and how many bytes they are; nothing where it has none. */
	notes: { address: bigint; length: number } | undefined;
}

/** A file that is not what it should be; the message says what it is instead. */
export class ElfError extends Error {
	override readonly name = "ElfError";
}

/** "\x7fELF", then the class and the byte order. */
const elf64LittleEndian = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
const noteSection = 7;
const noteSegment = 4;
const gnuBuildId = 3;

/** Reads the section headers of a 64-bit little-endian ELF file, and not the hundreds of megabytes between them. */
export function readElf(file: string): ElfFacts {
	const fd = openSync(file, "r");
	try {
		const { size: whole } = fstatSync(fd);
		const at = (offset: number, length: number) => {
			if (offset + length > whole) throw new ElfError("it is cut off");
			const bytes = Buffer.alloc(length);
			readSync(fd, bytes, 0, length, offset);
			return bytes;
		};
		if (whole < 64 || !at(0, 6).equals(elf64LittleEndian)) throw new ElfError("it is no 64-bit ELF file");
		const header = at(0, 64);
		const [offset, size, count, names] = [
			Number(header.readBigUInt64LE(40)),
			...[58, 60, 62].map((p) => header.readUInt16LE(p)),
		];
		const sections = Array.from({ length: count ?? 0 }, (_, index) => at(offset + index * (size ?? 64), 64)).map(
			(entry) => ({
				name: entry.readUInt32LE(0),
				type: entry.readUInt32LE(4),
				offset: Number(entry.readBigUInt64LE(24)),
				size: Number(entry.readBigUInt64LE(32)),
			}),
		);
		const table = sections[names ?? 0];
		const strings = table === undefined ? Buffer.alloc(0) : at(table.offset, table.size);
		const nameOf = (start: number) => strings.toString("latin1", start, strings.indexOf(0, start));
		const [segments, segmentSize, segmentCount] = [
			Number(header.readBigUInt64LE(32)),
			...[54, 56].map((p) => header.readUInt16LE(p)),
		];
		const segment = Array.from({ length: segmentCount ?? 0 }, (_, index) =>
			at(segments + index * (segmentSize ?? 56), 56),
		).find((entry) => entry.readUInt32LE(0) === noteSegment);
		const notes = sections.filter(({ type }) => type === noteSection);
		return {
			buildId: notes.map((note) => buildIdIn(at(note.offset, note.size))).find((id) => id !== undefined),
			debugInfo: sections.some(({ name, size }) => nameOf(name) === ".debug_info" && size > 0),
			notes:
				segment === undefined
					? undefined
					: { address: segment.readBigUInt64LE(24), length: Number(segment.readBigUInt64LE(32)) },
		};
	} finally {
		closeSync(fd);
	}
}

/** The GNU build-id among ELF notes, such as those of a running kernel in /sys/kernel/notes. */
export function buildIdIn(notes: Buffer): string | undefined {
	const aligned = (length: number) => Math.ceil(length / 4) * 4;
	for (let at = 0; at + 12 <= notes.length; ) {
		const [name, size, type] = [notes.readUInt32LE(at), notes.readUInt32LE(at + 4), notes.readUInt32LE(at + 8)];
		const value = at + 12 + aligned(name);
		if (type === gnuBuildId && notes.toString("latin1", at + 12, at + 12 + name) === "GNU\0") {
			return notes.toString("hex", value, value + size);
		}
		at = value + aligned(size);
	}
	return undefined;
}
