import type * as pulumi from "@pulumi/pulumi";
import { imagePackages, imagePrefix } from "../spec/build-prefixes.ts";
import { type Pin, pinInput } from "../spec/lock.ts";
import type { ImageSpec } from "../spec/schema.ts";
import { LabComponent } from "./component.ts";
import { resultIn } from "./step.ts";

export interface GuestImageArgs {
	/** Debian suite, and packages beyond those that every guest of the lab has. */
	image: ImageSpec;
	/**
	 * What the stack's lock holds the build to.
	 * @default nothing
	 */
	pin?: Pin | undefined;
}

/**
 * The root file system that guests start from: systemd, the guest agent, LTTng and SystemTap's runtime.
 *
 * Owns /opt/tracelab/image/HASH, together with the other stacks that use the same build.
 *
 *     const image = new GuestImage("image-main", { image: stack.images.main });
 */
export class GuestImage extends LabComponent {
	/** /opt/tracelab/image/HASH: known before it is built. */
	readonly prefix: string;
	/** One sha256 over its files, known once it is built; null for one that an older tracelab built. */
	readonly result: pulumi.Output<string | null>;

	constructor(name: string, args: GuestImageArgs, opts?: pulumi.ComponentResourceOptions) {
		super("GuestImage", name, opts);
		const { suite } = args.image;
		const packages = imagePackages(args.image.packages);
		this.prefix = imagePrefix(args.image);
		const build = this.step("build", {
			script: "guest-image",
			identity: this.prefix,
			inputs: { prefix: this.prefix, suite, packages, ...pinInput(args.pin) },
		});
		this.result = build.outputs.apply(resultIn);
		this.registerOutputs({ prefix: this.prefix });
	}
}
