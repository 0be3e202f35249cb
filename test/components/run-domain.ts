import * as libvirt from "@pulumi/libvirt";
import { DebugKernel } from "../../components/debug-kernel.ts";
import { GuestImage } from "../../components/guest-image.ts";
import { GuestTools } from "../../components/guest-tools.ts";
import { KernelModule } from "../../components/kernel-module.ts";
import { LibvirtHost } from "../../components/libvirt-host.ts";
import { QemuBuild } from "../../components/qemu-build.ts";
import { Step } from "../../components/step.ts";
import { TracedDomain } from "../../components/traced-domain.ts";
import type { Acceleration } from "../../spec/acceleration.ts";
import type { DomainSpec } from "../../spec/schema.ts";
import { type Run, type RunOptions, run } from "./mocks.ts";
import { kernel, qemu } from "./samples.ts";

export const domain: DomainSpec = {
	qemu: "main",
	kernel: "main",
	image: "main",
	modules: [],
	cpus: 2,
	memory: 1024,
	acceleration: "auto",
	processName: "t-vm",
	gdb: { paused: false },
	kernelArguments: [],
	hypervisor: { hidden: false },
	expect: {},
};

export interface DomainParts {
	domain: TracedDomain;
	qemu: QemuBuild;
	kernel: DebugKernel;
	image: GuestImage;
	tools: GuestTools;
	/** Prefixes by name. */
	modules: Record<string, string>;
}

export interface DomainOptions extends RunOptions {
	/** What differs from the sample. */
	spec?: Partial<DomainSpec>;
	acceleration?: Acceleration;
	/** Suite of its image. */
	suite?: string;
}

/** Runs a program with one domain, `vm`, and all that it needs. */
export function runDomain(options: DomainOptions = {}): Promise<Run<DomainParts>> {
	const { spec = {}, acceleration = { kind: "tcg", reason: "of the test" }, suite = "bookworm" } = options;
	const whole = { ...domain, ...spec };
	return run(options, () => {
		const libvirtHost = new LibvirtHost("libvirt", { emulators: [] });
		const pool = new libvirt.Pool("pool", { name: "pool-name", type: "dir" }, { provider: libvirtHost.provider });
		const poolInputs = { pool: "pool-name", uuid: pool.id, folder: "/var/lib/tracelab/pools/t" };
		const activePool = new Step("pool-active", { script: "libvirt-pool", inputs: poolInputs }, { dependsOn: [pool] });
		const parts = {
			qemu: new QemuBuild("qemu-main", { qemu }),
			kernel: new DebugKernel("kernel-main", { kernel }),
			tools: new GuestTools("guest-tools"),
			image: new GuestImage("image-main", { image: { suite, packages: [] } }),
		};
		const modules = Object.fromEntries(
			whole.modules.map((moduleName) => {
				const source = { kind: "git", url: `https://example.org/${moduleName}.git`, ref: "v1" } as const;
				const module = { source, kernel: "main", make: [], load: [moduleName] };
				return [moduleName, new KernelModule(`module-${moduleName}`, { moduleName, module, kernel: parts.kernel })];
			}),
		);
		const args = { domainName: "vm", domain: whole, ...parts, modules, acceleration, pool, activePool, libvirtHost };
		return {
			...parts,
			domain: new TracedDomain("domain-vm", args),
			modules: Object.fromEntries(Object.entries(modules).map(([name, { prefix }]) => [name, prefix])),
		};
	});
}
