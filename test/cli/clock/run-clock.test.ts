import { readFileSync, rmSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { checkBound, checkOffsets, fitRun } from "../../../cli/clock/run-clock.ts";
import { mergedEvents } from "../../../cli/runs/merge.ts";
import { clockRecordSchema } from "../../../spec/clock-record.ts";
import { runRecord } from "../../spec/run-record.ts";
import { ScratchLab } from "../scratch-lab.ts";
import { beacons, bootIds, fakeBabeltrace, hostTime, writeTrace } from "../scratch-run.ts";

const run = (lab: ScratchLab) => `${lab.root}/var/lib/tracelab/runs/quickstart/one`;

/** One scratch host at a time: what a test calls itself sees it by the environment. */
async function host(t: ExecutionContext): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	lab.enter();
	fakeBabeltrace(lab);
	lab.write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
	lab.write("proc/sys/kernel/random/boot_id", `${bootIds.host}\n`);
	return lab;
}

const ust = { bootId: bootIds.host, offset: 1_795_590_544_774_881_908n };
const kernel = { bootId: bootIds.guest, offset: 1_795_605_648_000_000_745n };
const guest = { clocksource: "hpet", bootId: bootIds.guest, offset: kernel.offset - 745n, offsetBound: 0 };
const traceFolder = "one/qemu/ust/uid/64055/64-bit";

test.serial("a run's clock is fitted from its beacons, stored, and its traces are checked", async (t) => {
	const lab = await host(t);
	const { lines, written } = beacons(60);
	const other = written[7]?.[1].replace("0xA20", "0x3F8") ?? "";
	writeTrace(lab, traceFolder, { ...ust, events: [...written, [written.at(-1)?.[0] ?? 0n, other]] });
	writeTrace(lab, "one/guest/vm/g/kernel", {
		...kernel,
		events: [
			[899_000_000_000n, "kernel a: { }"],
			[902_000_000_000n, "kernel b: { }"],
		],
	});
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm", lines);
	const record = await fitRun(run(lab), { guests: { vm: guest } });
	const { vm } = record.guests;
	t.is(vm?.method, "in-band beacon");
	t.is(vm?.clocksource, "hpet");
	t.is(vm?.pairs, 60);
	t.deepEqual(vm?.unmatched, { guest: 0, host: 0 });
	t.is(vm?.pieces.length, 1);
	t.is(vm?.pieces[0]?.from, Number(899_000_000_000n - BigInt(vm?.reference.guest ?? 0)));
	t.is(vm?.pieces[0]?.to, Number(902_000_000_000n - BigInt(vm?.reference.guest ?? 0)));
	t.true((vm?.bound ?? 0) > 1300 && (vm?.bound ?? 0) < 30_000, String(vm?.bound));
	t.is(record.clocksource, "tsc");
	t.deepEqual(
		record.traces.map(({ trace, offset }) => [trace, offset]),
		[
			["guest/vm/g/kernel", "1795605648000000745"],
			["qemu/ust/uid/64055/64-bit", "1795590544774881908"],
		],
	);
	t.is(record.traces[0]?.difference, 745);
	t.deepEqual(clockRecordSchema.parse(JSON.parse(readFileSync(`${run(lab)}/clock.json`, "utf8"))), record);
});

test.serial(
	"where beacons of an end found no partner, no bound is stated for what lies beyond the pairs",
	async (t) => {
		const lab = await host(t);
		const { lines, written } = beacons(60);
		// QEMU's last ten came five seconds late, and are too few to find their place.
		const late = written.map(([time, text], index): [bigint, string] => [
			index < 50 ? time : time + 5_000_000_000n,
			text,
		]);
		writeTrace(lab, traceFolder, { ...ust, events: late });
		const [from, to] = [899_000_000_000n, 912_000_000_000n];
		writeTrace(lab, "one/guest/vm/g/kernel", {
			...{ ...kernel, events: [[from, "kernel a: { }"] as const, [to, "kernel b: { }"] as const] },
		});
		lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm", lines);
		const { vm } = (await fitRun(run(lab), { guests: { vm: guest } })).guests;
		t.deepEqual([vm?.pairs, vm?.unmatched], [50, { guest: 10, host: 10 }]);
		const reference = BigInt(vm?.reference.guest ?? 0);
		t.is(vm?.pieces[0]?.from, Number(from - reference));
		t.true((vm?.pieces.at(-1)?.to ?? 0) < 1_000_000_000, "up to the last pair");
	},
);

test.serial("a bound over the limit, and a wall clock that was set, are said", async (t) => {
	const lab = await host(t);
	const { lines, written } = beacons(60, 3_000_000n);
	writeTrace(lab, traceFolder, { ...ust, events: written });
	writeTrace(lab, "one/guest/vm/g/kernel", { ...kernel, events: [] });
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm", lines);
	const record = await fitRun(run(lab), { guests: { vm: { ...guest, offset: guest.offset + 5_000_000_000n } } });
	t.is(record.guests["vm"]?.pieces.length, 3);
	t.deepEqual(checkBound(record, 10_000_000), []);
	const bound = record.guests["vm"]?.bound ?? 0;
	t.true(bound > 3_000_000 && bound < 3_010_000, String(bound));
	const [said = "", ...more] = checkBound(record);
	t.deepEqual(more, []);
	t.regex(
		said,
		/^vm: its clock is known to 300\d+ ns on the host's \(in-band beacon\), over the limit of 20000 ns: the guest's clock/,
	);
	t.regex(said, /stood still for (?:2999|3000)\.\d µs: the guest was stopped, or its clocksource was changed$/);
	t.deepEqual(checkOffsets({ ...record, traces: record.traces.filter(({ trace }) => trace.startsWith("guest")) }), [
		"guest/vm/g/kernel: the wall clock was set by 4999999255 ns since it was recorded",
	]);
});

test.serial("where QEMU was not traced, exchanges with the agent do, and are named", async (t) => {
	const lab = await host(t);
	const lines = Array.from({ length: 10 }, (_, index) => {
		const at = 900_000_000_000n + BigInt(index) * 100_000_000n;
		return `${at} ${at + 3000n} ${hostTime(at) - 20_000_000n} ${hostTime(at) + 30_000_000n}\n`;
	});
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm.agent", lines.join(""));
	const record = await fitRun(run(lab));
	const { vm } = record.guests;
	t.is(vm?.method, "guest agent");
	t.false(Object.hasOwn(vm ?? {}, "clocksource"));
	t.true((vm?.bound ?? 0) >= 25_000_000 && (vm?.bound ?? 0) < 26_000_000, String(vm?.bound));
	t.deepEqual(checkBound(record), []);
	t.deepEqual(checkBound(record, 2000).length, 1);
});

test.serial("beacons without their other side are an error that says which", async (t) => {
	const lab = await host(t);
	const { lines, written } = beacons(60);
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm", lines);
	await t.throwsAsync(fitRun(run(lab)), {
		name: "LabError",
		message:
			"nothing puts the clock of \"vm\" on the host's: of 60 beacons of the guest and 0 in QEMU's trace, none fit together",
	});
	writeTrace(lab, traceFolder, { ...ust, events: written });
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm", "");
	const error = await t.throwsAsync(fitRun(run(lab)), { message: /of 0 beacons of the guest and 60 in QEMU's trace/ });
	t.is(
		(error as unknown as { todo: string }).todo,
		"clock-beacon said nothing: run it in the guest while QEMU is traced",
	);
});

test.serial("two domains' beacons are told apart by their processes", async (t) => {
	const lab = await host(t);
	const [one, two] = [beacons(60), beacons(60)];
	const of = (pid: number, written: typeof one.written, later: bigint) =>
		written.map(([time, text]): [bigint, string] => [
			time + later,
			text.replace("{ cpu_id = 1 }", `{ cpu_id = 1 }, { vpid = ${pid} }`),
		]);
	const events = [...of(11, one.written, 0n), ...of(22, two.written, 5_000n)].sort(([a], [b]) => (a < b ? -1 : 1));
	writeTrace(lab, traceFolder, { ...ust, events });
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/a", one.lines);
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/b", two.lines);
	const { guests } = await fitRun(run(lab), { domains: { a: { pid: 11 }, b: { pid: 22 } } });
	t.deepEqual([guests["a"]?.pairs, guests["b"]?.pairs], [60, 60]);
	t.deepEqual([guests["a"]?.pieces.length, guests["b"]?.pieces.length], [1, 1]);
	const domain = (pid: number) => ({ libvirtName: "x", pid, emulator: "/q", modules: {} });
	const record = runRecord({ domains: { a: domain(11), b: domain(22) } });
	lab.write("var/lib/tracelab/runs/quickstart/one/run.json", JSON.stringify(record));
	// It is made anew, of each one's own beacons.
	rmSync(`${run(lab)}/clock.json`);
	const { clock, events: merged } = await mergedEvents(run(lab));
	t.deepEqual(clock.guests, guests);
	const seen = new Set<string | undefined>();
	for await (const { domain } of merged) seen.add(domain);
	t.deepEqual([...seen], ["a", "b"]);
});

test.serial("where a guest's clocksource changed, the bound has room for the steps of the coarser one", async (t) => {
	const lab = await host(t);
	const { lines, written } = beacons(60);
	writeTrace(lab, traceFolder, { ...ust, events: written });
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm", lines);
	const piecesOf = async (first?: string, last?: string) => {
		const { vm } = (
			await fitRun(run(lab), {
				domains: { vm: { pid: 1, ...(first !== undefined && { clocksource: first }) } },
				...(last !== undefined && { guests: { vm: { ...guest, clocksource: last } } }),
			})
		).guests;
		t.is(vm?.clocksource, last);
		return vm?.pieces;
	};
	const [fine, coarse] = [await piecesOf("hpet", "hpet"), await piecesOf("acpi_pm", "acpi_pm")];
	t.true((coarse?.[0]?.bound ?? 0) >= (fine?.[0]?.bound ?? Number.NaN) + 270);
	t.deepEqual(await piecesOf("hpet", "acpi_pm"), coarse);
	t.deepEqual(await piecesOf("acpi_pm", "hpet"), coarse);
	t.deepEqual(await piecesOf(undefined, "hpet"), fine, "what is not known of the start is as it was at the end");
	t.deepEqual(await piecesOf("hpet"), coarse, "of a guest that says nothing at the end, it may be any");
});

test.serial("a trace that cannot be read to its end is an error with babeltrace2's words", async (t) => {
	const lab = await host(t);
	const { lines, written } = beacons(60);
	writeTrace(lab, traceFolder, { ...ust, events: written, broken: true });
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm", lines);
	await t.throwsAsync(fitRun(run(lab)), { message: /^babeltrace2 ended with 1: .*\nERROR: a packet is broken$/ });
});

test.serial("a trace whose session still runs is an error that says so", async (t) => {
	const lab = await host(t);
	lab.write(`var/lib/tracelab/runs/quickstart/${traceFolder}/metadata`, "");
	const error = await t.throwsAsync(fitRun(run(lab)), { message: /\/64-bit has no metadata yet$/ });
	t.is((error as unknown as { todo: string }).todo, "stop its session: lttng list, then lttng destroy NAME");
});
