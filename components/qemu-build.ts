import type * as pulumi from "@pulumi/pulumi";
import { qemuPrefix } from "../spec/build-prefixes.ts";
import { type Pin, pinInput } from "../spec/lock.ts";
import type { QemuSpec } from "../spec/schema.ts";
import { sourceInput } from "../spec/source-input.ts";
import { LabComponent } from "./component.ts";
import { resultIn } from "./step.ts";

export interface QemuBuildArgs {
	/** Source, targets, trace backends and further configure options. */
	qemu: QemuSpec;
	/**
	 * What the stack's lock holds the build to.
	 * @default nothing
	 */
	pin?: Pin | undefined;
}

/**
 * A QEMU of the lab's own, with the trace backends that were asked for.
 *
 * Owns /opt/tracelab/qemu/HASH, together with the other stacks that use the same build.
 *
 *     const qemu = new QemuBuild("qemu-main", { qemu: stack.qemu.main });
 */
export class QemuBuild extends LabComponent {
	/** /opt/tracelab/qemu/HASH: known before it is built. */
	readonly prefix: string;
	/** What libvirt runs. */
	readonly emulator: string;
	/** QEMU's own version, known once it is built. */
	readonly version: pulumi.Output<string>;
	/** One sha256 over its files, known once it is built; null for one that an older tracelab built. */
	readonly result: pulumi.Output<string | null>;

	constructor(name: string, args: QemuBuildArgs, opts?: pulumi.ComponentResourceOptions) {
		super("QemuBuild", name, opts);
		this.prefix = qemuPrefix(args.qemu);
		this.emulator = `${this.prefix}/bin/qemu-system-x86_64`;
		const build = this.step("build", {
			script: "qemu-build",
			identity: this.prefix,
			inputs: {
				prefix: this.prefix,
				source: sourceInput(args.qemu.source),
				targets: args.qemu.targets,
				trace_backends: args.qemu.traceBackends,
				configure: args.qemu.configure,
				...pinInput(args.pin),
			},
		});
		this.version = build.outputs.apply(({ version = "" }) => version);
		this.result = build.outputs.apply(resultIn);
		this.registerOutputs({ prefix: this.prefix });
	}
}
