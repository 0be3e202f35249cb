import * as libvirt from "@pulumi/libvirt";
import type * as pulumi from "@pulumi/pulumi";
import { LabComponent } from "./component.ts";

export interface LibvirtHostArgs {
	/** Prefixes of the QEMU builds that libvirt must be allowed to run. */
	emulators: readonly string[];
}

/**
 * libvirt as the lab needs it: running, naming its processes (`set_process_name`), and, where AppArmor is on,
 * allowed to run emulators outside the distribution's paths.
 *
 * Owns its marked lines in qemu.conf and in AppArmor's local rules, and the daemons where it started them.
 *
 *     const libvirtHost = new LibvirtHost("libvirt", { emulators: ["/opt/tracelab/qemu/0123456789abcdef"] });
 */
export class LibvirtHost extends LabComponent {
	/** Connects only once libvirtd answers: its address is an output of the step that sees to that. */
	readonly provider: libvirt.Provider;

	constructor(name: string, args: LibvirtHostArgs, opts?: pulumi.ComponentResourceOptions) {
		super("LibvirtHost", name, opts);
		const daemon = this.step("daemon", {
			script: "libvirt-host",
			inputs: { emulators: [...args.emulators].sort() },
		});
		const uri = daemon.outputs.apply((outputs) => outputs["uri"] ?? "");
		this.provider = new libvirt.Provider(`${name}-provider`, { uri }, { parent: this });
		this.registerOutputs({});
	}
}
