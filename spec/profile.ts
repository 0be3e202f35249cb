import { z } from "zod";
import { budgetSchema } from "./budget.ts";
import * as field from "./fields.ts";
import type { DeepReadonly } from "./schema.ts";

/** Names and patterns stand on LTTng's command line, separated by commas. */
const eventName = z
	.string()
	.regex(/^[A-Za-z0-9_*]+$/)
	.meta({
		title: "tracepoint's name",
		description: "A tracepoint's name, or a pattern with *: letters, digits and _.",
		examples: ["virtio_blk_*"],
	});

const why = z
	.string()
	.regex(/^\P{Cc}+$/u)
	.meta({
		title: "sentence",
		description: "Why this tracepoint is recorded: what it shows.",
		examples: ["The driver is handed the request."],
	});

const events = (description: string) => z.record(eventName, why).default({}).meta({ description });

/** A file profiles/NAME.yaml. */
export const profileSchema = z
	.strictObject({
		description: field.prose.meta({ description: "What this profile is for, in a sentence." }),
		reset: z
			.boolean()
			.default(false)
			.meta({ description: "Does a run of it begin with a reset of the guest, and wait until it has booted?" }),
		budget: budgetSchema.meta({ description: "What a recording may cost; a run that costs more says so." }),
		qemu: events("QEMU's tracepoints of the chosen domains, each with its why."),
		guest: events("Tracepoints of the guest's kernel, as lttng list --kernel has them there, each with its why."),
		host: events("Tracepoints of the host's kernel, where it can be traced, each with its why."),
	})
	.superRefine(({ qemu, guest, host }, context) => {
		if (Object.keys({ ...qemu, ...guest, ...host }).length > 0) return;
		const hint = "name a tracepoint in qemu or in guest, with its why";
		context.addIssue({ code: "custom", path: ["qemu"], message: "the profile records nothing", params: { hint } });
	});

/** What is recorded, read and checked, and the name of its file. */
export type Profile = DeepReadonly<z.output<typeof profileSchema>> & { readonly name: string };

/** The layers that are recorded apart from each other. */
export const layers = ["qemu", "guest", "host"] as const;
export type Layer = (typeof layers)[number];

/** Does a name, which may be a pattern itself, fit a pattern? */
export function matches(pattern: string, name: string): boolean {
	return new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(name);
}

/** The buffers of a session: so many parts of so many bytes for each processor. */
export interface Buffers {
	readonly size: number;
	readonly count: number;
}

/**
 * Buffers that hold what one processor writes in two seconds at the budget's rate: the consumer has that long to come,
 * and a flight recorder looks back as far. LTTng wants powers of two.
 */
export function buffersFor({ budget }: Pick<Profile, "budget">): Buffers {
	const count = 8;
	const wanted = (budget.rate * 1e6 * 2) / count;
	const size = 2 ** Math.ceil(Math.log2(wanted));
	return { size: Math.min(Math.max(size, 2 ** 17), 2 ** 24), count };
}
