import test from "ava";
import { DiskRequests, type OrderedEvent } from "../../spec/causality.ts";

type Seen = readonly [time: number, layer: "qemu" | "guest", name: string, fields: OrderedEvent["fields"]];

function seen(...events: readonly Seen[]) {
	const requests = new DiskRequests();
	for (const [time, layer, name, fields] of events)
		requests.see({ time, bound: layer === "guest" ? 5 : 0, layer, domain: "vm", name, fields });
	const { checks, unpaired } = requests.result();
	return { unpaired, checks: checks.map(({ order: _, ...found }) => found) };
}

const [read, write] = [36, 97];
const issue = (time: number, sector: number, rwbs = read): Seen => [
	...([time, "guest", "block_rq_issue"] as const),
	{ dev: 1, sector, nr_sector: 8, bytes: 4096, rwbs },
];
const complete = (time: number, sector: number, rwbs = read): Seen => [
	...([time, "guest", "block_rq_complete"] as const),
	{ dev: 1, sector, nr_sector: 8, error: 0, rwbs },
];
const handle = (time: number, sector: number, req: number, kind = "read"): Seen => [
	...([time, "qemu", `qemu:virtio_blk_handle_${kind}`] as const),
	{ req, sector, nsectors: 8 },
];
const done = (time: number, req: number): Seen => [time, "qemu", "qemu:virtio_blk_req_complete", { req, status: 0 }];

test("a request that goes down and comes up in order", (t) => {
	t.deepEqual(seen(issue(10, 64), handle(30, 64, 1), done(90, 1), complete(100, 64)), {
		unpaired: 0,
		checks: [
			{ pairs: 1, violations: 0, contradictions: 0, least: 20, median: 20 },
			{ pairs: 1, violations: 0, contradictions: 0, least: 10, median: 10 },
		],
	});
});

test("of equal requests under way at once, each that is seen was done before", (t) => {
	const down = [issue(10, 64), issue(12, 64), handle(30, 64, 1), handle(33, 64, 2)];
	const up = [done(50, 1), complete(60, 64), done(400, 2), complete(420, 64)];
	t.deepEqual(seen(...down, ...up), {
		unpaired: 0,
		checks: [
			{ pairs: 2, violations: 0, contradictions: 0, least: 20, median: 21 },
			{ pairs: 2, violations: 0, contradictions: 0, least: 10, median: 20 },
		],
	});
});

test("an effect before its cause is counted, with its size", (t) => {
	const { checks } = seen(handle(7, 64, 1), issue(10, 64), complete(80.4, 64), done(90, 1));
	t.deepEqual(checks, [
		{ pairs: 1, violations: 1, contradictions: 0, least: -3, median: -3 },
		{ pairs: 1, violations: 1, contradictions: 1, least: -10, median: -10 },
	]);
});

test("requests to one place are told apart by their order, addresses of QEMU's are used again, and writes are no reads", (t) => {
	const { checks, unpaired } = seen(
		...[issue(10, 64), handle(20, 64, 1), done(30, 1), complete(50, 64)],
		...[issue(60, 64, write), handle(61, 64, 1, "write"), done(70, 1), complete(75, 64, write)],
		...[issue(110, 64), handle(140, 64, 2), issue(141, 8), handle(150, 8, 1)],
		...[done(160, 1), done(170, 2), complete(172, 8), complete(200, 64)],
	);
	t.is(unpaired, 0);
	t.deepEqual(checks[0], { pairs: 4, violations: 0, contradictions: 0, least: 1, median: 10 });
	t.deepEqual(checks[1], { pairs: 4, violations: 0, contradictions: 0, least: 5, median: 20 });
});

test("what has no other side, or more of it on one side, is not compared", (t) => {
	const { checks, unpaired } = seen(
		// Before and after the guest was traced.
		...[handle(1, 1, 9), done(2, 9), handle(500, 1, 9), done(510, 9)],
		...[issue(10, 64), handle(20, 64, 1), done(30, 1), complete(50, 64)],
		...[issue(60, 65), complete(70, 65)],
		...[handle(62, 66, 2), done(63, 2), handle(64, 66, 2), done(65, 2), issue(66, 66), complete(67, 66)],
		// Not over when the tracing ended.
		...[issue(80, 67), handle(81, 67, 3)],
	);
	t.is(checks[0]?.pairs, 1);
	t.is(unpaired, 3);
});

test("nothing seen is nothing checked", (t) => {
	t.deepEqual(seen(), {
		unpaired: 0,
		checks: [
			{ pairs: 0, violations: 0, contradictions: 0, least: undefined, median: undefined },
			{ pairs: 0, violations: 0, contradictions: 0, least: undefined, median: undefined },
		],
	});
});
