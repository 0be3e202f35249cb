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

test("what ran on what, and what recorded it, has a row where it differs", (t) => {
	const domain = {
		libvirtName: "quickstart-vm",
		pid: 1,
		emulator: "/opt/tracelab/qemu/1/bin/qemu-system-x86_64",
		acceleration: "kvm",
		kernel: "1a".repeat(20),
		modules: { lttng: "2b".repeat(20), mymodule: "3c".repeat(20) },
		clocksource: "kvm-clock",
	} as const;
	const by = { cli: "4d".repeat(32), hostKernel: "6.1.0-40", lttng: { host: "2.13.9", guests: { vm: "2.13.9" } } };
	const before = runRecord({ ...by, commit: "9c010146f0aa", domains: { vm: domain } });
	const same = runRecord({ ...by, commit: "9c010146f0aa", domains: { vm: { ...domain, pid: 2 } } });
	t.deepEqual(
		runDifferences(before, same).map(([what]) => what),
		["seconds", "lost events and packets"],
	);
	const { clocksource: _, ...silent } = domain;
	const now = runRecord({
		commit: "9c010146f0aa, edited",
		cli: "5e".repeat(32),
		hostKernel: "6.1.0-41",
		lttng: { host: "2.13.10", guests: { vm: "2.13.10" } },
		domains: {
			vm: {
				...silent,
				emulator: "/opt/tracelab/qemu/2/bin/qemu-system-x86_64",
				acceleration: "tcg",
				kernel: "6f".repeat(20),
				modules: { lttng: domain.modules.lttng, second: "7a".repeat(20) },
			},
		},
	});
	t.deepEqual(runDifferences(before, now).slice(1, -1), [
		["commit", "9c010146f0aa", "9c010146f0aa, edited", ""],
		["cli/", "4d4d4d4d4d4d", "5e5e5e5e5e5e", ""],
		["host's kernel", "6.1.0-40", "6.1.0-41", ""],
		["LTTng", "2.13.9", "2.13.10", ""],
		["vm: LTTng", "2.13.9", "2.13.10", ""],
		["vm: emulator", domain.emulator, "/opt/tracelab/qemu/2/bin/qemu-system-x86_64", ""],
		["vm: acceleration", "kvm", "tcg", ""],
		["vm: kernel's build-id", "1a1a1a1a1a1a", "6f6f6f6f6f6f", ""],
		["vm: build-id of mymodule", "3c3c3c3c3c3c", "", ""],
		["vm: clocksource", "kvm-clock", "", ""],
		["vm: build-id of second", "", "7a7a7a7a7a7a", ""],
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
