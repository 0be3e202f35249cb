import { z } from "zod";
import type { AccelerationWish } from "./acceleration.ts";
import { ownBudgetSchema } from "./budget.ts";
import * as field from "./fields.ts";

export type { Source } from "./source.ts";

const qemu = z.strictObject({
	source: field
		.source("Source of this QEMU.", ["debian:qemu", "debian:qemu/bookworm-backports"])
		.prefault("debian:qemu"),
	targets: field
		.list(field.qemuTarget)
		.superRefine(field.includesX86)
		.default(["x86_64-softmmu"])
		.meta({ description: "Targets to build; domains run on x86_64-softmmu." }),
	traceBackends: field.list(field.traceBackend).min(1).default(["ust"]).meta({
		description: "Trace backends that QEMU's tracepoints are compiled for; ust is LTTng-UST.",
	}),
	configure: field
		.list(field.configureOption)
		.default([])
		.meta({ description: "Further options of QEMU's ./configure." }),
});

const kernel = z.strictObject({
	source: field
		.source("Source of this kernel.", ["debian:linux-source-6.1", "path:/home/me/linux"])
		.prefault("debian:linux-source-6.1"),
	fragments: field.list(field.fragment).min(1).default(["quickstart"]).meta({
		description:
			"Configuration fragments by name, from kconfig/; merged over tinyconfig in this order: the last to ask for a symbol wins.",
	}),
	config: field.list(field.configLine).superRefine(field.oneValueASymbol).default([]).meta({
		description: "Further configuration lines, which win over the fragments.",
	}),
});

const image = z.strictObject({
	suite: field.suite
		.default("bookworm")
		.meta({ title: "Debian suite", description: "Debian suite of the guest, by its code name: a-z, 0-9 and -." }),
	packages: field
		.list(field.debianPackage)
		.default([])
		.meta({ description: "Debian packages beyond those that every guest has." }),
});

const module = z.strictObject({
	source: field.source(
		"Source of this module: a folder whose Kbuild or Makefile makes a .ko with the name of this module.",
		["path:examples/mymodule"],
	),
	kernel: field.reference("Kernel that this module is built against: a name from kernels."),
	make: field
		.list(field.makeVariable)
		.superRefine(field.oneValueAVariable)
		.default([])
		.meta({ description: "Variables that make is given with it." }),
	load: field.list(field.loadedModule).optional().meta({
		description:
			"Modules of this source that are loaded at boot; by default the one of this name. The others are installed, and there for who loads them.",
	}),
});

const gdb = z.strictObject({
	port: z
		.int()
		.min(1024)
		.max(65535)
		.optional()
		.meta({
			title: "TCP port",
			description: "TCP port of the gdbstub on 127.0.0.1, from 1024 to 65535; by default the lab chooses a free one.",
			examples: [1234],
		}),
	paused: z
		.boolean()
		.default(false)
		.meta({ description: "Should the guest wait for gdb before its first instruction?" }),
});

const acceleration = z.enum(["auto", "kvm", "tcg"]).default("auto").meta({
	title: "acceleration",
	description:
		"How the guest's processor runs: kvm, tcg (emulated), or auto: kvm where that can work, and tcg elsewhere.",
}) satisfies z.ZodType<AccelerationWish>;

const hypervisor = z
	.strictObject({
		hidden: z.boolean().default(false).meta({
			description:
				"Should the guest not see that it is one? Then its processor has no hypervisor flag and no signature, and its firmware does not say QEMU.",
		}),
		signature: field.hypervisorSignature.optional(),
		dmiVendor: field.guestFact("Vendor of the machine, as its firmware says.", ["LENOVO"]).optional(),
		dmiProduct: field.guestFact("Product name of the machine, as its firmware says.", ["ThinkPad X1"]).optional(),
	})
	.superRefine(field.hiddenOrSigned);

const expected = z.strictObject({
	signature: field.guestFact("CPUID leaf 0x40000000, or none.", ["TCGTCGTCGTCG", "KVMKVMKVM", "none"]).optional(),
	hypervisorFlag: z.boolean().optional().meta({ description: "Bit 31 of ECX of CPUID leaf 1." }),
	kernelDetects: field
		.guestFact('What the kernel\'s log has behind "Hypervisor detected:", or none.', ["KVM", "none"])
		.optional(),
	detectVirt: field.guestFact("What systemd-detect-virt says, or none.", ["qemu", "kvm", "none"]).optional(),
	dmiVendor: field.guestFact("DMI's sys_vendor, or none.", ["QEMU"]).optional(),
	dmiProduct: field.guestFact("DMI's product_name, or none.", ["Standard PC (i440FX + PIIX, 1996)"]).optional(),
	clocksource: field.guestFact("What the kernel reads the time from.", ["tsc", "kvm-clock"]).optional(),
});

const domain = z.strictObject({
	qemu: field.reference("QEMU that runs this domain: a name from qemu."),
	kernel: field.reference("Kernel that this domain boots: a name from kernels."),
	image: field.reference("Image that this domain's disk starts from: a name from images."),
	modules: field.list(field.reference("Name from modules.")).default([]).meta({
		description:
			"Modules that are installed in the guest and loaded at boot: names from modules, built for its kernel.",
	}),
	cpus: z
		.int()
		.min(1)
		.max(64)
		.default(2)
		.meta({ title: "number of processors", description: "Processors of the guest, from 1 to 64.", examples: [2] }),
	memory: z
		.int()
		.min(256)
		.max(1048576)
		.default(1024)
		.meta({
			title: "amount of memory",
			description: "Memory of the guest in MiB, from 256 to 1048576.",
			examples: [1024],
		}),
	acceleration,
	processName: field.processName.optional(),
	gdb: gdb.default({ paused: false }).meta({ description: "The gdbstub of this domain." }),
	kernelArguments: field
		.list(field.kernelArgument)
		.superRefine(field.fitsCommandLine)
		.default([])
		.meta({ description: "Further arguments on the kernel's command line." }),
	hypervisor: hypervisor.default({ hidden: false }).meta({ description: "By what the guest can tell that it is one." }),
	expect: expected.default({}).meta({
		description: "What the guest must see of its hypervisor: a difference is an error; ./lab facts shows all.",
	}),
});

const probe = z.strictObject({
	script: field.probeScript,
	domain: field.reference("Domain that is probed: a name from domains."),
});

const trace = z.strictObject({
	domains: field.list(field.reference("Name from domains.")).min(1).meta({
		description: "Domains that are traced: their QEMUs and, where the profile says so, their guests' kernels.",
	}),
	profile: field.profile,
	budget: ownBudgetSchema.optional().meta({
		description: "What this session may cost, where that is not what the profile's budget says.",
	}),
});

/** A stack file, once what it `extends` is merged in. */
export const stackFileSchema = z.strictObject({
	extends: field.name.optional().meta({
		title: "stack's name",
		description: "Another stack that this one starts from: maps are merged key by key, lists and all else replace.",
		examples: ["quickstart"],
	}),
	description: field.prose.default(""),
	qemu: field.named(field.name, qemu).default({}).meta({ description: "QEMUs to build, by name." }),
	kernels: field.named(field.name, kernel).default({}).meta({ description: "Kernels to build, by name." }),
	images: field.named(field.name, image).default({}).meta({ description: "Root file systems to make, by name." }),
	modules: field.named(field.moduleName, module).default({}).meta({
		description: "Kernel modules to build, by name: that of the .ko, as modprobe knows it, unless `load` says more.",
	}),
	domains: field.named(field.name, domain).meta({ description: "Virtual machines to run, by name." }),
	probes: field
		.named(field.name, probe)
		.default({})
		.meta({ description: "SystemTap scripts to compile for a domain, by name; ./lab probe run NAME runs one." }),
	traces: field.named(field.name, trace).default({}).meta({
		description:
			"Trace sessions, by name: each is a flight recorder, which keeps the last seconds of its events in memory while the lab is up, and ./lab trace snapshot NAME makes a run of them; ./lab trace run NAME and trace start NAME record all of them.",
	}),
});

export type StackFile = z.output<typeof stackFileSchema>;

export type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;
type Named<T> = Readonly<Record<string, T>>;

export type QemuSpec = DeepReadonly<z.output<typeof qemu>>;
export type KernelSpec = DeepReadonly<z.output<typeof kernel>>;
export type ImageSpec = DeepReadonly<z.output<typeof image>>;
export type ModuleSpec = DeepReadonly<Omit<z.output<typeof module>, "load">> & {
	/** Kernel modules of it that are loaded at boot, by the names that modprobe knows. */
	readonly load: readonly string[];
};
export type DomainSpec = DeepReadonly<Omit<z.output<typeof domain>, "processName">> & {
	/** Name of the QEMU process, as `pgrep -x` finds it: at most 15 bytes. */
	readonly processName: string;
};

export type ProbeSpec = DeepReadonly<z.output<typeof probe>>;

export type TraceSpec = DeepReadonly<z.output<typeof trace>>;

/** A stack, read and checked: every default filled in, every reference known to lead somewhere, maps in order of their keys. */
export interface Stack {
	readonly name: string;
	readonly description: string;
	readonly qemu: Named<QemuSpec>;
	readonly kernels: Named<KernelSpec>;
	readonly images: Named<ImageSpec>;
	readonly modules: Named<ModuleSpec>;
	readonly domains: Named<DomainSpec>;
	readonly probes: Named<ProbeSpec>;
	readonly traces: Named<TraceSpec>;
}
