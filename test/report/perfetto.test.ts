import test from "ava";
import type { TraceEvent } from "../../report/event.ts";
import { perfettoJson } from "../../report/perfetto.ts";
import { event, stream, syntheticFacts, syntheticRun } from "./synthetic-run.ts";

interface Line {
	ph: string;
	pid: number;
	tid: number;
	name: string;
	ts?: number;
	cat?: string;
	id?: string;
	s?: string;
	args?: Record<string, unknown>;
}

async function exported(events: readonly TraceEvent[]): Promise<{ traceEvents: Line[]; otherData: object }> {
	let text = "";
	for await (const part of perfettoJson(stream(events), syntheticFacts())) text += part;
	return JSON.parse(text) as { traceEvents: Line[]; otherData: object };
}

test("a run is well-formed: times do not go back on a track, begins and ends match, ids are one request's", async (t) => {
	const events = syntheticRun(5_000);
	const { traceEvents } = await exported(events);
	const last = new Map<string, number>();
	const stacks = new Map<string, string[]>();
	const open = new Map<string, string>();
	const named = new Set<string>();
	let shown = 0;
	for (const { ph, pid, tid, name, ts, cat, id, s } of traceEvents) {
		const track = `${pid} ${tid}`;
		if (ph === "M") {
			named.add(name === "thread_name" ? track : `${pid} ${name}`);
			continue;
		}
		if (ts === undefined) throw new Error(`${name} has no time`);
		t.true(named.has(track) && named.has(`${pid} process_name`), `${track} has no name`);
		t.true(ts >= (last.get(track) ?? 0), `${name} at ${ts} goes back`);
		last.set(track, ts);
		const stack = stacks.get(track) ?? [];
		stacks.set(track, stack);
		if (ph === "B") stack.push(name);
		else if (ph === "E") t.is(stack.pop(), name);
		else if (ph === "b") {
			t.false(open.has(`${cat} ${id}`));
			open.set(`${cat} ${id}`, name);
		} else if (ph === "e") {
			t.is(open.get(`${cat} ${id}`), name);
			open.delete(`${cat} ${id}`);
		} else t.deepEqual([ph, s], ["i", "t"]);
		if (ph === "i" || ph === "B" || ph === "b") shown++;
	}
	t.deepEqual([...stacks.values()].flat(), []);
	t.is(open.size, 0);
	t.true(shown > 2_500, `${shown} are shown`);
});

test("layers are processes, CPUs are threads, and requests are asynchronous", async (t) => {
	const { traceEvents, otherData } = await exported([
		event(7_000, "guest", "sched_switch", { next_comm: "fio", next_tid: 4 }, 1),
		event(8_000, "guest", "block_rq_issue", { dev: 1, sector: 8, rwbs: 1 }, 1),
		event(8_500, "qemu", "qemu:virtio_notify", { vdev: 0x55n }),
		event(9_001, "guest", "block_rq_complete", { dev: 1, sector: 8, error: 0 }, 0),
	]);
	const name = (pid: number, tid: number, kind: string, args: object) => ({ ph: "M", pid, tid, name: kind, args });
	t.deepEqual(traceEvents as object[], [
		name(1, 0, "process_name", { name: "guest kernel · vm" }),
		name(1, 0, "process_sort_index", { sort_index: 2 }),
		name(1, 2, "thread_name", { name: "vCPU 1" }),
		name(1, 2, "thread_sort_index", { sort_index: 1 }),
		{ ph: "B", pid: 1, tid: 2, name: "fio", ts: 0, args: { next_comm: "fio", next_tid: 4 } },
		{
			...{ ph: "b", pid: 1, tid: 2, name: "block write", ts: 1, cat: "Block requests", id: "0x1" },
			args: { dev: 1, sector: 8, rwbs: 1 },
		},
		name(2, 0, "process_name", { name: "QEMU · vm" }),
		name(2, 0, "process_sort_index", { sort_index: 1 }),
		name(2, 1, "thread_name", { name: "on host CPU 0" }),
		name(2, 1, "thread_sort_index", { sort_index: 0 }),
		{ ph: "i", s: "t", pid: 2, tid: 1, name: "virtio_notify", ts: 1.5, args: { vdev: "0x55" } },
		name(1, 1, "thread_name", { name: "vCPU 0" }),
		name(1, 1, "thread_sort_index", { sort_index: 0 }),
		{
			...{ ph: "e", pid: 1, tid: 2, name: "block write", ts: 2.001, cat: "Block requests", id: "0x1" },
			args: { dev: 1, sector: 8, error: 0 },
		},
		{ ph: "E", pid: 1, tid: 2, name: "fio", ts: 2.001 },
	]);
	t.deepEqual(otherData, {
		tool: "tracelab",
		stack: "quickstart",
		run: "block-io-1",
		profile: "block-io",
		command: "fio --name=randread --filename=/dev/vda --rw=randrw --bs=4k --runtime=3 --iodepth=8",
		started: "2026-11-25T11:35:56.000Z",
		lab: { "to cite": "lab quickstart sha256:5b0e" },
		host: { tracelab: "0.1.0, commit 9c010146f0aa, edited", LTTng: "2.13.9", kernel: "6.1.0-40-amd64" },
		domains: {
			vm: {
				process: "quickstart-vm (32220)",
				acceleration: "tcg: the host's CPU has no vmx or svm flag",
				QEMU: "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18), /opt/tracelab/qemu/39d9afdc3ecde393/bin/qemu-system-x86_64",
				kernel: "6.1.192",
				"kernel's build-id": "8f3c1de0a7c64b1f99d1b51d7e0b6a83f2f9a3c1",
				"module mymodule": "/opt/tracelab/module/7348dbb120c7fcdf/mymodule.ko",
			},
		},
	});
});

test("a run without events is an empty document", async (t) => {
	t.deepEqual((await exported([])).traceEvents, []);
});

test("names are JSON, whatever they are", async (t) => {
	const evil = '"\\\n</script>\u2028🐧';
	const { traceEvents } = await exported([event(0, "guest", evil, { [evil]: evil })]);
	t.deepEqual(traceEvents.at(-1), { ph: "i", s: "t", pid: 1, tid: 1, name: evil, ts: 0, args: { [evil]: evil } });
});
