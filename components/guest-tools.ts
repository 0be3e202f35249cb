import { readdirSync, readFileSync } from "node:fs";
import type * as pulumi from "@pulumi/pulumi";
import { buildPrefix } from "../spec/build-prefix.ts";
import { LabComponent } from "./component.ts";

const folder = new URL("../guest/", import.meta.url);

/**
 * The lab's own programs for guests, compiled from guest/*.c: a guest finds them in /lab/bin.
 *
 * Owns /opt/tracelab/guest-tools/HASH, together with the other stacks that use the same build.
 *
 *     const tools = new GuestTools("guest-tools", { dependsOn: [host] });
 */
export class GuestTools extends LabComponent {
	/** /opt/tracelab/guest-tools/HASH: known before it is built. */
	readonly prefix: string;

	constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
		super("GuestTools", name, opts);
		const sources = Object.fromEntries(
			readdirSync(folder)
				.filter((file) => file.endsWith(".c"))
				.sort()
				.map((file) => [file.slice(0, -2), readFileSync(new URL(file, folder), "utf8")]),
		);
		this.prefix = buildPrefix("guest-tools", { sources });
		this.step("build", { script: "guest-tools", identity: this.prefix, inputs: { prefix: this.prefix, sources } });
		this.registerOutputs({ prefix: this.prefix });
	}
}
