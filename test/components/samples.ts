import type { HostFacts } from "../../spec/host-facts.ts";
import type { KernelSpec, QemuSpec } from "../../spec/schema.ts";

/** A host with a processor that can, and /dev/kvm. */
export const withKvm: HostFacts = {
	os: { id: "debian", version: "12" },
	virtualization: "vmx",
	hypervisor: false,
	kvm: true,
	systemd: true,
	apparmor: false,
	free: { opt: 100e9, cache: 100e9 },
	builds: [],
	buildBytes: {},
	begun: [],
	gdbPorts: {},
};

/** The same host as a virtual machine whose own host shows its processor no vmx. */
export const withoutKvm: HostFacts = { ...withKvm, virtualization: "", hypervisor: true, kvm: false };

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
