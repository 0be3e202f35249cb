import test from "ava";
import { aggregate } from "../../report/aggregate.ts";
import type { PageData } from "../../report/page-data.ts";
import { event, stream, syntheticRun } from "./synthetic-run.ts";

/** A block request of a guest on CPU 0 that QEMU serves on the host's CPU 1. */
const request = (start: number, sector: number, [toQemu, inQemu, back]: readonly [number, number, number]) => [
	event(start, "guest", "block_rq_issue", { dev: 1, sector, rwbs: 4 }),
	event(start + toQemu, "qemu", "qemu:virtio_blk_handle_read", { req: sector, sector }, 1),
	event(start + toQemu + inQemu, "qemu", "qemu:virtio_blk_req_complete", { req: sector, status: 0 }, 1),
	event(start + toQemu + inQemu + back, "guest", "block_rq_complete", { dev: 1, sector, error: 0, rwbs: 4 }),
];

/** Items as the page shows them. */
function items({ items, lanes }: Pick<PageData, "items" | "lanes">) {
	let start = 0;
	return items.starts.map((step, index) => {
		start += step;
		const lane = lanes[items.lanes[index] ?? -1];
		const kind = items.kinds[items.kindOf[index] ?? -1];
		const duration = items.durations[index] ?? -1;
		const fields = (kind?.fields ?? []).map((field, at) => `${field}=${items.values[index]?.[at]}`);
		const name = `${items.texts[items.labels[index] ?? -1]} [${kind?.name}]`;
		const times = `${start}${duration < 0 ? "" : `+${duration}`}`;
		return `${lane?.source}, ${lane?.label}/${items.rows[index]}: ${times} ${name} ${fields.join(" ")}`.trim();
	});
}

test("times count from the first event, whatever the base", async (t) => {
	const events = [
		event(5_000_000, "host", "sched_wakeup"),
		event(5_000_250, "guest", "timer_start", { timer: 2n ** 63n }),
	];
	const { origin, page, total } = await aggregate(stream(events));
	t.deepEqual([origin, page.length, total], [5_000_000, 250, 2]);
	t.deepEqual(items(page), [
		"host kernel, CPU 0/0: 0 sched_wakeup [sched_wakeup]",
		"guest kernel · vm, CPU 0/0: 250 timer_start [timer_start] timer=0x8000000000000000",
	]);
});

test("requests are slices of a lane of their own, and their way is measured through the layers", async (t) => {
	const events = [...request(1000, 8, [20, 100, 30]), ...request(2000, 16, [40, 300, 60])];
	const { latencies, paths, page } = await aggregate(stream(events));
	t.deepEqual(
		latencies.map(({ title, layer, distribution: { count, median, max }, unmatched, longest }) => [
			...[title, layer, count, median, max, unmatched.beginsAlone, unmatched.endsAlone],
			longest,
		]),
		[
			[
				...["Block requests", "guest", 2, 150, 400, 0, 0],
				[
					{ start: 1000, duration: 400, label: "block read" },
					{ start: 0, duration: 150, label: "block read" },
				],
			],
			[
				...["Block requests", "qemu", 2, 100, 300, 0, 0],
				[
					{ start: 1040, duration: 300, label: "virtio-blk read" },
					{ start: 20, duration: 100, label: "virtio-blk read" },
				],
			],
		],
	);
	t.deepEqual(
		paths.map(({ domain, requests, stages }) => [
			domain,
			requests,
			stages.map(({ title, distribution }) => `${title} ${distribution.mean}`),
		]),
		[["vm", 2, ["guest to QEMU 30", "in QEMU 200", "QEMU to guest 45"]]],
	);
	t.deepEqual(items(page), [
		"guest kernel · vm, Block requests/0: 0+150 block read [block_rq_issue → block_rq_complete] dev=1 sector=8 rwbs=4 error=0",
		"QEMU · vm, Block requests/0: 20+100 virtio-blk read [qemu:virtio_blk_handle_read → qemu:virtio_blk_req_complete] req=8 sector=8 status=0",
		"guest kernel · vm, Block requests/0: 1000+400 block read [block_rq_issue → block_rq_complete] dev=1 sector=16 rwbs=4 error=0",
		"QEMU · vm, Block requests/0: 1040+300 virtio-blk read [qemu:virtio_blk_handle_read → qemu:virtio_blk_req_complete] req=16 sector=16 status=0",
	]);
});

test("a request of QEMU that is not within the guest's is no part of its way", async (t) => {
	const outside = [
		event(0, "qemu", "qemu:virtio_blk_handle_read", { req: 1, sector: 8 }),
		event(10, "guest", "block_rq_issue", { dev: 1, sector: 8, rwbs: 4 }),
		event(20, "qemu", "qemu:virtio_blk_req_complete", { req: 1 }),
		event(30, "guest", "block_rq_complete", { dev: 1, sector: 8, rwbs: 4 }),
	];
	t.deepEqual((await aggregate(stream(outside))).paths, []);
});

test("slices on one CPU lie in rows, the outer one above; overlapping requests side by side", async (t) => {
	const { page } = await aggregate(
		stream([
			event(0, "guest", "sched_switch", { next_comm: "fio", next_tid: 4 }),
			event(10, "guest", "irq_handler_entry", { irq: 3 }),
			event(12, "guest", "block_rq_issue", { dev: 1, sector: 8, rwbs: 1 }),
			event(14, "guest", "block_rq_issue", { dev: 1, sector: 9, rwbs: 1 }),
			event(20, "guest", "irq_handler_exit", { irq: 3, ret: 1 }),
			event(25, "guest", "block_rq_complete", { dev: 1, sector: 8, rwbs: 1 }),
			event(30, "guest", "block_rq_complete", { dev: 1, sector: 9, rwbs: 1 }),
			event(50, "guest", "timer_start"),
		]),
	);
	const block = "[block_rq_issue → block_rq_complete] dev=1";
	t.deepEqual(items(page), [
		// It runs on when the trace ends.
		"guest kernel · vm, CPU 0/0: 0+50 fio [sched_switch] next_comm=fio next_tid=4",
		"guest kernel · vm, CPU 0/1: 10+10 irq 3 [irq_handler_entry → irq_handler_exit] irq=3 ret=1",
		`guest kernel · vm, Block requests/0: 12+13 block write ${block} sector=8 rwbs=1`,
		`guest kernel · vm, Block requests/1: 14+16 block write ${block} sector=9 rwbs=1`,
		"guest kernel · vm, CPU 0/0: 50 timer_start [timer_start]",
	]);
	t.deepEqual(
		page.lanes.map(({ label, depth }) => [label, depth]),
		[
			["CPU 0", 2],
			["Block requests", 2],
		],
	);
});

test("a begin whose end was not seen is an event, and no latency", async (t) => {
	const { page, latencies } = await aggregate(
		stream([event(0, "guest", "block_rq_issue", { dev: 1, sector: 8 }), event(9, "guest", "timer_start")]),
	);
	t.deepEqual(items(page), [
		"guest kernel · vm, CPU 0/0: 0 block_rq_issue [block_rq_issue] dev=1 sector=8",
		"guest kernel · vm, CPU 0/0: 9 timer_start [timer_start]",
	]);
	t.deepEqual(latencies, []);
});

test("device accesses have pauses, by vCPU, and the lab's own beacons are none", async (t) => {
	const access = (time: number, cpu_index: number, addr: number) =>
		event(time, "qemu", "qemu:memory_region_ops_write", { cpu_index, addr });
	const events = [
		access(0, 0, 0x3f8),
		access(4, 1, 0x3f8),
		access(5, 0, 0xa20),
		access(10, 0, 0x3f8),
		access(34, 1, 8),
	];
	const { latencies } = await aggregate(stream(events));
	t.deepEqual(
		latencies.map(({ title, distribution: { count, min, max } }) => [title, count, min, max]),
		[["Pauses between device accesses", 2, 10, 30]],
	);
});

test("events are counted by layer and name, the most frequent first", async (t) => {
	const times = (count: number, name: string, layer: "guest" | "qemu") =>
		Array.from({ length: count }, (_, index) => event(index, layer, name));
	const { events, bySource, total } = await aggregate(
		stream([...times(2, "b", "guest"), ...times(3, "c", "qemu"), ...times(2, "a", "guest")]),
	);
	t.is(total, 7);
	t.deepEqual(
		events.map(({ layer, name, count }) => `${layer} ${name} ${count}`),
		["qemu c 3", "guest a 2", "guest b 2"],
	);
	t.deepEqual(bySource, [
		{ layer: "qemu", domain: "vm", count: 3 },
		{ layer: "guest", domain: "vm", count: 4 },
	]);
});

test("beyond the limit, marks are fewer and numbers are not", async (t) => {
	const events = syntheticRun(6_000);
	const [all, few] = [await aggregate(stream(events)), await aggregate(stream(events), 300)];
	t.is(few.total, all.total);
	t.deepEqual(few.latencies, all.latencies);
	t.deepEqual(few.page.rates, all.page.rates);
	t.true(few.drawn <= 300 + 25, `${few.drawn} drawn`);
	t.true(few.events.some(({ every }) => every > 1));
	// What the page leads to is drawn.
	const [longest] = few.latencies[0]?.longest ?? [];
	t.true(items(few.page).some((text) => text.includes(`: ${longest?.start}+${longest?.duration} ${longest?.label} `)));
});

test("an empty run has an empty report", async (t) => {
	const { total, page, events } = await aggregate(stream([]));
	t.deepEqual([total, page.length, page.lanes, events], [0, 0, [], []]);
});
