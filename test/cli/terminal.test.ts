import test from "ava";
import { duration, paint, size, table, wrapped } from "../../cli/terminal.ts";

const durations = test.macro({
	title: (_, seconds: number, text: string) => `${seconds} seconds are ${text}`,
	exec(t, seconds: number, text: string) {
		t.is(duration(seconds), text);
	},
});

test(durations, 0, "0 s");
test(durations, 0.04, "0.0 s");
test(durations, 7, "7 s");
test(durations, 12.34, "12.3 s");
test(durations, 59.94, "59.9 s");
test(durations, 59.96, "1 min 00 s");
test(durations, 60, "1 min 00 s");
test(durations, 245.4, "4 min 05 s");
test(durations, 3599, "59 min 59 s");
test(durations, 3599.6, "1 h 00 min");
test(durations, 7380, "2 h 03 min");
test(durations, 90_000, "25 h 00 min");

const sizes = test.macro({
	title: (_, bytes: number, text: string) => `${bytes} bytes are ${text}`,
	exec(t, bytes: number, text: string) {
		t.is(size(bytes), text);
	},
});

test(sizes, 0, "0 B");
test(sizes, 999, "999 B");
test(sizes, 1000, "1.0 kB");
test(sizes, 1_449, "1.4 kB");
test(sizes, 999_949, "999.9 kB");
test(sizes, 999_950, "1.0 MB");
test(sizes, 12e9, "12.0 GB");
test(sizes, 3.5e15, "3500.0 TB");

test("a table is columns that line up, without a space at a line's end", (t) => {
	const rows = [
		["a", "long word", "x"],
		["bcd", "e", ""],
	];
	t.is(table(["ONE", "TWO", "3"], rows), "ONE  TWO        3\na    long word  x\nbcd  e");
});

test("a table without a head is its rows", (t) => {
	t.is(table([], [["a", "b"]]), "a  b");
});

test("a table without rows is its head", (t) => {
	t.is(table(["STEP", "SIZE"], []), "STEP  SIZE");
});

test("a cell of two lines makes a row of two", (t) => {
	t.is(table([], [["a\nb", "c"]]), "a  c\nb");
});

test("no colours go where no terminal is", (t) => {
	// ava's workers have none.
	t.false(process.stdout.isTTY ?? false);
	t.is(paint("red", "text"), "text");
});

test("text is broken between words, and a word that is too long stands alone", (t) => {
	t.deepEqual(wrapped("a bb ccc dddd", 6), ["a bb", "ccc", "dddd"]);
	t.deepEqual(wrapped("to /a/long/path now", 6), ["to", "/a/long/path", "now"]);
	t.deepEqual(wrapped("as it is", Number.POSITIVE_INFINITY), ["as it is"]);
});
