import type * as pulumi from "@pulumi/pulumi";
import { guestToolsPrefix } from "../spec/build-prefixes.ts";
import { guestToolSources } from "../spec/guest-tools.ts";
import { type Pin, pinInput } from "../spec/lock.ts";
import { LabComponent } from "./component.ts";
import { resultIn } from "./step.ts";

export interface GuestToolsArgs {
	/**
	 * What the stack's lock holds the build to.
	 * @default nothing
	 */
	pin?: Pin | undefined;
}

/**
 * The lab's own programs for guests, compiled from guest/*.c: a guest finds them in /lab/bin.
 *
 * Owns /opt/tracelab/guest-tools/HASH, together with the other stacks that use the same build.
 *
 *     const tools = new GuestTools("guest-tools", {}, { dependsOn: [host] });
 */
export class GuestTools extends LabComponent {
	/** /opt/tracelab/guest-tools/HASH: known before it is built. */
	readonly prefix: string;
	/** One sha256 over its files, known once it is built; null for one that an older tracelab built. */
	readonly result: pulumi.Output<string | null>;

	constructor(name: string, args: GuestToolsArgs = {}, opts?: pulumi.ComponentResourceOptions) {
		super("GuestTools", name, opts);
		const sources = guestToolSources();
		this.prefix = guestToolsPrefix();
		const build = this.step("build", {
			script: "guest-tools",
			identity: this.prefix,
			inputs: { prefix: this.prefix, sources, ...pinInput(args.pin) },
		});
		this.result = build.outputs.apply(resultIn);
		this.registerOutputs({ prefix: this.prefix });
	}
}
