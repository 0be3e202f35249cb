import { type Causality, check, type Instant, instant, type Lead, leadOf, type OrderedEvent } from "./causality.ts";
import { matches } from "./profile.ts";
import type { Run } from "./run.ts";

/** What tells of a disk's interrupts, of its queues' numbers, and which of QEMU's devices is the disk. */
const needed = {
	// Which of the two it is differs by QEMU's version, and by whether the disk has an I/O thread.
	qemu: ["virtio_notify", "virtio_notify_irqfd", "virtio_queue_notify", "virtio_blk_req_complete"],
	guest: ["irq_handler_entry"],
} as const;

/** The order of a disk's interrupts, in words. */
export const interruptOrder =
	"QEMU interrupts the guest for its disk (virtio_notify, …_irqfd), then the guest sees it (irq_handler_entry)";

/** Why a run may not have all that its disks' interrupts are compared by, in a sentence's part; nothing where it has. */
export function unseen(run: Run | undefined): string | undefined {
	if (run === undefined) return undefined;
	const missing = (["qemu", "guest"] as const).flatMap((layer) =>
		needed[layer].filter((name) => !run.asked[layer].some((pattern) => matches(pattern, name))),
	);
	return missing.length > 0 ? `the run did not record ${missing.join(", ")}` : incomplete(run);
}

/**
 * Why an event that a run does not have may have happened all the same, where it may: then what comes next is not the effect of what
 * came last.
 */
export function incomplete(run: Run): string | undefined {
	if (run.mode === "snapshot") return "each part of a flight recorder begins at a time of its own";
	const lost = run.layers
		.filter(({ layer }) => layer !== "host")
		.reduce((sum, { discarded, lostPackets }) => sum + discarded + lostPackets, 0);
	return lost === 0 ? undefined : `${lost} events and packets were lost`;
}

/** Nanoseconds within which an interrupt that was sent arrives, on a busy host as well: without KVM it takes some 0.4 ms. */
const onItsWay = 100_000_000;

/** What was seen of a domain. Queues of QEMU's are named by the addresses of device and queue. */
class Sides {
	/** When QEMU's trace begins and ends: what it sent before and after is not known. */
	from = Number.POSITIVE_INFINITY;
	to = Number.NEGATIVE_INFINITY;
	readonly disks = new Set<unknown>();
	/** QEMU's queues by device and number, as the guest's doorbell has them. */
	readonly queues = new Map<string, string>();
	/** When QEMU interrupted the guest for a queue. */
	readonly sent = new Map<string, Instant[]>();
	/** The guest's names of disks, such as virtio2. */
	readonly names = new Set<string>();
	/** When the guest began to handle an interrupt of its disk, by the queue's number. */
	readonly handled = new Map<string, Instant[]>();
}

/**
 * Compares when QEMU interrupts a guest for a virtio disk with when the guest handles that. Each interrupt was sent
 * before, once; several that are sent may be one that arrives, where the guest has not taken the first one yet. So which
 * is which cannot be told for each, and their count decides: at no time were more handled than sent. One that is sent
 * just before another is handled may be either's, so an interrupt needs none since the one before it.
 *
 * The guest names the interrupts of a disk's queues (virtio2-req.0) where it has one for each (MSI-X); of another kind
 * there is nothing to compare.
 */
export class DiskInterrupts {
	readonly #absent: string | undefined;
	readonly #domains = new Map<string | undefined, Sides>();

	/** @param absent why they cannot be compared, where that is known beforehand */
	constructor(absent?: string) {
		this.#absent = absent;
	}

	/** Hears of an event; the events of a layer come in their order. */
	see(event: OrderedEvent): void {
		if (this.#absent !== undefined) return;
		if (event.layer === "qemu") this.#seeQemu(event);
		else if (event.layer === "guest" && event.name === "irq_handler_entry") this.#seeGuest(event);
	}

	#seeQemu(event: OrderedEvent): void {
		const sides = this.#sidesOf(event);
		sides.from = Math.min(sides.from, event.time);
		sides.to = Math.max(sides.to, event.time);
		if (event.name === "qemu:virtio_blk_req_complete") sides.disks.add(event.fields["vdev"]);
		else if (event.name === "qemu:virtio_queue_notify") {
			const { vdev, vq, n } = event.fields;
			sides.queues.set(`${vdev} ${n}`, `${vdev} ${vq}`);
		} else if (event.name === "qemu:virtio_notify" || event.name === "qemu:virtio_notify_irqfd") {
			const { vdev, vq } = event.fields;
			add(sides.sent, `${vdev} ${vq}`, event);
		}
	}

	#seeGuest(event: OrderedEvent): void {
		// Where a clock stood still, nothing is known of what is on its way.
		if (event.bound > onItsWay) return;
		const [, disk, queue] = /^(virtio\d+)-req\.(\d+)$/.exec(String(event.fields["name"])) ?? [];
		if (disk === undefined || queue === undefined) return;
		const { names, handled } = this.#sidesOf(event);
		names.add(disk);
		add(handled, queue, event);
	}

	#sidesOf({ domain }: OrderedEvent): Sides {
		const known = this.#domains.get(domain);
		if (known !== undefined) return known;
		const sides = new Sides();
		this.#domains.set(domain, sides);
		return sides;
	}

	result(): Causality {
		const found: ReturnType<typeof paired>[] = [];
		let absent = this.#absent;
		for (const [domain, sides] of this.#domains) {
			const { disks, queues, sent, names, handled } = sides;
			if (disks.size > 1 || names.size > 1)
				absent ??= `${domain} has several disks, and nothing says which of QEMU's is which of the guest's`;
			const [disk] = disks;
			for (const [number, effects] of handled) {
				const queue = queues.get(`${disk} ${number}`) ?? "";
				found.push(paired(sent.get(queue) ?? [], effects, sides));
			}
		}
		if (absent !== undefined) return { checks: [{ ...check(interruptOrder, []), absent }], unpaired: 0 };
		return {
			checks: [
				check(
					interruptOrder,
					found.flatMap(({ leads }) => leads),
				),
			],
			unpaired: found.reduce((sum, { unpaired }) => sum + unpaired, 0),
		};
	}
}

/** One that was sent and has no partner yet. */
interface Sent {
	readonly one: Instant;
	/** From when on it has nothing to do with what happens: not before the guest, which may have been stopped, has handled another. */
	expires: number;
}

/**
 * Pairs each interrupt with the last one sent before it that has no other, so that a lead is never too long; and one
 * that has none with the first that is sent behind it. One that was sent and came together with another does not count
 * for long.
 */
function paired(sent: readonly Instant[], handled: readonly Instant[], { from, to }: Sides) {
	const leads: Lead[] = [];
	const open: Sent[] = [];
	const early: Instant[] = [];
	const tooEarly = (now: number) => dropWhile(early, ({ time }) => now - time > onItsWay);
	let unpaired = 0;
	const all = [...sent.map((one) => ({ one, cause: true })), ...handled.map((one) => ({ one, cause: false }))];
	for (const { one, cause } of all.sort((a, b) => a.one.time - b.one.time)) {
		if (cause) {
			dropWhile(open, ({ expires }) => expires < one.time);
			unpaired += tooEarly(one.time);
			const effect = early.shift();
			if (effect === undefined) open.push({ one, expires: Number.POSITIVE_INFINITY });
			else leads.push(leadOf(one, effect));
		} else {
			const last = open.pop();
			if (last !== undefined) leads.push(leadOf(last.one, one));
			else if (one.time - from > onItsWay) early.push(one);
			for (const other of open) other.expires = Math.min(other.expires, one.time + onItsWay);
		}
	}
	return { leads, unpaired: unpaired + tooEarly(to) };
}

/** Drops the first ones of which that holds; returns how many they are. */
function dropWhile<One>(all: One[], holds: (one: One) => boolean): number {
	const first = all.findIndex((one) => !holds(one));
	return all.splice(0, first === -1 ? all.length : first).length;
}

function add(instants: Map<string, Instant[]>, key: string, event: OrderedEvent): void {
	const there = instants.get(key);
	if (there === undefined) instants.set(key, [instant(event)]);
	else there.push(instant(event));
}
