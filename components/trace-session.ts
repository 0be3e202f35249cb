import * as pulumi from "@pulumi/pulumi";
import type { LabCard } from "../spec/lab-card.ts";
import type { Profile } from "../spec/profile.ts";
import type { TraceSpec } from "../spec/schema.ts";
import { sessionInputs } from "../spec/session-inputs.ts";
import { LabComponent } from "./component.ts";
import type { TracedDomain } from "./traced-domain.ts";

export interface TraceSessionArgs {
	/** The session's name in the stack file. */
	traceName: string;
	/** The session as the stack file has it. */
	trace: TraceSpec;
	/** What it records, at this session's budget. */
	profile: Profile;
	/** The domains that are traced, by name. */
	targets: Readonly<Record<string, Pick<TracedDomain, "libvirtName" | "emulator"> & pulumi.Resource>>;
}

/**
 * A flight recorder over some domains: LTTng keeps the last seconds of a profile's events in memory, QEMU's and those of
 * the guests' kernels, and `./lab trace snapshot NAME` makes a run of them.
 *
 * It never writes by itself: what it costs is its buffers, however long the lab is up, and nobody's disk fills. Who wants
 * all events records a run, by `./lab trace start` and `stop`.
 *
 * Owns the LTTng sessions tracelab-STACK-NAME, on the host and in the guests.
 *
 *     new TraceSession("trace-flight", { traceName: "flight", trace: stack.traces.flight, profile, targets: { vm } });
 */
export class TraceSession extends LabComponent {
	/** What the lab card says of it. */
	readonly card: LabCard["traces"][string];

	constructor(name: string, args: TraceSessionArgs, opts?: pulumi.ComponentResourceOptions) {
		super("TraceSession", name, opts);
		const { traceName, trace, profile, targets } = args;
		const session = `tracelab-${pulumi.getStack()}-${traceName}`;
		this.card = { domains: [...trace.domains], profile: profile.name, budget: { ...profile.budget }, session };
		const inputs = {
			session,
			mode: "snapshot",
			folder: "",
			domains: Object.entries(targets)
				.map(([domain, { libvirtName, emulator }]) => `${domain} ${libvirtName} ${emulator}`)
				.join("\n"),
			...sessionInputs(profile),
		};
		this.step("session", { script: "trace-session", inputs }, Object.values(targets));
		this.registerOutputs({ session });
	}
}
