import * as pulumi from "@pulumi/pulumi";
import { allTrue, type Foreseen, Step, type StepArgs } from "./step.ts";

/** What the lab's components have in common: a type token, and steps named and ordered after them. */
export abstract class LabComponent extends pulumi.ComponentResource implements Foreseen {
	readonly #name: string;
	readonly #dependsOn: pulumi.CustomResourceOptions["dependsOn"];
	readonly #steps: Step[] = [];

	constructor(kind: string, name: string, opts: pulumi.ComponentResourceOptions = {}) {
		super(`tracelab:lab:${kind}`, name, {}, opts);
		this.#name = name;
		this.#dependsOn = opts.dependsOn;
	}

	/** A step of this component, named after it; it waits for `after`, or else for what the component waits for. */
	protected step(suffix: string, args: StepArgs, after?: pulumi.Resource[]): Step {
		const step = new Step(`${this.#name}-${suffix}`, args, this.childOptions(after));
		this.#steps.push(step);
		return step;
	}

	/** Are all of its steps, made so far, as wanted? */
	get asWanted(): Promise<boolean> {
		return allTrue(this.#steps.map(({ asWanted }) => asWanted));
	}

	protected childOptions(after?: pulumi.Resource[]): pulumi.CustomResourceOptions {
		const dependsOn = after ?? this.#dependsOn;
		return dependsOn === undefined ? { parent: this } : { parent: this, dependsOn };
	}
}
