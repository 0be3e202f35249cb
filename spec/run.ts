import { z } from "zod";
import { labHashesSchema } from "./lab-hashes.ts";

/** Nanoseconds of CLOCK_MONOTONIC: more than a JSON number holds. */
const monotonic = z.string().regex(/^\d+$/);

const events = z.array(z.string());

const domain = z.object({
	/** The name libvirt knows it by. */
	libvirtName: z.string(),
	/** Its QEMU: the process, which the context vpid of the events names, and the program. */
	pid: z.number().int(),
	emulator: z.string(),
	/** How its processor ran, and of which builds it was made, by their names in a lock. Runs of before say neither. */
	acceleration: z.enum(["kvm", "tcg"]).exactOptional(),
	builds: z.array(z.string()).exactOptional(),
	/** QEMU's version, and the kernel's release, where they are of the lab's builds. Runs of before say neither. */
	qemuVersion: z.string().exactOptional(),
	kernelRelease: z.string().exactOptional(),
	/** Build-ids of the kernel that the guest ran, and of the lab's modules that it had loaded. */
	kernel: z.string().exactOptional(),
	modules: z.record(z.string(), z.string()),
	/** The guest's clocksource when its clock was first compared with the host's, where it said. */
	clocksource: z.string().exactOptional(),
	/** Which boot of the guest's that was. */
	bootId: z.string().exactOptional(),
});

/** What one layer recorded; `domain` is whose, for a guest. */
const layer = z.object({
	layer: z.enum(["qemu", "guest", "host"]),
	domain: z.string().exactOptional(),
	/** What recorded it, where that was not LTTng. */
	tracer: z.literal("ftrace").exactOptional(),
	/** Folder of its CTF traces, relative to the run's. */
	path: z.string(),
	/** How many there are of each event, by name. */
	events: z.record(z.string(), z.number().int()),
	total: z.number().int(),
	/** What found no room in the buffers, as the tracer counts it: events, or whole packets where a flight recorder goes on. */
	discarded: z.number().int(),
	lostPackets: z.number().int(),
	bytes: z.number().int(),
	/** From its first event to its last. Runs of before do not say. */
	seconds: z.number().exactOptional(),
	/** Why it was not recorded, where it was not. */
	absent: z.string().exactOptional(),
});

/** A run's run.json: what was recorded, of what, and what came of it. */
export const runSchema = z.object({
	stack: z.string(),
	run: z.string(),
	/** Version of tracelab that recorded it. */
	tracelab: z.string(),
	/** The commit of that, where it was a clone. Runs of before say neither this nor the next two. */
	commit: z.string().exactOptional(),
	/** sha256 of its cli/, which records, as it was: no part of a lab's own hash. */
	cli: z.string().exactOptional(),
	/** What the lab was, by its card at that time. Runs of before do not say. */
	lab: labHashesSchema.exactOptional(),
	/** Release of the host's kernel. */
	hostKernel: z.string().exactOptional(),
	profile: z.string(),
	/** Of the session, or of the profile: megabytes and events a second. */
	budget: z.object({ rate: z.number(), events: z.number() }),
	/** What each layer was asked for: names and patterns. */
	asked: z.object({ qemu: events, guest: events, host: events }),
	/** The LTTng session, on the host and in the guests, or ftrace's instance there. */
	session: z.string(),
	/** How it was recorded: all of it, or the last of it. */
	mode: z.enum(["stream", "snapshot"]),
	/** What ran in the first domain's guest, and its exit status. */
	command: z.array(z.string()).exactOptional(),
	exitStatus: z.number().int().exactOptional(),
	started: z.iso.datetime(),
	/** Not there while it is being recorded. */
	ended: z.iso.datetime().exactOptional(),
	/** The same instants on the host's CLOCK_MONOTONIC, in nanoseconds. */
	monotonic: z.object({ started: monotonic, ended: monotonic.exactOptional() }),
	domains: z.record(z.string(), domain),
	/** Versions of LTTng, on the host and in the guests. */
	lttng: z.object({ host: z.string(), guests: z.record(z.string(), z.string()) }),
	layers: z.array(layer),
	/** What LTTng had lost of each guest's events, by its domain, when the run was last rotated. */
	rotated: z
		.record(z.string(), z.object({ discarded: z.number().int(), lostPackets: z.number().int() }))
		.exactOptional(),
	/** What was not recorded, and why, a sentence each. */
	notes: z.array(z.string()),
});

export type Run = z.infer<typeof runSchema>;
export type RunLayer = Run["layers"][number];

/** What a layer is called: `qemu`, `guest vm`. */
export const titleOf = ({ layer, domain }: Pick<RunLayer, "layer" | "domain">): string =>
	domain === undefined ? layer : `${layer} ${domain}`;

/** How long it was recorded; at least a millisecond, to divide by. */
export function secondsOf({ monotonic: { started, ended } }: Run): number {
	const ns = ended === undefined ? 0n : BigInt(ended) - BigInt(started);
	return Math.max(Number(ns) / 1e9, 0.001);
}

/**
 * What a layer's counts are divided by, for what a second had. Parts of a session do not begin at once, and those of a snapshot go
 * back each as far as it does; so it is from the layer's first event to its last, yet no less than the run, or of a snapshot a second.
 */
export function layerSeconds(run: Run, { seconds = 0 }: Pick<RunLayer, "seconds">): number {
	return Math.max(seconds, run.mode === "snapshot" ? 1 : secondsOf(run));
}
