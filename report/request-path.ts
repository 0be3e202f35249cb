import { type Distribution, Latencies } from "./latencies.ts";
import type { Slice } from "./slices.ts";

/** A part of a block request's way, from the guest's driver to the host and back. */
export interface Stage {
	readonly title: string;
	readonly distribution: Distribution;
}

const titles = ["guest to QEMU", "in QEMU", "QEMU to guest"] as const;

/**
 * Finds the request of QEMU that is inside a guest's: the same sector, within its time. That both layers are on one clock
 * is what makes the two ways between them measurable; they are no more exact than the clock's bound.
 */
export class RequestPath {
	/** QEMU's last request for each sector. */
	readonly #inside = new Map<string, { start: number; end: number }>();
	readonly #stages = new Map<string | undefined, readonly [Latencies, Latencies, Latencies]>();

	add({ rule, begin }: Slice, start: number, end: number): void {
		if (rule.title !== "Block requests" || begin.layer === "host") return;
		const place = `${begin.domain} ${begin.fields["sector"]}`;
		if (begin.layer === "qemu") {
			this.#inside.set(place, { start, end });
			return;
		}
		const inside = this.#inside.get(place);
		if (inside === undefined || inside.start < start || inside.end > end) return;
		let stages = this.#stages.get(begin.domain);
		if (stages === undefined) {
			stages = [new Latencies(), new Latencies(), new Latencies()];
			this.#stages.set(begin.domain, stages);
		}
		stages[0].add(inside.start - start);
		stages[1].add(inside.end - inside.start);
		stages[2].add(end - inside.end);
		this.#inside.delete(place);
	}

	paths(): { domain: string | undefined; requests: number; stages: Stage[] }[] {
		return [...this.#stages]
			.sort(([a = ""], [b = ""]) => (a < b ? -1 : 1))
			.map(([domain, stages]) => ({
				domain,
				requests: stages[0].count,
				stages: stages.flatMap((values, index) => {
					const distribution = values.distribution();
					return distribution === undefined ? [] : [{ title: titles[index] ?? "", distribution }];
				}),
			}));
	}
}
