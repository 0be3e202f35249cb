import { local } from "@pulumi/command";
import type * as pulumi from "@pulumi/pulumi";
import { type Acceleration, type AccelerationWish, decideAcceleration } from "../spec/acceleration.ts";
import { type HostFacts, hostFactsSchema } from "../spec/host-facts.ts";
import { LabComponent } from "./component.ts";
import type { Step } from "./step.ts";
import { scriptText } from "./step-program.ts";

export interface HostArgs {
	/** Debian packages that the lab needs on the host. */
	packages: readonly string[];
}

/**
 * The machine that the lab runs on: what it is, its packages, and who may use /dev/kvm.
 *
 * Owns the packages that it installed, and the group and mode of /dev/kvm where it changed them.
 *
 *     const host = new Host("host", { packages: ["lttng-tools"] });
 *     host.acceleration("auto"); // { kind: "tcg", reason: "the processor shows neither vmx nor svm" }
 */
export class Host extends LabComponent {
	/** What was found before anything was changed. */
	readonly facts: pulumi.Output<HostFacts>;

	constructor(name: string, args: HostArgs, opts?: pulumi.ComponentResourceOptions) {
		super("Host", name, opts);
		this.facts = this.#look();
		const packages = this.#installPackages(args.packages);
		this.#openKvm(packages);
		this.registerOutputs({ facts: this.facts });
	}

	/** How a domain runs, decided from the facts and never guessed; `kvm` where it cannot work is an error. */
	acceleration(wish: AccelerationWish): pulumi.Output<Acceleration> {
		return this.facts.apply((facts) => decideAcceleration(wish, facts));
	}

	#look(): pulumi.Output<HostFacts> {
		return local
			.runOutput({ command: "bash -s", stdin: scriptText("host-facts"), logging: local.Logging.None }, { parent: this })
			.apply(({ stdout }) => hostFactsSchema.parse(JSON.parse(stdout)));
	}

	#installPackages(packages: readonly string[]): Step {
		return this.step("packages", { script: "host-packages", inputs: { packages: [...packages].sort() } });
	}

	#openKvm(packages: Step): void {
		this.step("kvm", { script: "kvm-access", inputs: {} }, [packages]);
	}
}
