import { z } from "zod";
import type { ClockFit } from "./clock-fit.ts";

/** Nanoseconds of a clock: more than a JSON number holds. */
const nanoseconds = z.string().regex(/^-?\d+$/);

const piece = z.object({
	from: z.number(),
	to: z.number(),
	offset: z.number(),
	drift: z.number(),
	bound: z.number(),
	pairs: z.number().int(),
	change: z.object({ step: z.number(), stepBound: z.number(), drift: z.number(), cause: z.string() }).exactOptional(),
});

/** How a guest's clock was put beside the host's. */
export const clockMethods = ["in-band beacon", "guest agent"] as const;

const guest = z.object({
	/** Pairs of beacons, or, where QEMU's trace has none, exchanges with the guest's agent: some thousand times wider. */
	method: z.enum(clockMethods),
	/** The guest's clocksource, where it was asked for. */
	clocksource: z.string().exactOptional(),
	/** The instant that the pieces are relative to, as both clocks' CLOCK_MONOTONIC. */
	reference: z.object({ guest: nanoseconds, host: nanoseconds }),
	/** Lines of the host's clock over the guest's: spec/clock-map.ts. */
	pieces: z.array(piece).min(1),
	/** By how many nanoseconds an event of the guest is off, at most, on the host's clock. */
	bound: z.number(),
	residuals: z.object({ median: z.number(), max: z.number() }),
	pairs: z.number().int(),
	/** Beacons without a partner. */
	unmatched: z.object({ guest: z.number().int(), host: z.number().int() }),
});

const trace = z.object({
	/** Folder of the trace, relative to the run's. */
	trace: z.string(),
	/** CLOCK_REALTIME less CLOCK_MONOTONIC as the metadata has it. */
	offset: nanoseconds,
	/** The system's own afterwards, and by how many nanoseconds the trace's differs from it. */
	system: nanoseconds.exactOptional(),
	difference: z.number().exactOptional(),
});

/** A run's clock.json: what puts the layers of its traces on one clock. */
export const clockRecordSchema = z.object({
	/** The host's clocksource. */
	clocksource: z.string(),
	guests: z.record(z.string(), guest),
	traces: z.array(trace),
});

export type ClockRecord = z.infer<typeof clockRecordSchema>;
export type GuestClock = ClockRecord["guests"][string];

/** A fit as clock.json has it. */
export function fitRecord({ reference, pieces, bound, residuals, pairs }: ClockFit) {
	return {
		reference: { guest: String(reference.guest), host: String(reference.host) },
		pieces: [...pieces],
		bound,
		residuals,
		pairs,
	};
}

/**
 * In which steps a clock advances, in nanoseconds, by the clocksource that it runs on: QEMU's HPET counts 10 ns, Hyper-V's clocks
 * count 100, the ACPI timer has 3.579545 MHz, and jiffies are a timer interrupt's.
 */
const granules: Readonly<Record<string, number>> = {
	...{ tsc: 1, "tsc-early": 1, "kvm-clock": 1, xen: 1, hpet: 10 },
	...{ hyperv_clocksource_tsc_page: 100, hyperv_clocksource_msr: 100 },
	...{ acpi_pm: 280, "refined-jiffies": 1e7, jiffies: 1e7 },
};

/** Where that is not known, as when a run was not ended, it is the ACPI timer's: a kernel takes jiffies only where it has nothing else. */
export const granuleOf = (clocksource = ""): number => granules[clocksource] ?? 280;

/** The offset is measured by reading two clocks in turn, and only a set wall clock changes it: NTP slews both alike. */
export const offsetTolerance = 1_000_000;

/** The limits on a bound, in nanoseconds, where nobody gives another: beacons take microseconds, the agent milliseconds. */
export const defaultBounds: Readonly<Record<(typeof clockMethods)[number], number>> = {
	"in-band beacon": 20_000,
	"guest agent": 100_000_000,
};
