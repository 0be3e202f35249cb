import test from "ava";
import type { RunLayer } from "../../spec/run.ts";
import { runDifferences } from "../../spec/run-differences.ts";
import { runRecord } from "./run-record.ts";

function layer(events: Record<string, number>, more: Partial<RunLayer> = {}): RunLayer {
	const total = Object.values(events).reduce((sum, count) => sum + count, 0);
	return { layer: "qemu", path: "qemu", events, total, discarded: 0, lostPackets: 0, bytes: 1, ...more };
}

test("two runs are compared by how long they took, how they ended, what was lost, and each layer's events", (t) => {
	const guest = { layer: "guest", domain: "vm" } as const;
	const before = runRecord({ exitStatus: 0, layers: [layer({ a: 100, b: 8, c: 1 }), layer({ x: 5 }, guest)] });
	const now = runRecord({
		exitStatus: 3,
		monotonic: { started: "0", ended: "3000000000" },
		layers: [layer({ a: 90, b: 12, d: 20 }, { discarded: 3, lostPackets: 1 }), layer({ x: 5 }, guest)],
	});
	t.deepEqual(runDifferences(before, now), [
		["seconds", "3.250", "3", "−7.7 %"],
		["exit status", "0", "3", ""],
		["lost events and packets", "0", "4", "new"],
		["qemu", "109", "122", "+11.9 %"],
		["  a", "100", "90", "−10.0 %"],
		["  d", "0", "20", "new"],
		["  b", "8", "12", "+50.0 %"],
		["  c", "1", "0", "gone"],
		["guest vm", "5", "5", ""],
		["  x", "5", "5", ""],
	]);
});

test("of many kinds of events those are shown that there are most of, and the rest together", (t) => {
	const many = (more: number) =>
		runRecord({
			layers: [layer(Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`e${at}`, 100 - at + more])))],
		});
	const rows = runDifferences(many(0), many(1));
	t.deepEqual(rows.slice(-2), [
		["  e24", "76", "77", "+1.3 %"],
		["  5 others", "365", "370", "+1.4 %"],
	]);
	t.is(rows.length, 29);
});

test("a layer that only one of them has is gone, or new", (t) => {
	const [one, none] = [runRecord({ layers: [layer({ a: 2 })] }), runRecord()];
	t.deepEqual(runDifferences(one, none).slice(2), [
		["qemu", "2", "0", "gone"],
		["  a", "2", "0", "gone"],
	]);
	t.deepEqual(runDifferences(none, one).at(-1), ["  a", "0", "2", "new"]);
});
