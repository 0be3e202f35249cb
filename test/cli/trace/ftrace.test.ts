import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import { execaSync } from "execa";
import { LabError } from "../../../cli/errors.ts";
import { ctfClock, ctfEvents, ctfRange, ctfTraces } from "../../../cli/runs/ctf.ts";
import { ftraceToCtf } from "../../../cli/trace/ftrace.ts";
import type { Fields } from "../../../spec/ctf-line.ts";
import { babeltrace } from "../scratch-run.ts";

// ftrace-part/ is of a guest of two processors whose buffers were two pages each, as scripts/lib/ftrace.sh leaves it; and
// trace.txt is what the kernel itself printed of the same buffers.
const part = new URL("ftrace-part/", import.meta.url).pathname;
const events = 382;

// Only the real one tells whether it is CTF.
const test = babeltrace === undefined ? anyTest.skip : anyTest;
const why = babeltrace === undefined ? " (skipped: no babeltrace2)" : "";

/** The part, or another one that was made of it, as CTF. */
async function converted(
	t: ExecutionContext,
	mode: "stream" | "snapshot",
	change: (folder: string) => void = () => {},
) {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-ftrace-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	cpSync(part, join(folder, "raw"), { recursive: true });
	change(join(folder, "raw"));
	const ctf = join(folder, "ctf");
	return { ctf, ...(await ftraceToCtf(join(folder, "raw"), ctf, mode)) };
}

async function readBack(ctf: string) {
	const lines = [];
	for (const trace of ctfTraces(ctf)) for await (const some of ctfEvents(trace)) lines.push(...some);
	return lines;
}

const warnings = (ctf: string) => execaSync("babeltrace2", [ctf]).stderr;

/** As the kernel prints it, where its own text has all of an event. */
function asKernel(name: string, { dev, sector, nr_sector, rwbs, bytes, error, comm, ...fields }: Fields): string {
	const device = `${Number(dev) >> 20},${Number(dev) & 0xfffff}`;
	switch (name) {
		case "block_bio_queue":
			return `block_bio_queue: ${device} ${rwbs} ${sector} + ${nr_sector} [${comm}]`;
		case "block_rq_issue":
			return `block_rq_issue: ${device} ${rwbs} ${bytes} () ${sector} + ${nr_sector} [${comm}]`;
		case "block_rq_complete":
			return `block_rq_complete: ${device} ${rwbs} () ${sector} + ${nr_sector} [${error}]`;
		case "irq_handler_entry":
			return `irq_handler_entry: irq=${fields["irq"]} name=${fields["name"]}`;
		case "irq_handler_exit":
			return `irq_handler_exit: irq=${fields["irq"]} ret=${fields["ret"] === 1 ? "handled" : "unhandled"}`;
		case "irq_softirq_entry":
			return `softirq_entry: vec=${fields["vec"]}`;
		case "x86_irq_vectors_local_timer_entry":
			return `local_timer_entry: vector=${fields["vector"]}`;
		case "timer_hrtimer_expire_entry":
			return `hrtimer_expire_entry: now=${fields["now"]}`;
		case "sched_process_exec":
			return `sched_process_exec: filename=${fields["filename"]} pid=${fields["pid"]} old_pid=${fields["old_pid"]}`;
		default:
			return name;
	}
}

test(`what babeltrace2 reads is what the kernel printed, event by event${why}`, async (t) => {
	const { ctf } = await converted(t, "snapshot");
	const read = (await readBack(ctf)).map(({ cycles, cpu, name, fields }) => {
		const time = (Number(cycles) / 1e9).toFixed(6);
		return `${time} ${cpu} ${fields["tid"]} ${asKernel(name, fields)}`;
	});
	const printed = readFileSync(join(part, "trace.txt"), "utf8")
		.split("\n")
		.flatMap((line) => {
			const found = /^.*-(\d+) +\[(\d+)\] \S+ +([\d.]+): (.*)$/.exec(line);
			if (found === null) return [];
			const [, tid, cpu, time, text = ""] = found;
			// Not fields but names of theirs, and an address that is none.
			const plain = text.replace(/ \[action=\w+\]$/, "").replace(/hrtimer=\w+ function=\w+ /, "");
			return `${time} ${Number(cpu)} ${tid} ${plain}`;
		});
	t.is(printed.length, events);
	t.deepEqual(read.toSorted(), printed.toSorted());
	t.is(warnings(ctf), "");
});

test(`its clock is CLOCK_MONOTONIC of the guest's boot, and the range of its packets is known${why}`, async (t) => {
	const { ctf } = await converted(t, "snapshot");
	const [, , uuid = "", offset = ""] = readFileSync(join(part, "system"), "utf8").split("\n");
	t.deepEqual(await ctfClock([ctf]), { name: "monotonic", uuid, offset: BigInt(offset) });
	const times = (await readBack(ctf)).map(({ cycles }) => cycles);
	t.deepEqual(await ctfRange([ctf]), [times[0], times.at(-1)]);
});

test(`what was written over is lost in a run, and none of a flight recorder's loss${why}`, async (t) => {
	t.is((await converted(t, "snapshot")).discarded, 0);
	const run = await converted(t, "stream");
	t.is(run.discarded, 184 + 176);
	t.is((await readBack(run.ctf)).length, events);
	const later = await converted(t, "stream", (raw) => lose(raw, "dropped events", 5));
	t.is(later.discarded, 184 + 176 + 5);
	// The first page of the one processor says how many it missed, and that of the other had no room to.
	t.deepEqual(warnings(later.ctf).match(/Tracer .*? events/g), [
		"Tracer may have discarded events",
		"Tracer discarded 181 events",
	]);
	t.is((await converted(t, "snapshot", (raw) => lose(raw, "entries", 7))).discarded, 0);
	t.is((await converted(t, "stream", (raw) => lose(raw, "entries", 7))).discarded, 184 + 176 + 7);
});

function lose(raw: string, counter: string, count: number): void {
	const file = join(raw, "stats");
	const stats = readFileSync(file, "utf8").replace(`cpu1/stats:${counter}: 0`, `cpu1/stats:${counter}: ${count}`);
	writeFileSync(file, stats);
}

test(`what recorded nothing is no trace, and of one processor's it is that of the others${why}`, async (t) => {
	const none = await converted(t, "stream", (raw) => {
		for (const cpu of ["cpu0", "cpu1"]) truncateSync(join(raw, cpu));
	});
	t.deepEqual(ctfTraces(none.ctf), []);
	const one = await converted(t, "snapshot", (raw) => truncateSync(join(raw, "cpu0")));
	t.deepEqual([...new Set((await readBack(one.ctf)).map(({ cpu }) => cpu))], [1]);
	t.is(warnings(one.ctf), "");
});

test(`half a page, where the guest's memory was full, is left out${why}`, async (t) => {
	const { ctf } = await converted(t, "snapshot", (raw) => truncateSync(join(raw, "cpu0"), 4096 + 2048));
	t.true((await readBack(ctf)).length < events);
	t.is(warnings(ctf), "");
});

anyTest("what is no page of ftrace's, or of no known clock, is an error that says so", async (t) => {
	const broken = converted(t, "stream", (raw) => writeFileSync(join(raw, "cpu1"), Buffer.alloc(4096, 0x1c)));
	t.regex(
		(await t.throwsAsync(broken, { instanceOf: LabError })).message,
		/^what ftrace recorded on cpu1 cannot be read: a page says that it ends at 793644$/,
	);
	const clockless = converted(t, "stream", (raw) => writeFileSync(join(raw, "system"), "vm\n6.1.192\nid\n\n"));
	t.is(
		(await t.throwsAsync(clockless, { instanceOf: LabError })).message,
		"/proc/timer_list of the traced kernel does not say how its wall clock stands to CLOCK_MONOTONIC",
	);
});
