import type * as pulumi from "@pulumi/pulumi";
import { buildPrefix } from "../spec/build-prefix.ts";
import { guestPackages } from "../spec/guest-packages.ts";
import type { ImageSpec } from "../spec/schema.ts";
import { LabComponent } from "./component.ts";

export interface GuestImageArgs {
	/** Debian suite, and packages beyond those that every guest of the lab has. */
	image: ImageSpec;
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

	constructor(name: string, args: GuestImageArgs, opts?: pulumi.ComponentResourceOptions) {
		super("GuestImage", name, opts);
		const { suite } = args.image;
		const packages = [...new Set([...guestPackages, ...args.image.packages])].sort();
		this.prefix = buildPrefix("image", { suite, packages });
		this.step("build", {
			script: "guest-image",
			identity: this.prefix,
			inputs: { prefix: this.prefix, suite, packages },
		});
		this.registerOutputs({ prefix: this.prefix });
	}
}
