import test from "ava";
import { eventsOf, lostIn, madeBy, partOfBudget, workSeconds } from "../../bench/runs.ts";
import { runRecord } from "../spec/run-record.ts";

/** A run of 3.25 s and a budget of 4 MB and 100,000 events a second; the guest's part went on for 5 s. */
const run = runRecord({
	layers: [
		{
			...{ layer: "qemu", path: "qemu", events: {}, seconds: 3 },
			...{ total: 32_500, discarded: 0, lostPackets: 0, bytes: 6_500_000 },
		},
		{
			...{ layer: "guest", domain: "vm", path: "guest/vm", events: {}, seconds: 5 },
			...{ total: 249_000, discarded: 1000, lostPackets: 0, bytes: 5_000_000 },
		},
	],
});

test("a run made what its busiest layer did in a second, and what was lost happened as well", (t) => {
	t.deepEqual([eventsOf(run), lostIn(run)], [281_500, 1000]);
	t.deepEqual(madeBy(run), { rate: 2, events: 50_000 });
});

test("the part of a budget is that of its rate or of its events, whichever is larger", (t) => {
	t.is(partOfBudget(run), 0.5);
	t.is(partOfBudget({ ...run, budget: { rate: 1, events: 100_000 } }), 2);
	t.is(partOfBudget({ ...run, budget: madeBy(run) }), 1);
});

test("the guest's work says its microseconds last, and what says none is an error", (t) => {
	const ran = { code: 0, stderr: "", all: "" };
	t.is(workSeconds({ ...ran, stdout: "a word\n6200000\n" }), 6.2);
	t.throws(() => workSeconds({ ...ran, stdout: "sh: 1: date: not found" }), {
		message: "the guest's work printed no time: sh: 1: date: not found",
	});
});
