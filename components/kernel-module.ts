import type * as pulumi from "@pulumi/pulumi";
import { modulePrefix } from "../spec/build-prefixes.ts";
import { type Pin, pinInput } from "../spec/lock.ts";
import type { ModuleSpec } from "../spec/schema.ts";
import { sourceInput } from "../spec/source-input.ts";
import { LabComponent } from "./component.ts";
import type { DebugKernel } from "./debug-kernel.ts";
import { resultIn } from "./step.ts";

export interface KernelModuleArgs {
	/** The module's name, as modprobe knows it. */
	moduleName: string;
	/** Where its source is. */
	module: ModuleSpec;
	/** The kernel that it is built against. */
	kernel: DebugKernel;
	/**
	 * What the stack's lock holds the build to.
	 * @default nothing
	 */
	pin?: Pin | undefined;
}

/**
 * A kernel module, or a set of modules of one source, built against one debug kernel. Guests get it installed below /lib/modules/KVER/extra.
 *
 * Owns /opt/tracelab/module/HASH; the hash covers the text of the source, so an edit is another build.
 *
 *     new KernelModule("module-mymodule", { moduleName: "mymodule", module: stack.modules.mymodule, kernel });
 */
export class KernelModule extends LabComponent {
	/** /opt/tracelab/module/HASH: known before it is built. */
	readonly prefix: string;
	/** Names of the kernel modules of it that are loaded at boot. */
	readonly load: readonly string[];
	/** One sha256 over its files, known once it is built; null for one that an older tracelab built. */
	readonly result: pulumi.Output<string | null>;

	constructor(name: string, args: KernelModuleArgs, opts?: pulumi.ComponentResourceOptions) {
		super("KernelModule", name, opts);
		const { source } = args.module;
		this.load = args.module.load;
		const what = { name: args.moduleName, load: this.load, make: args.module.make };
		this.prefix = modulePrefix(args.moduleName, args.module, args.kernel.prefix);
		const build = this.step(
			"build",
			{
				script: "kernel-module",
				identity: this.prefix,
				inputs: {
					prefix: this.prefix,
					...what,
					source: sourceInput(source),
					kernel_prefix: args.kernel.prefix,
					...pinInput(args.pin),
				},
			},
			[args.kernel],
		);
		this.result = build.outputs.apply(resultIn);
		this.registerOutputs({ prefix: this.prefix });
	}
}
