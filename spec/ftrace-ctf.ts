import type { FtraceEvent, FtraceField, FtraceInteger } from "./ftrace-format.ts";
import type { FtraceRecord } from "./ftrace-page.ts";
import type { TraceClock } from "./trace-clock.ts";

// Events of ftrace's as CTF 1.8: whole bytes in the machine's order, each CPU a stream, each page of its a packet.

/** The system that was traced. */
export interface FtraceSystem extends Omit<TraceClock, "name"> {
	readonly hostname: string;
	readonly release: string;
}

/** The metadata stream. Its clock is described as LTTng's is, since it is the same. */
export function ftraceMetadata(events: readonly FtraceEvent[], system: FtraceSystem): string {
	return `/* CTF 1.8 */

trace {
	major = 1;
	minor = 8;
	byte_order = le;
	packet.header := struct { ${plain(4)} magic; ${plain(4)} stream_id; };
};

env {
	hostname = ${JSON.stringify(system.hostname)};
	domain = "kernel";
	sysname = "Linux";
	kernel_release = ${JSON.stringify(system.release)};
	tracer_name = "ftrace";
};

clock {
	name = "monotonic";
	uuid = "${system.uuid}";
	description = "CLOCK_MONOTONIC";
	freq = 1000000000;
	offset = ${system.offset};
};

typealias integer { size = 64; align = 8; map = clock.monotonic.value; } := time;

stream {
	id = 0;
	packet.context := struct {
		time timestamp_begin;
		time timestamp_end;
		${plain(8)} content_size;
		${plain(8)} packet_size;
		${plain(8)} events_discarded;
		${plain(4)} cpu_id;
	};
	event.header := struct { ${plain(2)} id; time timestamp; };
	event.context := struct { ${integerType({ bytes: 4, signed: true, hex: false })} _tid; };
};
${events.map(eventType).join("")}`;
}

function eventType({ id, name, fields }: FtraceEvent): string {
	return `
event {
	name = ${JSON.stringify(name)};
	id = ${id};
	stream_id = 0;
	fields := struct {
${fields.map((field) => `\t\t${fieldType(field)}\n`).join("")}\t};
};
`;
}

/** Readers take one underscore away, so that a name may be a word of TSDL's. */
function fieldType({ name, type, count }: FtraceField): string {
	if (type === "text") return `string _${name};`;
	if (count === undefined) return `${integerType(type)} _${name};`;
	if (count !== "any") return `${integerType(type)} _${name}[${count}];`;
	return `${plain(4)} __${name}_length; ${integerType(type)} _${name}[__${name}_length];`;
}

function integerType({ bytes, signed, hex }: FtraceInteger): string {
	return `integer { size = ${bytes * 8}; align = 8; signed = ${signed}; base = ${hex ? 16 : 10}; }`;
}

const plain = (bytes: FtraceInteger["bytes"]): string => integerType({ bytes, signed: false, hex: false });

/** Bytes of a packet's header and its context. */
const headSize = 8 + 5 * 8 + 4;

/**
 * A packet of these records of a CPU; nothing where none of them is of these events.
 *
 * @param discarded events of the CPU that were lost up to its end
 * @throws RangeError for a record that is not as its event's format has it
 */
export function ftracePacket(
	events: ReadonlyMap<number, FtraceEvent>,
	records: readonly FtraceRecord[],
	cpu: number,
	discarded: number,
): Buffer | undefined {
	const parts: Buffer[] = [];
	// What somebody enabled by hand, or wrote into trace_marker, is nothing that was asked for.
	const known = records.filter(({ data }) => events.has(data.readUInt16LE(0)));
	const [first, last] = [known[0], known.at(-1)];
	if (first === undefined || last === undefined) return undefined;
	for (const { time, data } of known) {
		const id = data.readUInt16LE(0);
		const head = Buffer.allocUnsafe(14);
		head.writeUInt16LE(id, 0);
		head.writeBigUInt64LE(time, 2);
		// common_pid
		data.copy(head, 10, 4, 8);
		parts.push(head);
		for (const field of events.get(id)?.fields ?? []) fieldBytes(field, data, parts);
	}
	const size = headSize + parts.reduce((sum, { length }) => sum + length, 0);
	const head = Buffer.alloc(headSize);
	head.writeUInt32LE(0xc1fc1fc1, 0);
	const context = [first.time, last.time, BigInt(size * 8), BigInt(size * 8), BigInt(discarded)];
	for (const [index, value] of context.entries()) head.writeBigUInt64LE(value, 8 + index * 8);
	head.writeUInt32LE(cpu, headSize - 4);
	return Buffer.concat([head, ...parts], size);
}

const nul = Buffer.alloc(1);

function fieldBytes({ name, offset, size, place, type, count }: FtraceField, record: Buffer, parts: Buffer[]): void {
	let [at, length] = [offset, size];
	if (place !== "here") {
		const word = record.readUInt32LE(offset);
		[at, length] = [word & 0xffff, word >>> 16];
		if (place === "relative") at += offset + 4;
	}
	if (at + length > record.length)
		throw new RangeError(`field ${name} is ${length} bytes at ${at}, and its record has ${record.length}`);
	const bytes = record.subarray(at, at + length);
	if (type === "text") {
		const end = bytes.indexOf(0);
		parts.push(end === -1 ? bytes : bytes.subarray(0, end), nul);
	} else if (count === "any") {
		const number = Buffer.allocUnsafe(4);
		number.writeUInt32LE(Math.floor(length / type.bytes));
		parts.push(number, bytes.subarray(0, length - (length % type.bytes)));
	} else {
		parts.push(bytes);
	}
}
