import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import {
	type Acceleration,
	AccelerationError,
	type AccelerationWish,
	decideAcceleration,
} from "../spec/acceleration.ts";
import { type HostFacts, hostFactsSchema } from "../spec/host-facts.ts";
import { LabComponent } from "./component.ts";
import type { Step } from "./step.ts";
import { scriptText } from "./step-program.ts";

export interface HostArgs {
	/** Debian packages that the lab needs on the host. */
	packages: readonly string[];
	/**
	 * What its domains ask for. Where one of them cannot be had, that is said before anything is changed.
	 * @default nothing
	 */
	accelerations?: readonly AccelerationWish[];
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
		const packages = this.#installPackages(args);
		this.#openKvm(packages);
		this.registerOutputs({ facts: this.facts });
	}

	/** How a domain runs, decided from the facts and never guessed; `kvm` where it cannot work is an error. */
	acceleration(wish: AccelerationWish): pulumi.Output<Acceleration> {
		return this.facts.apply((facts) => decided(wish, facts));
	}

	#look(): pulumi.Output<HostFacts> {
		return local
			.runOutput({ command: "bash -s", stdin: scriptText("host-facts"), logging: local.Logging.None }, { parent: this })
			.apply(({ stdout }) => hostFactsSchema.parse(JSON.parse(stdout)));
	}

	#installPackages({ packages, accelerations = [] }: HostArgs): Step {
		const wanted = this.facts.apply((facts) => {
			for (const wish of accelerations) decided(wish, facts);
			return [...packages].sort();
		});
		return this.step("packages", { script: "host-packages", inputs: { packages: wanted } });
	}

	#openKvm(packages: Step): void {
		this.step("kvm", { script: "kvm-access", inputs: {} }, [packages]);
	}
}

function decided(wish: AccelerationWish, facts: HostFacts): Acceleration {
	try {
		return decideAcceleration(wish, facts);
	} catch (error) {
		// The engine shows a RunError's text and no stack trace.
		if (error instanceof AccelerationError) throw new pulumi.RunError(error.message);
		throw error;
	}
}
