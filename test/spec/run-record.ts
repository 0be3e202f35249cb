import type { Run } from "../../spec/run.ts";

/** A run.json as a trace of `vm` leaves it. */
export function runRecord(changes: Partial<Run> = {}): Run {
	return {
		stack: "quickstart",
		run: "one",
		tracelab: "0.1.0",
		profile: "block-io",
		budget: { rate: 4, events: 100_000 },
		asked: { qemu: ["virtio_blk_*"], guest: ["block_rq_*"], host: [] },
		session: "tracelab-quickstart.one",
		mode: "stream",
		started: "2026-11-25T11:35:56.000Z",
		ended: "2026-11-25T11:35:59.250Z",
		monotonic: { started: "900000000000", ended: "903250000000" },
		domains: {},
		lttng: { host: "2.13.9", guests: {} },
		layers: [],
		notes: [],
		...changes,
	};
}
