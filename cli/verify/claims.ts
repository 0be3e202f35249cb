import type { Claim } from "./claim.ts";
import { clock, trace } from "./clock.ts";
import { probes, recorders } from "./declared.ts";
import { breakpoint, buildId, hypervisor, modules, systemtap } from "./guest.ts";
import { acceleration, network, refusal } from "./machine.ts";
import { builtWithUst, emulator, listeners, processName, sockets, tracepoints } from "./process.ts";
import { daemons, services, tracingGroup } from "./services.ts";

/** All of them, in the order in which one depends on the other; each one only looks. */
export const claims: readonly Claim[] = [
	{ claim: "libvirtd and root's session daemon answer", about: "services", on: "its process", evidence: services },
	{
		claim: "they are systemd's where it runs, and else themselves",
		about: "services",
		on: "its process",
		evidence: daemons,
	},
	{
		claim: "libvirt-qemu is in the session daemon's group",
		about: "qemu-tracepoints",
		on: "its process",
		evidence: tracingGroup,
	},
	{ claim: "the process is this lab's QEMU", about: "the right QEMU", on: "its process", evidence: emulator },
	{ claim: "pgrep finds it under its name", about: "process-names", on: "its process", evidence: processName },
	{ claim: "it is accelerated as the lab card says", about: "acceleration", on: "its process", evidence: acceleration },
	{ claim: "kvm where it cannot work would be an error", about: "acceleration", on: "its process", evidence: refusal },
	{ claim: "QEMU is built with LTTng-UST", about: "qemu-tracepoints", on: "its process", evidence: builtWithUst },
	{
		claim: "LTTng sees its tracepoints under libvirt",
		about: "qemu-tracepoints",
		on: "its process",
		evidence: tracepoints,
	},
	{ claim: "what listens, listens on 127.0.0.1", about: "loopback", on: "its process", evidence: listeners },
	{ claim: "its unix sockets are not for everybody", about: "loopback", on: "its process", evidence: sockets },
	{ claim: "it has no network card", about: "loopback", on: "its process", evidence: network },
	{ claim: "the guest runs the kernel of gdb's vmlinux", about: "one build", on: "its guest", evidence: buildId },
	{ claim: "its modules are installed, and loaded as built", about: "one build", on: "its modules", evidence: modules },
	{ claim: "gdb stops the kernel at a source line", about: "gdb", on: "its guest", evidence: breakpoint },
	{ claim: "it sees the hypervisor that is expected", about: "hypervisor", on: "its guest", evidence: hypervisor },
	{
		claim: "SystemTap resolves its modules, and a probe fires",
		about: "systemtap",
		on: "its modules",
		evidence: systemtap,
	},
	{ claim: "its probes are compiled for its kernel", about: "one build", on: "its probes", evidence: probes },
	{ claim: "host and guest are on one clock", about: "clocks", on: "its guest", evidence: clock },
	{ claim: "a trace has QEMU and the guest, causes first", about: "nothing silent", on: "its guest", evidence: trace },
	{
		claim: "its flight recorders record as declared",
		about: "qemu-tracepoints",
		on: "its flight recorders",
		evidence: recorders,
	},
];
