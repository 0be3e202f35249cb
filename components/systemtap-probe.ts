import { readFileSync } from "node:fs";
import type * as pulumi from "@pulumi/pulumi";
import { buildPrefix } from "../spec/build-prefix.ts";
import type { LabCard } from "../spec/lab-card.ts";
import type { ProbeSpec } from "../spec/schema.ts";
import { correctionLines } from "../spec/systemtap-corrections.ts";
import { probedModules, probeModule } from "../spec/systemtap-script.ts";
import { LabComponent } from "./component.ts";
import type { TracedDomain } from "./traced-domain.ts";

export interface SystemtapProbeArgs {
	/** The probe's name in the stack file. */
	probeName: string;
	/** Its script, and the name of its domain. */
	probe: ProbeSpec;
	/** The domain that is probed. */
	domain: TracedDomain;
}

/**
 * A SystemTap script, compiled on this host for the very kernel and modules of one domain's guest.
 *
 * Owns /opt/tracelab/probe/HASH, whose hash covers the script's text and all that it is compiled for, and
 * root/probes/stap_NAME.ko in the domain's folder, which the guest sees as /lab/probes/stap_NAME.ko.
 *
 *     new SystemtapProbe("probe-mymodule", { probeName: "mymodule", probe: stack.probes.mymodule, domain: vm });
 */
export class SystemtapProbe extends LabComponent {
	/** What the lab card says of it. */
	readonly card: LabCard["probes"][string];

	constructor(name: string, args: SystemtapProbeArgs, opts?: pulumi.ComponentResourceOptions) {
		super("SystemtapProbe", name, opts);
		const { probeName, probe, domain } = args;
		const text = readFileSync(probe.script, "utf8");
		const module = probeModule(probeName);
		const prefix = buildPrefix("probe", {
			module,
			text,
			kernel: domain.kernelPrefix,
			modules: probedModules(text, domain.modules),
			corrections: correctionLines,
		});
		this.card = { domain: probe.domain, script: probe.script, prefix, module };
		this.step(
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
					kernel_prefix: domain.kernelPrefix,
					folder: domain.folder,
					domain: domain.libvirtName,
					modules: Object.keys(domain.modules).join(" "),
					corrections: correctionLines,
				},
			},
			// The guest need not run yet.
			[domain.moduleTree],
		);
		this.registerOutputs({ prefix });
	}
}
