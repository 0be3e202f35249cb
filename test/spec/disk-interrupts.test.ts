import test from "ava";
import type { OrderedEvent } from "../../spec/causality.ts";
import { CausalityWatch } from "../../spec/causality-watch.ts";
import { loadProfile } from "../../spec/load-profile.ts";
import type { Run } from "../../spec/run.ts";
import { runRecord } from "./run-record.ts";

type Seen = readonly [milliseconds: number, layer: "qemu" | "guest", name: string, fields: OrderedEvent["fields"]];

/** What is found in events, to which the guest's clock is known to 5 µs. */
function seen(events: readonly Seen[], { record, bound = 5_000 }: { record?: Run; bound?: number } = {}) {
	const watch = new CausalityWatch(record);
	for (const [time, layer, name, fields] of events)
		watch.see({ time: time * 1e6, bound: layer === "guest" ? bound : 0, layer, domain: "vm", name, fields });
	const { checks, unpaired } = watch.result();
	const { order, ...found } = checks[2] ?? {};
	return { ...found, unpaired };
}

const doorbell = (time: number, queue = 0, vdev = 1): Seen => [
	...([time, "qemu", "qemu:virtio_queue_notify"] as const),
	{ vdev, n: queue, vq: vdev * 100 + queue },
];
const done = (time: number, vdev = 1): Seen => [
	time,
	"qemu",
	"qemu:virtio_blk_req_complete",
	{ vdev, req: 7, status: 0 },
];
const send = (time: number, queue = 0, name = "virtio_notify_irqfd", vdev = 1): Seen => [
	...([time, "qemu", `qemu:${name}`] as const),
	{ vdev, vq: vdev * 100 + queue },
];
const handle = (time: number, name = "virtio2-req.0"): Seen => [time, "guest", "irq_handler_entry", { irq: 29, name }];

/** QEMU's trace begins long before what is compared, and says what its disk and the disk's queues are. */
const begun = [doorbell(0), doorbell(0, 1), done(1)];

const nothing = { pairs: 0, violations: 0, contradictions: 0, least: undefined, median: undefined };

test("an interrupt that is sent and then handled, by either event of QEMU's", (t) => {
	const sent = [send(200), handle(200.3), send(201, 0, "virtio_notify"), handle(201.2), send(202), handle(202.4)];
	t.deepEqual(seen([...begun, ...sent]), {
		...{ pairs: 3, violations: 0, contradictions: 0, least: 200_000, median: 300_000 },
		unpaired: 0,
	});
});

test("one that is handled before it was sent is a violation, and over the bound where it is by more", (t) => {
	const early = [handle(200), send(200.004), handle(201), send(201.009), send(202), handle(202.4)];
	t.deepEqual(seen([...begun, ...early]), {
		...{ pairs: 3, violations: 2, contradictions: 1, least: -9_000, median: -4_000 },
		unpaired: 0,
	});
});

test("several that are sent may be handled as one, also where that one is handled after the next was sent", (t) => {
	const coalesced = [send(200), send(200.1), send(200.2), handle(200.3)];
	const late = [send(400), send(400.1), handle(400.2), handle(400.3)];
	t.like(seen([...begun, ...coalesced, ...late]), { pairs: 3, violations: 0, least: 100_000, unpaired: 0 });
});

test("one that came together with another hides no violation for long", (t) => {
	const coalesced = [send(200), send(200.1), handle(200.3)];
	t.like(seen([...begun, ...coalesced, handle(250), send(250.4)]), { pairs: 2, violations: 0 });
	const later = [send(350), handle(350.3), handle(360), send(360.4)];
	t.like(seen([...begun, ...coalesced, ...later]), { pairs: 3, violations: 1, contradictions: 1, least: -400_000 });
});

/** Milliseconds when a guest handles what is sent: by way of an eventfd and an APIC, each of which holds one at a time. */
function arrivals(sent: readonly number[], random: () => number): number[] {
	const handled: number[] = [];
	let [notified, raised, busy] = [0, 0, 0];
	for (const time of sent) {
		if (time < notified) continue;
		notified = time + random() * 0.3;
		if (notified < raised) continue;
		raised = Math.max(notified + random() * 0.3, busy);
		busy = raised + 0.1;
		handled.push(raised);
	}
	return handled;
}

test("whatever comes together is no violation, and a guest's clock that is behind is one", (t) => {
	let state = 7;
	const random = () => {
		state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
		return state / 2 ** 32;
	};
	for (const pause of [0.05, 0.3, 2, 20]) {
		const sent: number[] = [];
		for (let time = 200; sent.length < 2000; time += random() < 0.3 ? random() * pause : pause) sent.push(time);
		const handled = arrivals(sent, random);
		t.true(handled.length < sent.length, `${pause}`);
		const shifted = (by: number) =>
			[...sent.map((time) => send(time)), ...handled.map((time) => handle(time + by))].sort(
				([one], [two]) => one - two,
			);
		t.like(seen([...begun, ...shifted(0)]), { pairs: handled.length, violations: 0, unpaired: 0 });
		t.true((seen([...begun, ...shifted(-1)]).contradictions ?? 0) > 0, `${pause}`);
	}
});

test("queues are told apart, and devices that are no disk, and the disk's own changes", (t) => {
	const events = [send(200, 1), handle(200.3, "virtio2-req.1"), handle(200.5), send(200.6)];
	const others = [doorbell(200, 0, 2), send(200.4, 0, "virtio_notify", 2), handle(200.45, "virtio0-control_i")];
	const changed = handle(200.46, "virtio2-config");
	const all = [...events, ...others, changed].sort(([one], [two]) => one - two);
	t.like(seen([...begun, ...all]), { pairs: 2, violations: 1, least: -100_000, unpaired: 0 });
});

test("what was sent before QEMU's trace begins, or after it ends, is not missed", (t) => {
	const around = [doorbell(0), done(1), handle(50), send(200), handle(200.3), handle(201)];
	t.deepEqual(seen(around), {
		pairs: 1,
		violations: 0,
		contradictions: 0,
		least: 300_000,
		median: 300_000,
		unpaired: 0,
	});
});

test("an interrupt with none sent anywhere near is not compared", (t) => {
	const alone = [handle(200), send(400), handle(400.3), handle(600), done(800)];
	t.like(seen([...begun, ...alone]), { pairs: 1, violations: 0, unpaired: 2 });
	t.deepEqual(seen([...begun, handle(200), done(800)]), { ...nothing, unpaired: 1 });
});

test("a guest that was stopped has it late, and where its clock is not known it is left out", (t) => {
	const late = [send(200), handle(1800), send(1801), handle(1801.3)];
	t.like(seen([...begun, ...late]), { pairs: 2, violations: 0, least: 300_000 });
	const behindAnother = [send(200), send(1800), handle(1800.3), handle(1800.4), send(1800.5), handle(1800.8)];
	t.like(seen([...begun, ...behindAnother]), { pairs: 3, violations: 0, unpaired: 0, least: 300_000 });
	t.like(seen([...begun, handle(200), send(200.3)], { bound: 1e9 }), { pairs: 0, unpaired: 0 });
});

test("of several disks nobody knows which is which", (t) => {
	const two = { ...nothing, unpaired: 0 };
	const absent = "vm has several disks, and nothing says which of QEMU's is which of the guest's";
	t.deepEqual(seen([...begun, send(200), handle(200.3), handle(201, "virtio3-req.0")]), { ...two, absent });
	t.deepEqual(seen([...begun, done(2, 2), send(200), handle(200.3)]), { ...two, absent });
});

const compared = [...begun, send(200), handle(200.3)];
const asked = { qemu: ["virtio_*"], guest: ["irq_handler_entry"], host: [] };
const layer = { layer: "qemu", path: "qemu", events: {}, total: 1, discarded: 0, lostPackets: 0, bytes: 1 } as const;

test("a run whose record has all of it is compared", (t) => {
	const host = { ...layer, layer: "host", discarded: 9 } as const;
	t.like(seen(compared, { record: runRecord({ asked, layers: [layer, host] }) }), { pairs: 1, absent: undefined });
});

const leftOut = test.macro((t, changes: Partial<Run>, absent: string) => {
	t.deepEqual(seen(compared, { record: runRecord({ asked, ...changes }) }), { ...nothing, absent, unpaired: 0 });
});

for (const name of ["qemu", "guest"] as const) {
	const lost = [{ ...layer, layer: name, discarded: 3, lostPackets: 1 }];
	test(
		`where ${name}'s events were lost, it is not compared`,
		leftOut,
		{ layers: lost },
		"4 events and packets were lost",
	);
}
test(
	"where the run did not record both events, it is not compared",
	leftOut,
	{ asked: { qemu: ["virtio_notify_irqfd", "virtio_queue_notify", "virtio_blk_*"], guest: ["block_*"], host: [] } },
	"the run did not record virtio_notify, irq_handler_entry",
);
test(
	"a flight recorder's parts are not compared",
	leftOut,
	{ mode: "snapshot" },
	"each part of a flight recorder begins at a time of its own",
);

for (const name of ["block-io", "exits-and-interrupts", "everything"]) {
	test(`profile ${name} records what interrupts are compared by`, (t) => {
		const { qemu, guest } = loadProfile(name);
		const asked = { qemu: Object.keys(qemu), guest: Object.keys(guest), host: [] };
		t.like(seen(compared, { record: runRecord({ asked }) }), { pairs: 1, absent: undefined });
	});
}
