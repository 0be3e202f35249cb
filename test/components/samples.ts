import type { HostFacts } from "../../spec/host-facts.ts";
import type { KernelSpec, QemuSpec } from "../../spec/schema.ts";

/** A host with a processor that can, and /dev/kvm. */
export const withKvm: HostFacts = {
	os: { id: "debian", version: "12" },
	kernel: "6.1.0-21-amd64",
	cpus: 8,
	memory: 16384,
	virtualization: "vmx",
	hypervisor: false,
	kvm: { mode: "660", owner: "root", group: "kvm" },
	systemd: true,
	apparmor: false,
	euid: 0,
	compiler: "12.2.0",
	free: { opt: 100e9, cache: 100e9 },
	builds: [],
	buildBytes: {},
	begun: [],
};

/** The same host as a virtual machine whose own host shows its processor no vmx. */
export const withoutKvm: HostFacts = { ...withKvm, virtualization: "", hypervisor: true, kvm: null };

export const qemu: QemuSpec = {
	source: { kind: "debian", package: "qemu" },
	targets: ["x86_64-softmmu"],
	traceBackends: ["ust"],
	configure: [],
};

export const kernel: KernelSpec = {
	source: { kind: "debian", package: "linux-source-6.1" },
	fragments: ["quickstart"],
	config: [],
};
