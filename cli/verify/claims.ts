import type { Claim } from "./claim.ts";
import { clock, trace } from "./clock.ts";
import { probes, recorders } from "./declared.ts";
import { breakpoint, buildId, hypervisor, modules, systemtap } from "./guest.ts";
import { acceleration, network } from "./machine.ts";
import { builtWithUst, emulator, listeners, processName, sockets, tracepoints } from "./process.ts";
import { services, tracingGroup } from "./services.ts";

/** All of them, in the order in which one depends on the other; each one only looks. */
export const claims: readonly Claim[] = [
	{ claim: "libvirtd and root's session daemon answer", on: "its process", evidence: services },
	{ claim: "libvirt-qemu is in the session daemon's group", on: "its process", evidence: tracingGroup },
	{ claim: "the process is this lab's QEMU", on: "its process", evidence: emulator },
	{ claim: "pgrep finds it under its name", on: "its process", evidence: processName },
	{ claim: "it is accelerated as the lab card says", on: "its process", evidence: acceleration },
	{ claim: "QEMU is built with LTTng-UST", on: "its process", evidence: builtWithUst },
	{ claim: "LTTng sees its tracepoints under libvirt", on: "its process", evidence: tracepoints },
	{ claim: "what listens, listens on 127.0.0.1", on: "its process", evidence: listeners },
	{ claim: "its unix sockets are not for everybody", on: "its process", evidence: sockets },
	{ claim: "it has no network card", on: "its process", evidence: network },
	{ claim: "the guest runs the kernel of gdb's vmlinux", on: "its guest", evidence: buildId },
	{ claim: "its modules are installed, and loaded as built", on: "its modules", evidence: modules },
	{ claim: "gdb stops the kernel at a source line", on: "its guest", evidence: breakpoint },
	{ claim: "it sees the hypervisor that is expected", on: "its guest", evidence: hypervisor },
	{ claim: "SystemTap resolves the installed modules", on: "its modules", evidence: systemtap },
	{ claim: "its probes are compiled for its kernel", on: "its probes", evidence: probes },
	{ claim: "host and guest are on one clock", on: "its guest", evidence: clock },
	{ claim: "a trace has QEMU and the guest, causes first", on: "its guest", evidence: trace },
	{ claim: "its flight recorders record as declared", on: "its flight recorders", evidence: recorders },
];
