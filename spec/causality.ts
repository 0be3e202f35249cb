import type { Fields } from "./ctf-line.ts";

/** An event of one of a run's layers, on the host's clock. */
export interface OrderedEvent {
	/** Nanoseconds since the run's base. */
	readonly time: number;
	readonly layer: "qemu" | "guest" | "host";
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
	/** The least time from cause to effect, in nanoseconds: below zero where the order is violated. */
	readonly least: number | undefined;
	readonly median: number | undefined;
}

export interface Causality {
	readonly checks: readonly CausalityCheck[];
	/** Requests that were seen on one side only, or of which it is not clear which is which. */
	readonly unpaired: number;
}

/** A request of a disk: from its issue to its completion, on one side. */
interface Request {
	begin: number;
	end?: number;
}

/** Requests to the same place are told apart by their order: the guest has no two of them under way at once. */
type Requests = Map<string, Request[]>;

/** Bit of a block event's rwbs that says it writes. */
const writes = 1;

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

	/** Hears of an event; the events of a layer come in their order. */
	see(event: OrderedEvent): void {
		if (event.layer === "guest") this.#seeGuest(event);
		else if (event.layer === "qemu" && event.name.startsWith("qemu:virtio_blk_")) this.#seeQemu(event);
	}

	#seeGuest(event: OrderedEvent): void {
		this.#from = Math.min(this.#from, event.time);
		this.#to = Math.max(this.#to, event.time);
		const issued = event.name === "block_rq_issue";
		if (!issued && event.name !== "block_rq_complete") return;
		const { sector, nr_sector: sectors, rwbs } = event.fields;
		const key = keyOf(event, Number(rwbs) & writes, sector, sectors);
		if (issued) add(this.#guest, key, { begin: event.time });
		else
			finish(
				this.#guest.get(key)?.find(({ end }) => end === undefined),
				event.time,
			);
	}

	#seeQemu(event: OrderedEvent): void {
		const write = event.name === "qemu:virtio_blk_handle_write";
		const { req, sector, nsectors } = event.fields;
		const address = `${event.domain} ${req}`;
		if (write || event.name === "qemu:virtio_blk_handle_read") {
			const request = { begin: event.time };
			this.#handled.set(address, request);
			add(this.#qemu, keyOf(event, write ? writes : 0, sector, nsectors), request);
		} else if (event.name === "qemu:virtio_blk_req_complete") {
			finish(this.#handled.get(address), event.time);
			this.#handled.delete(address);
		}
	}

	result(): Causality {
		const [down, up]: [number[], number[]] = [[], []];
		let unpaired = 0;
		for (const key of new Set([...this.#guest.keys(), ...this.#qemu.keys()])) {
			const whole = (requests: Requests) => (requests.get(key) ?? []).filter(({ end }) => end !== undefined);
			const guest = whole(this.#guest);
			const qemu = whole(this.#qemu).filter(({ begin, end = 0 }) => end >= this.#from && begin <= this.#to);
			if (guest.length !== qemu.length) {
				unpaired += Math.max(guest.length, qemu.length);
				continue;
			}
			for (const [index, { begin, end = 0 }] of guest.entries()) {
				const other = qemu[index];
				if (other === undefined) continue;
				down.push(other.begin - begin);
				up.push(end - (other.end ?? 0));
			}
		}
		return {
			checks: [
				check(
					"the guest issues a request (block_rq_issue), then QEMU handles it (virtio_blk_handle_read, …_write)",
					down,
				),
				check("QEMU completes a request (virtio_blk_req_complete), then the guest sees it (block_rq_complete)", up),
			],
			unpaired,
		};
	}
}

function check(order: string, leads: readonly number[]): CausalityCheck {
	const sorted = [...leads].sort((one, two) => one - two);
	return {
		order,
		pairs: leads.length,
		violations: leads.filter((lead) => lead < 0).length,
		least: rounded(sorted[0]),
		median: rounded(sorted[Math.floor(sorted.length / 2)]),
	};
}

const rounded = (time: number | undefined): number | undefined => (time === undefined ? undefined : Math.round(time));

function keyOf({ domain }: OrderedEvent, write: number, sector: unknown, sectors: unknown): string {
	return `${domain} ${write} ${sector} ${sectors}`;
}

function add(requests: Requests, key: string, request: Request): void {
	const there = requests.get(key);
	if (there === undefined) requests.set(key, [request]);
	else there.push(request);
}

function finish(request: Request | undefined, time: number): void {
	if (request !== undefined) request.end = time;
}
