import { readFileSync } from "node:fs";
import type * as pulumi from "@pulumi/pulumi";
import { probePrefix } from "../spec/build-prefixes.ts";
import type { LabCard } from "../spec/lab-card.ts";
import { type Pin, pinInput } from "../spec/lock.ts";
import type { ProbeSpec } from "../spec/schema.ts";
import { correctionLines } from "../spec/systemtap-corrections.ts";
import { probedModules, probeModule } from "../spec/systemtap-script.ts";
import { LabComponent } from "./component.ts";
import { resultIn, type Step } from "./step.ts";

/** A domain as what is compiled for its guest sees it. */
export interface ProbeTarget {
	/** The name by which libvirt knows it. */
	libvirtName: string;
	/** Its folder on this host, /var/lib/tracelab/domains/STACK-DOMAIN. */
	folder: string;
	/** Its kernel's build, /opt/tracelab/kernel/HASH. */
	kernel: string;
	/** The builds of its modules, by name. */
	modules: Readonly<Record<string, string>>;
	/** The step that installs them in its folder. */
	share: Step;
}

export interface SystemtapProbeArgs {
	/** The probe's name in the stack file. */
	probeName: string;
	/** Its script, and the name of its domain. */
	probe: ProbeSpec;
	/** The domain that is probed. */
	target: ProbeTarget;
	/**
	 * What the stack's lock holds the build to.
	 * @default nothing
	 */
	pin?: Pin | undefined;
}

/**
 * A SystemTap script, compiled on this host for the very kernel and modules of one domain's guest.
 *
 * Owns /opt/tracelab/probe/HASH, whose hash covers the script's text and all that it is compiled for, and
 * root/probes/stap_NAME.ko in the domain's folder, which the guest sees as /lab/probes/stap_NAME.ko.
 *
 *     new SystemtapProbe("probe-mymodule", { probeName: "mymodule", probe: stack.probes.mymodule, target: vm.target });
 */
export class SystemtapProbe extends LabComponent {
	/** What the lab card says of it. */
	readonly card: LabCard["probes"][string];
	/** One sha256 over its files, known once it is built; null for one that an older tracelab built. */
	readonly result: pulumi.Output<string | null>;

	constructor(name: string, args: SystemtapProbeArgs, opts?: pulumi.ComponentResourceOptions) {
		super("SystemtapProbe", name, opts);
		const { probeName, probe, target } = args;
		const text = readFileSync(probe.script, "utf8");
		const module = probeModule(probeName);
		const prefix = probePrefix(probeName, probe, target.kernel, target.modules);
		this.card = { domain: probe.domain, script: probe.script, prefix, module };
		const build = this.step(
			// With another domain it is another step, so that the first domain's folder is cleared.
			probe.domain,
			{
				script: "systemtap-probe",
				identity: prefix,
				inputs: {
					prefix,
					name: probeName,
					module,
					script: probe.script,
					text,
					kernel_prefix: target.kernel,
					folder: target.folder,
					domain: target.libvirtName,
					modules: Object.keys(target.modules).join(" "),
					probed: probedModules(text, target.modules),
					corrections: correctionLines,
					...pinInput(args.pin),
				},
			},
			// The guest need not run yet.
			[target.share],
		);
		this.result = build.outputs.apply(resultIn);
		this.registerOutputs({ prefix });
	}
}
