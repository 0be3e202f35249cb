import * as pulumi from "@pulumi/pulumi";
import { Step, type StepArgs } from "./step.ts";

/** What the lab's components have in common: a type token, and steps named and ordered after them. */
export abstract class LabComponent extends pulumi.ComponentResource {
	readonly #name: string;
	readonly #dependsOn: pulumi.CustomResourceOptions["dependsOn"];

	constructor(kind: string, name: string, opts: pulumi.ComponentResourceOptions = {}) {
		super(`tracelab:lab:${kind}`, name, {}, opts);
		this.#name = name;
		this.#dependsOn = opts.dependsOn;
	}

	/** A step of this component, named after it; it waits for `after`, or else for what the component waits for. */
	protected step(suffix: string, args: StepArgs, after?: pulumi.Resource[]): Step {
		return new Step(`${this.#name}-${suffix}`, args, this.childOptions(after));
	}

	protected childOptions(after?: pulumi.Resource[]): pulumi.CustomResourceOptions {
		const dependsOn = after ?? this.#dependsOn;
		return dependsOn === undefined ? { parent: this } : { parent: this, dependsOn };
	}
}
