import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ctfTraces } from "../../../cli/runs/ctf.ts";
import type { Run } from "../../../spec/run.ts";
import { runRecord } from "../../spec/run-record.ts";
import { ScratchLab } from "../scratch-lab.ts";
import { beacons, bootIds, diskInterrupts, diskReads, fakeBabeltrace, inOrder, writeTrace } from "../scratch-run.ts";

/** A run in which the guest reads from its disk ten times, each request 50 µs down and 90 µs up; then `shift`ed. */
async function recorded(t: ExecutionContext, shift = 0n): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	fakeBabeltrace(lab);
	lab.write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
	lab.write("proc/sys/kernel/random/boot_id", `${bootIds.host}\n`);
	const { lines, written } = beacons(60);
	const { qemu, guest } = diskReads(10, { shift });
	writeTrace(lab, "one/qemu/ust/uid/64055/64-bit", {
		events: inOrder(written, qemu),
		bootId: bootIds.host,
		offset: 5n,
	});
	writeTrace(lab, "one/guest/vm/kernel", { events: guest, bootId: bootIds.guest, offset: 6n });
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm", lines);
	return lab;
}

const [down, up] = [
	"the guest issues a request (block_rq_issue), then QEMU handles it (virtio_blk_handle_read, …_write)",
	"QEMU completes a request (virtio_blk_req_complete), then the guest sees it (block_rq_complete)",
];

test.serial("all layers come in one order, on the host's clock", async (t) => {
	const lab = await recorded(t);
	const { code, stdout, stderr } = await lab.lab(["events", "one"]);
	t.is(code, 0);
	const lines = stdout.split("\n");
	t.is(lines.length, 60 + 40);
	const times = lines.map((line) => Number(line.split("  ")[0]));
	t.deepEqual(
		times,
		[...times].sort((one, two) => one - two),
	);
	const [bound = "", ...checks] = stderr.split("\n");
	t.regex(bound, /^guest vm is on the host's clock to 1\d{3} ns \(in-band beacon, 60 pairs\)$/);
	t.regex(checks[0] ?? "", /: 10 times, never violated; (?:49|50)\d{3} ns at least, (?:49|50)\d{3} ns in the middle$/);
	t.regex(checks[1] ?? "", /: 10 times, never violated; (?:89|90)\d{3} ns at least, (?:89|90)\d{3} ns in the middle$/);
	t.true(checks[2]?.endsWith("then the guest sees it (irq_handler_entry): nothing to compare"));
	t.is(checks.length, 3);
	const requests = lines.filter((line) => line.includes("sector")).slice(0, 3);
	t.deepEqual(
		requests.map((line) => line.replace(/^\S+/, "T")),
		[
			'T  guest  vm        block_rq_issue  cpu 1  { dev = 1, sector = 0, nr_sector = 8, bytes = 4096, rwbs = 36, comm = "dd" }',
			"T  qemu   vm        qemu:virtio_blk_handle_read  cpu 0  { vdev = 0x1, req = 0x2, sector = 0, nsectors = 8 }",
			"T  guest  vm        block_rq_complete  cpu 1  { dev = 1, sector = 0, nr_sector = 8, error = 0, rwbs = 36 }",
		],
	);
	t.is(requests[1]?.split("  ")[0], "16003.988456351");
});

test.serial("the pieces of a run that was rotated are one trace of each layer", async (t) => {
	const lab = await recorded(t);
	const whole = await lab.lab(["events", "one"]);
	const { lines, written } = beacons(60);
	const { qemu, guest } = diskReads(10);
	const pieces = (path: string, end: string, events: ReturnType<typeof inOrder>, bootId: string, offset: bigint) => {
		const piece = (from: number, to?: number) => ({ events: events.slice(from, to), bootId, offset });
		writeTrace(lab, `rotated/${path}/archives/20261127T140000+0000-20261127T140010+0000-0/${end}`, piece(0, 7));
		writeTrace(lab, `rotated/${path}/archives/20261127T140010+0000-20261127T140020+0000-1/${end}`, piece(7, 15));
		writeTrace(lab, `rotated/${path}/20261127T140020+0000-2/${end}`, piece(15));
	};
	pieces("qemu", "ust/uid/64055/64-bit", inOrder(written, qemu), bootIds.host, 5n);
	pieces("guest/vm", "kernel", guest, bootIds.guest, 6n);
	lab.write("var/lib/tracelab/runs/quickstart/rotated/clock/vm", lines);
	for (const layer of ["qemu", "guest/vm"]) {
		const traces = ctfTraces(join(lab.root, "var/lib/tracelab/runs/quickstart/rotated", layer));
		t.deepEqual(
			traces.map(({ length }) => length),
			[3],
		);
	}
	const { code, stdout, stderr } = await lab.lab(["events", "rotated"]);
	t.deepEqual([code, stdout, stderr], [0, whole.stdout, whole.stderr]);
});

test.serial("effects before their causes are counted; over the bound they make it false", async (t) => {
	const lab = await recorded(t, 60_000n);
	const { code, stderr } = await lab.lab(["events", "one", "--layer", "host"]);
	t.is(code, 1);
	const [, first = "", second = ""] = stderr.split("\n");
	t.regex(
		first,
		/: 10 of 10 violated, by (?:9|10)\d{3} ns at most: over the clocks' bound in 10, where that is false$/,
	);
	t.true(first.startsWith(down), first);
	t.regex(second, /: 10 times, never violated; (?:149|150)\d{3} ns at least/);
	t.true(second.startsWith(up), second);
});

test.serial("what lost events is not held against the clock", async (t) => {
	const lab = await recorded(t, 60_000n);
	const lost: Run["layers"][number] = {
		layer: "qemu",
		path: "qemu",
		discarded: 3,
		lostPackets: 0,
		total: 1,
		bytes: 1,
		events: {},
	};
	const records: [Partial<Run>, string][] = [
		[{ layers: [lost] }, "3 events and packets were lost"],
		[{ mode: "snapshot" }, "each part of a flight recorder begins at a time of its own"],
	];
	for (const [record, why] of records) {
		lab.write("var/lib/tracelab/runs/quickstart/one/run.json", JSON.stringify(runRecord(record)));
		const { code, stderr } = await lab.lab(["events", "one", "--layer", "host"]);
		const [, ...checks] = stderr.split("\n");
		t.deepEqual(
			[code, checks.slice(0, 2)],
			[0, [down, up].map((order) => `${order}: not compared, as ${why}`)],
			stderr,
		);
	}
});

test.serial("of two domains, one whose guest left nothing keeps what its QEMU did", async (t) => {
	const lab = await recorded(t);
	const { written } = beacons(60);
	const of = (pid: number) => diskReads(10, { contexts: `{ vpid = ${pid}, vtid = ${pid} }, ` }).qemu;
	const ofVm = written.map(([time, text]): [bigint, string] => [
		time,
		text.replace("}, {", "}, { vpid = 7, vtid = 7 }, {"),
	]);
	writeTrace(lab, "one/qemu/ust/uid/64055/64-bit", {
		...{ events: inOrder(ofVm, of(7), of(8)), bootId: bootIds.host, offset: 5n },
	});
	const domain = (pid: number) => ({
		...{ libvirtName: "x", pid, emulator: "/x", acceleration: "tcg" as const, builds: [], modules: {} },
	});
	const record = runRecord({ domains: { vm: domain(7), crashed: domain(8) } });
	lab.write("var/lib/tracelab/runs/quickstart/one/run.json", JSON.stringify(record));
	const { code, stdout, stderr } = await lab.lab(["events", "one", "--layer", "qemu", "--match", "handle_read"]);
	t.is(code, 0, stderr);
	const of_ = (name: string) => stdout.split("\n").filter((line) => line.includes(`  qemu   ${name}`)).length;
	t.deepEqual([of_("vm "), of_("crashed")], [10, 10], stdout);
	t.regex(stderr, /then QEMU handles it .*: 10 times, never violated/);
});

test.serial("interrupts of the disk are compared, and why they are not is said", async (t) => {
	const lab = await recorded(t);
	const [reads, interrupts] = [diskReads(10), diskInterrupts(10)];
	const [bootId, offset] = [bootIds.host, 5n];
	writeTrace(lab, "one/qemu/ust/uid/64055/64-bit", {
		...{ events: inOrder(beacons(60).written, reads.qemu, interrupts.qemu), bootId, offset },
	});
	writeTrace(lab, "one/guest/vm/kernel", {
		...{ events: inOrder(reads.guest, interrupts.guest), bootId: bootIds.guest, offset },
	});
	const said = async (guest: string[]) => {
		const asked = { qemu: ["virtio_*"], guest, host: [] };
		lab.write("var/lib/tracelab/runs/quickstart/one/run.json", JSON.stringify(runRecord({ asked })));
		const { code, stderr } = await lab.lab(["events", "one", "--layer", "host"]);
		t.is(code, 0, stderr);
		return stderr.split("\n")[3] ?? "";
	};
	const order =
		"QEMU interrupts the guest for its disk \\(virtio_notify, …_irqfd\\), then the guest sees it \\(irq_handler_entry\\)";
	t.regex(
		await said(["block_*", "irq_*"]),
		new RegExp(`^${order}: 10 times, never violated; 6[67]\\d{3} ns at least, 6[67]\\d{3} ns in the middle$`),
	);
	t.regex(await said(["block_*"]), new RegExp(`^${order}: not compared, as the run did not record irq_handler_entry$`));
});

test.serial("events are chosen by layer, name, and the time that they are next to", async (t) => {
	const lab = await recorded(t);
	const shown = async (...args: string[]) => (await lab.lab(["events", "one", ...args])).stdout.split("\n");
	t.is((await shown("--layer", "guest")).length, 20);
	t.is((await shown("--match", "^vm:block_rq_issue$")).length, 10);
	t.is((await shown("--match", "ops_write")).length, 60);
	const near = await shown("--around", "16003.990000000", "-C", "2", "--match", "rq_issue|handle_read");
	t.deepEqual(
		near.map((line) =>
			line
				.replace(/\d{4}(?= {2})/, "")
				.split("  ")
				.slice(0, 4)
				.join(" ")
				.replace(/ +/g, " "),
		),
		["16003.98940 guest vm ", "16003.98945 qemu vm ", "16003.99040 guest vm ", "16003.99045 qemu vm "],
	);
	const none = await lab.lab(["events", "one", "--around", "16003.99", "--match", "nothing"]);
	t.is(none.code, 2);
	t.regex(none.stderr, /lab: there are no such events in this run\n {2}what to do: leave out --layer or --match$/);
});

test.serial("what there is not is said, and what there is", async (t) => {
	const lab = await recorded(t);
	t.deepEqual(await lab.lab(["events", "on"]), {
		code: 2,
		stdout: "",
		stderr: 'lab: stack "quickstart" has no run "on" (did you mean "one"?)\n  what to do: its runs: one',
	});
	t.deepEqual(await lab.lab(["-s", "debug", "events", "on"]), {
		code: 2,
		stdout: "",
		stderr: 'lab: stack "debug" has no run "on"\n  what to do: record one: ./lab -s debug trace run PROFILE -- COMMAND',
	});
	const wrong = async (...args: string[]) => (await lab.lab(["events", "one", ...args])).stderr.split("\n")[0];
	t.is(
		await wrong("--around", "soon"),
		"error: option '--around <seconds>' argument 'soon' is invalid. It is a time in seconds, such as 16024.470235905.",
	);
	t.regex(
		(await wrong("--match", "(")) ?? "",
		/^error: option '--match <regex>' argument '\(' is invalid\. Invalid regular/,
	);
	t.is(
		await wrong("--layer", "gest"),
		"error: option '--layer <layer>' argument 'gest' is invalid. Allowed choices are qemu, guest, host.",
	);
	t.regex((await wrong("-C", "0")) ?? "", /is invalid\. It is a number over 0\.$/);
	const record = "var/lib/tracelab/runs/quickstart/one/clock.json";
	lab.write(record, "{}");
	t.regex((await lab.lab(["events", "one"])).stderr, /clock\.json is none of this version\n {2}what to do: remove it/);
});
