import type { Fields } from "./ctf-line.ts";
import type { Layer } from "./profile.ts";
import { requestKind } from "./rwbs.ts";

/** An event of one of a run's layers, on the host's clock. */
export interface OrderedEvent {
	/** Nanoseconds since the run's base. */
	readonly time: number;
	/** By how much that may be off: 0 for what the host's own clock timed, and unknown outside what a fit covers. */
	readonly bound: number;
	readonly layer: Layer;
	/** The domain that it is of, as far as that is known. */
	readonly domain: string | undefined;
	readonly name: string;
	readonly fields: Fields;
}

/** What cannot be otherwise, and how often it seems so. */
export interface CausalityCheck {
	/** The order that holds, in words. */
	readonly order: string;
	/** How many pairs of events were compared. */
	readonly pairs: number;
	/** In how many of them the effect seems to come first. */
	readonly violations: number;
	/** In how many of these by more than the bound of their time: the bound is false there. */
	readonly contradictions: number;
	/** The least time from cause to effect, in nanoseconds: below zero where the order is violated. */
	readonly least: number | undefined;
	readonly median: number | undefined;
	/** Why nothing was compared, where that is known. */
	readonly absent?: string;
}

export interface Causality {
	readonly checks: readonly CausalityCheck[];
	/** Requests and interrupts that were seen on one side only, or of which it is not clear which is which. */
	readonly unpaired: number;
}

/** A request of a disk: from its issue to its completion, on one side. */
interface Request {
	begin: Instant;
	end?: Instant;
}

export type Instant = Pick<OrderedEvent, "time" | "bound">;

/** Requests to the same place, in their order. */
type Requests = Map<string, Request[]>;

/**
 * Follows the requests of virtio disks through both sides. The guest issues a request before it rings the doorbell, and
 * QEMU handles it behind that; QEMU completes it before it puts it into the ring of those that are done, and the guest
 * completes it once it has seen it there. So either order holds for each request, whoever handles the doorbell.
 */
export class DiskRequests {
	readonly #guest: Requests = new Map();
	readonly #qemu: Requests = new Map();
	/** When the guests were traced: what QEMU did before and after has no other side. */
	#from = Number.POSITIVE_INFINITY;
	#to = Number.NEGATIVE_INFINITY;
	/** QEMU's requests under way, by domain and address. */
	readonly #handled = new Map<string, Request>();
	readonly #absent: string | undefined;

	/** @param absent why they cannot be compared, where that is known beforehand */
	constructor(absent?: string) {
		this.#absent = absent;
	}

	/** Hears of an event; the events of a layer come in their order. */
	see(event: OrderedEvent): void {
		if (this.#absent !== undefined) return;
		if (event.layer === "guest") this.#seeGuest(event);
		else if (event.layer === "qemu" && event.name.startsWith("qemu:virtio_blk_")) this.#seeQemu(event);
	}

	#seeGuest(event: OrderedEvent): void {
		this.#from = Math.min(this.#from, event.time);
		this.#to = Math.max(this.#to, event.time);
		const issued = event.name === "block_rq_issue";
		if (!issued && event.name !== "block_rq_complete") return;
		const { sector, nr_sector: sectors, rwbs } = event.fields;
		const key = keyOf(event, requestKind(rwbs) === "write", sector, sectors);
		if (issued) add(this.#guest, key, { begin: instant(event) });
		else
			finish(
				this.#guest.get(key)?.findLast(({ end }) => end === undefined),
				event,
			);
	}

	#seeQemu(event: OrderedEvent): void {
		const write = event.name === "qemu:virtio_blk_handle_write";
		const { req, sector, nsectors } = event.fields;
		const address = `${event.domain} ${req}`;
		if (write || event.name === "qemu:virtio_blk_handle_read") {
			const request = { begin: instant(event) };
			this.#handled.set(address, request);
			add(this.#qemu, keyOf(event, write, sector, nsectors), request);
		} else if (event.name === "qemu:virtio_blk_req_complete") {
			finish(this.#handled.get(address), event);
			this.#handled.delete(address);
		}
	}

	result(): Causality {
		const [down, up]: [Lead[], Lead[]] = [[], []];
		let unpaired = 0;
		for (const key of new Set([...this.#guest.keys(), ...this.#qemu.keys()])) {
			const guest = whole(this.#guest.get(key));
			const qemu = whole(this.#qemu.get(key)).filter(
				({ begin, end }) => end.time >= this.#from && begin.time <= this.#to,
			);
			if (guest.length !== qemu.length) unpaired += Math.max(guest.length, qemu.length);
			else {
				// Of equal ones under way at once, nothing says which ends are whose; but as many as are seen were done before.
				const [done, seen] = [endsOf(qemu), endsOf(guest)];
				for (const [index, { begin }] of guest.entries()) {
					const [handled, cause, effect] = [qemu[index], done[index], seen[index]];
					if (handled === undefined || cause === undefined || effect === undefined) continue;
					down.push(leadOf(begin, handled.begin));
					up.push(leadOf(cause, effect));
				}
			}
		}
		const checks = [
			check(
				"the guest issues a request (block_rq_issue), then QEMU handles it (virtio_blk_handle_read, …_write)",
				down,
			),
			check("QEMU completes a request (virtio_blk_req_complete), then the guest sees it (block_rq_complete)", up),
		];
		const absent = this.#absent;
		return { checks: absent === undefined ? checks : checks.map((one) => ({ ...one, absent })), unpaired };
	}
}

/** No more of an event than is needed: a run has millions. */
export const instant = ({ time, bound }: OrderedEvent): Instant => ({ time, bound });

/** The time from a cause to its effect, and by how much it may be off. */
export interface Lead {
	time: number;
	bound: number;
}

export const leadOf = (cause: Instant, effect: Instant): Lead => ({
	time: effect.time - cause.time,
	bound: cause.bound + effect.bound,
});

/** The requests whose end was seen. */
function whole(requests: readonly Request[] = []): Required<Request>[] {
	return requests.flatMap(({ begin, end }) => (end === undefined ? [] : [{ begin, end }]));
}

const endsOf = (requests: readonly Required<Request>[]): Instant[] =>
	requests.map(({ end }) => end).sort((one, two) => one.time - two.time);

export function check(order: string, leads: readonly Lead[]): CausalityCheck {
	const times = leads.map(({ time }) => time).sort((one, two) => one - two);
	return {
		order,
		pairs: leads.length,
		violations: times.filter((time) => time < 0).length,
		contradictions: leads.filter(({ time, bound }) => time < -bound).length,
		least: rounded(times[0]),
		median: rounded(times[Math.floor(times.length / 2)]),
	};
}

const rounded = (time: number | undefined): number | undefined => (time === undefined ? undefined : Math.round(time));

function keyOf({ domain }: OrderedEvent, write: boolean, sector: unknown, sectors: unknown): string {
	return `${domain} ${write} ${sector} ${sectors}`;
}

function add(requests: Requests, key: string, request: Request): void {
	const there = requests.get(key);
	if (there === undefined) requests.set(key, [request]);
	else there.push(request);
}

function finish(request: Request | undefined, event: OrderedEvent): void {
	if (request !== undefined) request.end = instant(event);
}
