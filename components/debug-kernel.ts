import type * as pulumi from "@pulumi/pulumi";
import { kernelPrefix } from "../spec/build-prefixes.ts";
import { fragmentTexts } from "../spec/kconfig.ts";
import { type Pin, pinInput } from "../spec/lock.ts";
import type { KernelSpec } from "../spec/schema.ts";
import { sourceInput } from "../spec/source-input.ts";
import { LabComponent } from "./component.ts";
import { resultIn } from "./step.ts";

export interface DebugKernelArgs {
	/** Source, configuration fragments by name, and further configuration lines. */
	kernel: KernelSpec;
	/**
	 * What the stack's lock holds the build to.
	 * @default nothing
	 */
	pin?: Pin | undefined;
}

/**
 * A kernel with debug information: the bzImage that guests boot, and the vmlinux, gdb scripts, sources and build
 * tree of that same build.
 *
 * Owns /opt/tracelab/kernel/HASH, together with the other stacks that use the same build.
 *
 *     const kernel = new DebugKernel("kernel-main", { kernel: stack.kernels.main });
 */
export class DebugKernel extends LabComponent {
	/** /opt/tracelab/kernel/HASH: known before it is built. */
	readonly prefix: string;
	/** What is known once it is built: its version as uname -r has it, and vmlinux's GNU build-id in hexadecimal. */
	readonly built: pulumi.Output<{ release: string; buildId: string }>;
	/** One sha256 over its files, known once it is built; null for one that an older tracelab built. */
	readonly result: pulumi.Output<string | null>;

	constructor(name: string, args: DebugKernelArgs, opts?: pulumi.ComponentResourceOptions) {
		super("DebugKernel", name, opts);
		const { source, fragments, config } = args.kernel;
		this.prefix = kernelPrefix(args.kernel);
		const build = this.step("build", {
			script: "debug-kernel",
			identity: this.prefix,
			inputs: {
				prefix: this.prefix,
				source: sourceInput(source),
				fragments: fragmentTexts(fragments),
				config,
				...pinInput(args.pin),
			},
		});
		this.built = build.outputs.apply(({ release = "", buildId = "" }) => ({ release, buildId }));
		this.result = build.outputs.apply(resultIn);
		this.registerOutputs({ prefix: this.prefix });
	}
}
