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
		this.prefix = imagePrefix(args.image);
		this.step("build", {
			script: "guest-image",
			identity: this.prefix,
			inputs: { prefix: this.prefix, suite: args.image.suite, packages: allPackages(args.image) },
		});
		this.registerOutputs({ prefix: this.prefix });
	}
}

/** Where an image with this specification is installed. */
export function imagePrefix(image: ImageSpec): string {
	return buildPrefix("image", { suite: image.suite, packages: allPackages(image) });
}

const allPackages = ({ packages }: ImageSpec): string[] => [...new Set([...guestPackages, ...packages])].sort();
