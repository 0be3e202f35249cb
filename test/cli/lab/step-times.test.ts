import test from "ava";
import { readStepTimes, stepTimesText } from "../../../cli/lab/step-times.ts";
import { eventLog } from "./event-log.ts";

const urn = (name: string) => `urn:pulumi:quickstart::tracelab::command:local:Command::${name}`;
const metadata = (op: string, name: string) => ({ metadata: { op, urn: urn(name), type: "command:local:Command" } });
const begins = (timestamp: number, op: string, name: string) => ({ timestamp, resourcePreEvent: metadata(op, name) });
const ends = (timestamp: number, op: string, name: string) => ({ timestamp, resOutputsEvent: metadata(op, name) });
const fails = (timestamp: number, op: string, name: string) => ({ timestamp, resOpFailedEvent: metadata(op, name) });

test("each resource's time is from its begin to its end, the longest first", async (t) => {
	const events = [
		{ timestamp: 100, preludeEvent: { config: {} } },
		begins(100, "create", "qemu-main"),
		begins(101, "create", "kernel-main"),
		ends(103, "create", "kernel-main"),
		ends(160, "create", "qemu-main"),
		{ timestamp: 160, summaryEvent: { durationSeconds: 60 } },
	];
	t.deepEqual(await readStepTimes(eventLog(t, events)), [
		{ name: "qemu-main", what: "created", seconds: 60 },
		{ name: "kernel-main", what: "created", seconds: 2 },
	]);
});

const words = test.macro({
	title: (_, op: string, done: string) => `${op} is ${done}`,
	async exec(t, op: string, done: string, failed: string) {
		const events = [begins(1, op, "a"), ends(2, op, "a"), begins(1, op, "b"), fails(2, op, "b")];
		t.deepEqual(
			(await readStepTimes(eventLog(t, events))).map(({ what }) => what),
			[done, failed],
		);
	},
});

test(words, "create", "created", "failed: not created");
test(words, "update", "updated", "failed: not updated");
test(words, "delete", "deleted", "failed: not deleted");
test(words, "create-replacement", "created anew", "failed: not created anew");
test(words, "delete-replaced", "old one deleted", "failed: old one not deleted");

test("the two halves of a replacement are two steps", async (t) => {
	const events = [
		begins(10, "create-replacement", "disk"),
		ends(14, "create-replacement", "disk"),
		begins(20, "delete-replaced", "disk"),
		ends(21, "delete-replaced", "disk"),
	];
	t.deepEqual(await readStepTimes(eventLog(t, events)), [
		{ name: "disk", what: "created anew", seconds: 4 },
		{ name: "disk", what: "old one deleted", seconds: 1 },
	]);
});

test("what the engine only looked at, or never ended, took no time", async (t) => {
	const events = [
		...[begins(1, "same", "host"), ends(9, "same", "host")],
		...[begins(1, "replace", "disk"), ends(9, "replace", "disk")],
		begins(1, "create", "killed"),
		ends(9, "create", "never begun"),
	];
	t.deepEqual(await readStepTimes(eventLog(t, events)), []);
});

test("half a line, which a killed engine leaves, is passed over", async (t) => {
	const file = eventLog(t, [begins(1, "create", "a"), ends(3, "create", "a")], '{"timestamp": 4, "resourcePreE');
	t.deepEqual(await readStepTimes(file), [{ name: "a", what: "created", seconds: 2 }]);
});

test("a line that is no event is passed over", async (t) => {
	const file = eventLog(t, [begins(1, "create", "a")], `null\n7\n\n${JSON.stringify(ends(3, "create", "a"))}\n`);
	t.deepEqual(await readStepTimes(file), [{ name: "a", what: "created", seconds: 2 }]);
});

test("no log, no times", async (t) => {
	t.deepEqual(await readStepTimes("/no/such/log"), []);
});

test("steps of one length are in order of their names", async (t) => {
	const events = ["b", "a"].flatMap((name) => [begins(1, "create", name), ends(2, "create", name)]);
	t.deepEqual(
		(await readStepTimes(eventLog(t, events))).map(({ name }) => name),
		["a", "b"],
	);
});

test("a person sees where the time went", (t) => {
	const times = [
		{ name: "qemu-main", what: "created", seconds: 312 },
		{ name: "vm", what: "failed: not created", seconds: 9 },
		{ name: "quick", what: "created", seconds: 0 },
	];
	t.is(
		stepTimesText(times, 330.26),
		"where the time went: 5 min 30 s in all\n  qemu-main  created              5 min 12 s\n  vm         failed: not created  9 s",
	);
});

test("what set-up took comes first, and is part of the whole", (t) => {
	const times = [{ name: "qemu-main", what: "created", seconds: 312 }];
	t.is(
		stepTimesText(times, 330.26, 372),
		"where the time went: 11 min 42 s in all\n  set-up     done     6 min 12 s\n  qemu-main  created  5 min 12 s",
	);
});

test("a run in which nothing took a second is one line", (t) => {
	t.is(stepTimesText([{ name: "a", what: "updated", seconds: 0 }], 1.26), "where the time went: 1.3 s in all");
});

test("ten steps are shown, the others are counted", (t) => {
	const times = Array.from({ length: 12 }, (_, index) => ({ name: `s${index}`, what: "created", seconds: 20 - index }));
	const lines = stepTimesText(times, 100).split("\n");
	t.is(lines.length, 12);
	t.is(lines[10], "  s9  created  11 s");
	t.is(lines[11], "  and 2 shorter ones");
});
