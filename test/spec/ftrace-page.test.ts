import test from "ava";
import { pageSize, readPage } from "../../spec/ftrace-page.ts";

const word = (type: number, delta: number) => u32(((delta << 5) | type) >>> 0);

function u32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value);
	return bytes;
}

/** A page that begins at 1000 ns, with these flags, and these bytes behind what was committed. */
function page(records: readonly Buffer[], flags = 0, behind: Buffer = Buffer.alloc(0)): Buffer {
	const bytes = Buffer.alloc(pageSize);
	const data = Buffer.concat(records);
	bytes.writeBigUInt64LE(1000n, 0);
	bytes.writeUInt32LE((data.length | flags) >>> 0, 8);
	data.copy(bytes, 16);
	behind.copy(bytes, 16 + data.length);
	return bytes;
}

const read = (...records: Buffer[]) =>
	readPage(page(records)).records.map(({ time, data }) => [time, data.toString("latin1")]);

test("each record counts its time from the one before, and has its length in words or behind its head", (t) => {
	t.deepEqual(
		read(
			word(1, 5),
			Buffer.from("abcd"),
			word(0, 7),
			u32(4 + 8),
			Buffer.from("longer. "),
			word(2, 0),
			Buffer.from("12345678"),
		),
		[
			[1005n, "abcd"],
			[1012n, "longer. "],
			[1012n, "12345678"],
		],
	);
});

test("what was thrown away takes its time and its room", (t) => {
	t.deepEqual(read(word(29, 1), u32(8), Buffer.from("gone"), word(1, 5), Buffer.from("abcd")), [[1006n, "abcd"]]);
	t.deepEqual(read(word(1, 5), Buffer.from("abcd"), word(29, 0), Buffer.from("what was here before")), [
		[1005n, "abcd"],
	]);
});

test("longer times have words of their own, relative and absolute", (t) => {
	t.deepEqual(read(word(30, 3), u32(2), word(1, 5), Buffer.from("abcd")), [[1000n + (2n << 27n) + 3n + 5n, "abcd"]]);
	t.deepEqual(read(word(31, 3), u32(9), word(1, 5), Buffer.from("abcd")), [[(9n << 27n) + 3n + 5n, "abcd"]]);
});

test("a page says how many events were written over before it, where it has room for that", (t) => {
	const [missed, stored] = [2 ** 31, 2 ** 30];
	const record = [word(1, 5), Buffer.from("abcd")];
	const count = Buffer.concat([u32(42), u32(0)]);
	t.is(readPage(page(record)).missed, 0);
	t.is(readPage(page(record, missed + stored, count)).missed, 42);
	t.is(readPage(page(record, missed)).missed, undefined);
});

test("a record that goes beyond its page is an error", (t) => {
	t.throws(() => read(word(28, 0), Buffer.from("abcd")), {
		instanceOf: RangeError,
		message: "a record of 112 bytes at 20 of 24",
	});
});
