import { type Causality, DiskRequests, type OrderedEvent } from "./causality.ts";
import { DiskInterrupts, incomplete, unseen } from "./disk-interrupts.ts";
import type { Run } from "./run.ts";

/** Checks on all known pairs that no effect comes before its cause. */
export class CausalityWatch {
	readonly #watched: readonly [DiskRequests, DiskInterrupts];

	/** @param run its record, where it has one */
	constructor(run: Run | undefined) {
		this.#watched = [
			new DiskRequests(run === undefined ? undefined : incomplete(run)),
			new DiskInterrupts(unseen(run)),
		];
	}

	/** Hears of an event; the events of a layer come in their order. */
	see(event: OrderedEvent): void {
		for (const watched of this.#watched) watched.see(event);
	}

	result(): Causality {
		const results = this.#watched.map((watched) => watched.result());
		return {
			checks: results.flatMap(({ checks }) => checks),
			unpaired: results.reduce((sum, { unpaired }) => sum + unpaired, 0),
		};
	}
}
