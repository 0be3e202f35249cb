import { z } from "zod";
import { budgetSchema } from "./budget.ts";
import { labHashesSchema } from "./lab-hashes.ts";

/** Where the card of a stack is kept on the host. */
export const labCardPath = (stack: string): string => `/var/lib/tracelab/labs/${stack}.json`;

const loadedModule = z.object({
	/** File on the host, with debug info; the guest sees it below /lib/modules/KVER/extra. */
	file: z.string(),
	/** Source folder, for gdb. */
	source: z.string(),
});

const domain = z.object({
	/** The name libvirt knows it by, for virsh. */
	libvirtName: z.string(),
	/** Name of the process, as pgrep -x finds it; at most 15 bytes. */
	processName: z.string(),
	/** Absolute path of the QEMU that runs it: what /proc/PID/exe must be. */
	emulator: z.string(),
	/** kvm or tcg, and why. */
	acceleration: z.object({ kind: z.enum(["kvm", "tcg"]), reason: z.string() }),
	/** Name in `qemu` of this card. */
	qemu: z.string(),
	/** Name in `kernels` of this card. */
	kernel: z.string(),
	/** What that kernel is given: /proc/cmdline of the guest. */
	commandLine: z.string(),
	/** Name in `images` of this card. */
	image: z.string(),
	/** The gdbstub, on 127.0.0.1. */
	gdb: z.object({ port: z.number().int(), paused: z.boolean() }),
	/** Serial console: all that was printed, and a unix socket to talk to it. */
	console: z.object({ log: z.string(), socket: z.string() }),
	/** By what the guest could tell at the last up that it is one, empty for one that was held; and what it must be. */
	hypervisor: z.object({ facts: z.record(z.string(), z.string()), expected: z.record(z.string(), z.string()) }),
	/** Kernel modules of the lab, by name. */
	modules: z.record(z.string(), loadedModule),
});

const kernel = z.object({
	/** /opt/tracelab/kernel/HASH */
	prefix: z.string(),
	vmlinux: z.string(),
	source: z.string(),
	/** As uname -r has it. */
	release: z.string(),
	/** GNU build-id of vmlinux, in hexadecimal. */
	buildId: z.string(),
});

const qemu = z.object({
	/** /opt/tracelab/qemu/HASH */
	prefix: z.string(),
	binary: z.string(),
	/** QEMU's own, such as 7.2.22. */
	version: z.string(),
});

const probe = z.object({
	/** Name in `domains` of this card. */
	domain: z.string(),
	/** The SystemTap script, as the stack file names it, absolute. */
	script: z.string(),
	/** /opt/tracelab/probe/HASH */
	prefix: z.string(),
	/** Name of the compiled module; the guest sees it as /lab/probes/NAME.ko. */
	module: z.string(),
});

const trace = z.object({
	/** Names in `domains` of this card. */
	domains: z.array(z.string()),
	/** profiles/NAME.yaml */
	profile: z.string(),
	/** What it may cost: its own budget, or the profile's. */
	budget: budgetSchema,
	/** The LTTng session, on the host and in the guests. */
	session: z.string(),
});

/** What a lab says about itself for people and for `./lab`: written by `up`, removed by `destroy`. */
export const labCardSchema = z.object({
	stack: z.string(),
	/** Version of tracelab that brought it up. */
	tracelab: z.string(),
	/** What tells it from any other. */
	hashes: labHashesSchema,
	qemu: z.record(z.string(), qemu),
	kernels: z.record(z.string(), kernel),
	images: z.record(z.string(), z.object({ prefix: z.string() })),
	domains: z.record(z.string(), domain),
	/** SystemTap probes by name. */
	probes: z.record(z.string(), probe),
	/** Flight recorders by name. */
	traces: z.record(z.string(), trace),
});

export type LabCard = z.infer<typeof labCardSchema>;
