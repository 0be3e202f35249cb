import type { Layer, TraceEvent } from "../../report/event.ts";
import type { RunFacts } from "../../report/facts.ts";
import type { Fields } from "../../spec/ctf-line.ts";

/** An event of a test; without a domain, those of the host's kernel have none, and others are of vm. */
export function event(
	time: number,
	layer: Layer,
	name: string,
	fields: Fields = {},
	cpu = 0,
	domain: string | undefined = layer === "host" ? undefined : "vm",
): TraceEvent {
	return { time, layer, domain, cpu, name, fields };
}

export async function* stream(events: Iterable<TraceEvent>): AsyncGenerator<TraceEvent> {
	yield* events;
}

/** Numbers that look random, and are the same each time. */
function random(seed: number): () => number {
	let state = seed;
	return () => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		return state / 2 ** 32;
	};
}

/**
 * A run as a lab under TCG has it: a guest of two CPUs that reads its disk in bursts, QEMU that serves it. As many
 * events as asked for, more or less, in the order of their times.
 */
export function syntheticRun(count = 12_000): TraceEvent[] {
	const next = random(4);
	const spread = (median: number) => median * Math.exp((next() + next() + next() - 1.5) * 1.4);
	const events: TraceEvent[] = [];
	const tasks = ["swapper/0", "fio", "kworker/0:1H", "fio", "jbd2/vda-8", "fio"];
	const busy = [0, 0];
	let time = 0;
	let sector = 262_144;
	for (let request = 0; events.length < count; request++) {
		const burst = request % 400 < 300;
		time += spread(burst ? 180_000 : 2_400_000);
		const cpu = next() < 0.6 ? 0 : 1;
		const kind = next() < 0.7 ? "read" : "write";
		sector += next() < 0.8 ? 8 : Math.floor(next() * 100_000) * 8;
		const req = `0x${(0x558c_a9c2_0000 + (request % 64) * 0x60).toString(16).toUpperCase()}`;
		const dev = 266_338_304;
		const comm = tasks[request % tasks.length] ?? "fio";
		const at = (after: number, layer: Layer, name: string, fields: Fields, on = cpu) =>
			events.push(event(time + after, layer, name, fields, on));
		const [toQemu, inQemu, back] = [spread(21_000), spread(kind === "read" ? 95_000 : 240_000), spread(34_000)];
		const served = toQemu + inQemu;
		const done = served + back;
		const rwbs = kind === "read" ? 4 : 1;
		at(0, "guest", "block_rq_issue", { dev, sector, nr_sector: 8, bytes: 4096, tid: 400 + (request % 5), rwbs, comm });
		at(toQemu * 0.7, "qemu", "qemu:memory_region_ops_write", {
			cpu_index: cpu,
			mr: "0x558CA9D92400",
			addr: "0xFEBD5000",
			value: 0,
			size: 2,
			name: "virtio-pci-notify",
		});
		at(toQemu * 0.9, "qemu", "qemu:virtio_queue_notify", { vdev: "0x558CAAB0E8C0", n: 0, vq: "0x7F95A0330270" });
		at(toQemu, "qemu", `qemu:virtio_blk_handle_${kind}`, { vdev: "0x558CAAB0E8C0", req, sector, nsectors: 8 });
		at(served, "qemu", "qemu:virtio_blk_req_complete", { vdev: "0x558CAAB0E8C0", req, status: 0 }, 1 - cpu);
		at(served + 2_000, "qemu", "qemu:virtio_notify", { vdev: "0x558CAAB0E8C0", vq: "0x7F95A0330270" }, 1 - cpu);
		at(done, "guest", "block_rq_complete", { dev, sector, nr_sector: 8, error: 0, rwbs }, 0);
		// One CPU does one thing after another.
		const from = Math.max(busy[0] ?? 0, time + done - spread(9_000));
		const handler = spread(5_200);
		const soft = spread(12_000);
		const onZero = (to: number, name: string, fields: Fields) => events.push(event(to, "guest", name, fields, 0));
		onZero(from, "irq_handler_entry", { irq: 29, name: "virtio2-req.0" });
		onZero(from + handler, "irq_handler_exit", { irq: 29, ret: 1 });
		onZero(from + handler + 700, "irq_softirq_entry", { vec: 4 });
		onZero(from + handler + 700 + soft, "irq_softirq_exit", { vec: 4 });
		busy[0] = from + handler + soft + 2_000;
		const slot = Math.max(busy[1] ?? 0, time);
		const switches = { prev_comm: "swapper/1", prev_tid: 0, prev_prio: 20, prev_state: 0 };
		const task =
			request % 3 === 0 ? { next_comm: "swapper/1", next_tid: 0 } : { next_comm: comm, next_tid: 400 + (request % 5) };
		events.push(event(slot, "guest", "sched_switch", { ...switches, ...task, next_prio: 20 }, 1));
		busy[1] = slot + 1_000;
		if (request % 2 === 0) {
			onZero(busy[0] ?? 0, "sched_switch", {
				prev_comm: comm,
				prev_tid: 400,
				prev_prio: 20,
				prev_state: 1,
				next_comm: request % 4 === 0 ? "fio" : "swapper/0",
				next_tid: request % 4 === 0 ? 402 : 0,
				next_prio: 20,
			});
			busy[0] = (busy[0] ?? 0) + 1_000;
		}
	}
	return events.sort((a, b) => a.time - b.time);
}

/** What that run says about itself. */
export function syntheticFacts(changes: Partial<RunFacts> = {}): RunFacts {
	const next = random(11);
	const points = Array.from(
		{ length: 240 },
		(_, index) => [index * 14_000_000, Math.round((next() + next() - 1) * 700)] as const,
	);
	return {
		stack: "quickstart",
		run: "block-io-1",
		profile: "block-io",
		command: "fio --name=randread --filename=/dev/vda --rw=randrw --bs=4k --runtime=3 --iodepth=8",
		exitStatus: 0,
		started: "2026-11-25T11:35:56.000Z",
		seconds: 3.42,
		notes: [],
		lab: [["to cite", "lab quickstart sha256:5b0e"]],
		host: [
			["tracelab", "0.1.0, commit 9c010146f0aa, edited"],
			["LTTng", "2.13.9"],
			["kernel", "6.1.0-40-amd64"],
		],
		domains: [
			{
				name: "vm",
				facts: [
					["process", "quickstart-vm (32220)"],
					["acceleration", "tcg: the host's CPU has no vmx or svm flag"],
					["QEMU", "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18), /opt/tracelab/qemu/39d9afdc3ecde393/bin/qemu-system-x86_64"],
					["kernel", "6.1.192"],
					["kernel's build-id", "8f3c1de0a7c64b1f99d1b51d7e0b6a83f2f9a3c1"],
					["module mymodule", "/opt/tracelab/module/7348dbb120c7fcdf/mymodule.ko"],
				],
			},
		],
		layers: [
			{
				layer: "host",
				domain: undefined,
				discarded: 0,
				lostPackets: 0,
				bytes: 0,
				absent: "this host has no tracefs and no lttng-modules",
			},
			{ layer: "qemu", domain: "vm", discarded: 0, lostPackets: 0, bytes: 512_000 },
			{ layer: "guest", domain: "vm", discarded: 0, lostPackets: 0, bytes: 834_112 },
		],
		clocks: [
			{
				domain: "vm",
				method: "the guest writes to a port between two readings of its clock, and QEMU records the write",
				pairs: points.length,
				bound: 1_040,
				pieces: [{ from: 0, to: 3_360_000_000, offset: 812_345_678_901, drift: -9.61, bound: 1_040 }],
				residuals: { median: 195, max: 745 },
				points,
			},
		],
		causality: [
			{
				order: "the guest issues a request (block_rq_issue), then QEMU handles it (virtio_blk_handle_read, …_write)",
				pairs: 684,
				violations: 0,
				contradictions: 0,
				least: 9_812,
				median: 24_501,
			},
			{
				order: "QEMU completes a request (virtio_blk_req_complete), then the guest sees it (block_rq_complete)",
				pairs: 684,
				violations: 0,
				contradictions: 0,
				least: 12_034,
				median: 34_733,
			},
		],
		...changes,
	};
}
