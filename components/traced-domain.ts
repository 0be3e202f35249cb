import * as libvirt from "@pulumi/libvirt";
import * as pulumi from "@pulumi/pulumi";
import type { Acceleration } from "../spec/acceleration.ts";
import { domainXslt, overlayXslt } from "../spec/domain-xslt.ts";
import { expectedFacts, hypervisorOptions } from "../spec/hypervisor.ts";
import { commandLineMaps, kernelCommandLine } from "../spec/kernel-command-line.ts";
import type { LabCard } from "../spec/lab-card.ts";
import type { DomainSpec } from "../spec/schema.ts";
import { LabComponent } from "./component.ts";
import type { DebugKernel } from "./debug-kernel.ts";
import type { GuestImage } from "./guest-image.ts";
import type { GuestTools } from "./guest-tools.ts";
import type { KernelModule } from "./kernel-module.ts";
import type { LibvirtHost } from "./libvirt-host.ts";
import type { QemuBuild } from "./qemu-build.ts";
import type { Step } from "./step.ts";
import type { ProbeTarget } from "./systemtap-probe.ts";

/** Virtual size of a guest's disk in bytes: that of the image, 4 GiB. */
const diskBytes = 4 * 1024 ** 3;

export interface TracedDomainArgs {
	/** The domain's name in the stack file. */
	domainName: string;
	/** The domain as the stack file has it. */
	domain: DomainSpec;
	/** The QEMU that runs it. */
	qemu: QemuBuild;
	/** The kernel that it boots directly. */
	kernel: DebugKernel;
	/** The image that its disk starts from. */
	image: GuestImage;
	/** The lab's programs for guests. */
	tools: GuestTools;
	/** The modules that are installed in it, by name. */
	modules: Readonly<Record<string, KernelModule>>;
	/** kvm or tcg, decided. */
	acceleration: Acceleration;
	/** The pool that its disk is in. */
	pool: libvirt.Pool;
	/** Sees to it that the pool can take a disk. */
	activePool: Step;
	/** The libvirt that it is a domain of. */
	libvirtHost: LibvirtHost;
}

/**
 * A libvirt domain made to be looked into: on a QEMU of the lab with its tracepoints, on a kernel whose vmlinux is
 * at hand, with a gdbstub on 127.0.0.1, a process name of its own, and the lab's modules installed and loaded.
 *
 * Owns the domain, its disk, /var/lib/tracelab/domains/STACK-DOMAIN and the reservation of its gdb port.
 *
 *     new TracedDomain("domain-vm", { domainName: "vm", domain: stack.domains.vm, qemu, kernel, image, … });
 */
export class TracedDomain extends LabComponent {
	/** What the lab card says of it. */
	readonly card: pulumi.Output<LabCard["domains"][string]>;
	/** What is compiled for its guest needs of it. */
	readonly target: ProbeTarget;

	/** The name by which libvirt knows it. */
	readonly libvirtName: string;
	/** The QEMU that runs it. */
	readonly emulator: string;

	readonly #args: TracedDomainArgs;
	readonly #folder: string;
	/** Build prefix of each kernel module that is loaded at boot, by its name. */
	readonly #loaded: Readonly<Record<string, string>>;
	readonly #paused: "0" | "1";

	constructor(name: string, args: TracedDomainArgs, opts?: pulumi.ComponentResourceOptions) {
		super("TracedDomain", name, opts);
		this.#args = args;
		this.libvirtName = `${pulumi.getStack()}-${args.domainName}`;
		this.emulator = args.qemu.emulator;
		this.#folder = `/var/lib/tracelab/domains/${this.libvirtName}`;
		this.#loaded = Object.fromEntries(
			Object.values(args.modules)
				.flatMap(({ load, prefix }) => load.map((name): [string, string] => [name, prefix]))
				.sort(([a], [b]) => (a < b ? -1 : 1)),
		);
		this.#paused = args.domain.gdb.paused ? "1" : "0";

		const port = this.#reserveGdbPort();
		const share = this.#shareWithGuest();
		const disk = this.#makeDisk(name);
		const domain = this.#defineDomain(name, port, disk, share);
		const guest = this.#startGuest(port, disk, domain, share);
		this.#loadModules(share, guest);
		const facts = this.#lookFromInside(domain, share, guest);
		this.card = this.#describe(port, facts);
		this.target = this.#asTarget(share);
		this.registerOutputs({ card: this.card });
	}

	#reserveGdbPort(): pulumi.Output<number> {
		const { domain, qemu, kernel, image } = this.#args;
		const { port } = domain.gdb;
		const inputs = { domain: this.libvirtName, port: port === undefined ? "" : String(port) };
		// A given port is reserved before anything is built, so that no other stack gets it meanwhile; a free one is chosen when the
		// builds are there, since another program may take it while they are made.
		const after = port === undefined ? [qemu, kernel, image] : undefined;
		const step = this.step("gdb-port", { script: "gdb-port", inputs }, after);
		// A given one is known beforehand, so that a preview does not take the domain for another where the step is to run.
		return port === undefined ? step.outputs.apply((outputs) => Number(outputs["port"])) : step.urn.apply(() => port);
	}

	#shareWithGuest(): Step {
		const { kernel, modules, tools } = this.#args;
		const inputs = {
			folder: this.#folder,
			kernel_prefix: kernel.prefix,
			modules: this.#installed(),
			load: Object.keys(this.#loaded),
			tools_prefix: tools.prefix,
		};
		return this.step("share", { script: "guest-share", inputs }, [kernel, tools, ...Object.values(modules)]);
	}

	/** Build prefix of each of its modules, or sets of modules, by its name in the stack file. */
	#installed(): Record<string, string> {
		return Object.fromEntries(Object.entries(this.#args.modules).map(([name, { prefix }]) => [name, prefix]));
	}

	#makeDisk(name: string): libvirt.Volume {
		const { image, pool, activePool, libvirtHost } = this.#args;
		const hash = image.prefix.slice(-16);
		return new libvirt.Volume(
			`${name}-disk`,
			{
				// Another image is another disk, made before the old one goes.
				name: `${this.libvirtName}-${hash}.qcow2`,
				pool: pool.name,
				format: "qcow2",
				size: diskBytes,
				xml: { xslt: overlayXslt(`${image.prefix}/image.qcow2`) },
			},
			{ ...this.childOptions([image, pool, activePool]), provider: libvirtHost.provider },
		);
	}

	#defineDomain(name: string, port: pulumi.Output<number>, disk: libvirt.Volume, share: Step): libvirt.Domain {
		const { domain, qemu, kernel, libvirtHost } = this.#args;
		const { kind } = this.#args.acceleration;
		const commandLine = this.#commandLine();
		return new libvirt.Domain(
			`${name}-domain`,
			{
				name: this.libvirtName,
				type: kind === "kvm" ? "kvm" : "qemu",
				machine: "pc",
				emulator: qemu.emulator,
				vcpu: domain.cpus,
				memory: domain.memory,
				kernel: `${kernel.prefix}/bzImage`,
				cmdlines: commandLineMaps(commandLine),
				disks: [{ volumeId: disk.id }],
				qemuAgent: true,
				// The guest step starts it: paused or not, and again whenever it was found stopped.
				running: false,
				xml: {
					xslt: port.apply((gdbPort) =>
						domainXslt({
							gdbPort,
							commandLine,
							processName: domain.processName,
							shareFolder: `${this.#folder}/root`,
							consoleLog: this.#console().log,
							consoleSocket: this.#console().socket,
							hypervisorOptions: hypervisorOptions(domain.hypervisor),
						}),
					),
				},
			},
			// libvirt knows one domain of a name: the old one goes before the new one comes.
			{
				...this.childOptions([qemu, kernel, share]),
				provider: libvirtHost.provider,
				deleteBeforeReplace: true,
				ignoreChanges: ["running"],
				// The provider would only note that these are others, and leave the definition as it is.
				replaceOnChanges: ["disks", "emulator", "kernel"],
			},
		);
	}

	#startGuest(port: pulumi.Output<number>, disk: libvirt.Volume, domain: libvirt.Domain, share: Step): Step {
		const { qemu, kernel, image, libvirtHost } = this.#args;
		const inputs = {
			domain: this.libvirtName,
			uuid: domain.id,
			folder: this.#folder,
			emulator: qemu.emulator,
			kernel_prefix: kernel.prefix,
			process_name: this.#args.domain.processName,
			gdb_port: port.apply(String),
			paused: this.#paused,
			overlay: disk.id,
			base: `${image.prefix}/image.qcow2`,
		};
		// The domain cannot tell of the steps before it: those that matter here are named.
		const after = [domain, libvirtHost, share];
		return this.step("guest", { script: "guest", identity: domain.id, inputs }, after);
	}

	#loadModules(share: Step, guest: Step): void {
		const inputs = {
			domain: this.libvirtName,
			folder: this.#folder,
			installed: this.#installed(),
			modules: this.#loaded,
			paused: this.#paused,
		};
		this.step("module-load", { script: "module-load", inputs }, [share, guest]);
	}

	#lookFromInside(domain: libvirt.Domain, share: Step, guest: Step): pulumi.Output<Record<string, string>> {
		const inputs = {
			domain: this.libvirtName,
			// Another definition is another machine to look at.
			uuid: domain.id,
			folder: this.#folder,
			expected: expectedFacts(this.#args.domain),
		};
		return this.step("hypervisor-facts", { script: "hypervisor-facts", inputs }, [share, guest]).outputs;
	}

	#commandLine(): string {
		return kernelCommandLine(this.#args.domainName, this.#args.domain.kernelArguments);
	}

	#console(): { log: string; socket: string } {
		return {
			log: `/var/log/tracelab/${pulumi.getStack()}/console-${this.#args.domainName}.log`,
			socket: `${this.#folder}/console.sock`,
		};
	}

	#describe(
		port: pulumi.Output<number>,
		facts: pulumi.Output<Record<string, string>>,
	): pulumi.Output<LabCard["domains"][string]> {
		const { domain, qemu } = this.#args;
		return pulumi.all([port, facts]).apply(([gdbPort, facts]) => ({
			libvirtName: this.libvirtName,
			processName: domain.processName,
			emulator: qemu.emulator,
			acceleration: this.#args.acceleration,
			qemu: domain.qemu,
			kernel: domain.kernel,
			commandLine: this.#commandLine(),
			image: domain.image,
			gdb: { port: gdbPort, paused: domain.gdb.paused },
			console: this.#console(),
			hypervisor: { facts, expected: expectedFacts(domain) },
			modules: Object.fromEntries(
				Object.entries(this.#loaded).map(([name, prefix]) => [name, { file: `${prefix}/${name}.ko`, source: prefix }]),
			),
		}));
	}

	#asTarget(share: Step): ProbeTarget {
		return {
			libvirtName: this.libvirtName,
			folder: this.#folder,
			kernel: this.#args.kernel.prefix,
			modules: this.#installed(),
			share,
		};
	}
}
