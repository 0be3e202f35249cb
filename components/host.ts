import { local } from "@pulumi/command";
import type * as pulumi from "@pulumi/pulumi";
import { type HostFacts, hostFactsSchema } from "../spec/host-facts.ts";
import { LabComponent } from "./component.ts";
import type { Step } from "./step.ts";
import { scriptText } from "./step-program.ts";

/**
 * What the host is. Asked before anything is registered, so that what cannot work on it is said before it is changed.
 *
 * @param gdbPorts of these, who has them
 */
export async function lookAtHost(gdbPorts: readonly number[]): Promise<HostFacts> {
	const stdin = `gdb_ports='${gdbPorts.join(" ")}'\n${scriptText("host-facts")}`;
	const { stdout } = await local.run({ command: "bash -s", stdin, logging: local.Logging.None });
	return hostFactsSchema.parse(JSON.parse(stdout));
}

export interface HostArgs {
	/** Debian packages that the lab needs on the host. */
	packages: readonly string[];
}

/**
 * The machine that the lab runs on: its packages, and who may use /dev/kvm.
 *
 * Owns the packages that it installed, and the group and mode of /dev/kvm where it changed them.
 *
 *     const host = new Host("host", { packages: ["lttng-tools"] });
 */
export class Host extends LabComponent {
	constructor(name: string, args: HostArgs, opts?: pulumi.ComponentResourceOptions) {
		super("Host", name, opts);
		const packages = this.#installPackages(args.packages);
		this.#openKvm(packages);
		this.registerOutputs({});
	}

	#installPackages(packages: readonly string[]): Step {
		return this.step("packages", { script: "host-packages", inputs: { packages: [...packages].sort() } });
	}

	#openKvm(packages: Step): void {
		this.step("kvm", { script: "kvm-access", inputs: {} }, [packages]);
	}
}
