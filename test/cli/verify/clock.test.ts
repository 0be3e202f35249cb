import { rmSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { LabError } from "../../../cli/errors.ts";
import type { ScratchLab } from "../scratch-lab.ts";
import { beacons, diskInterrupts, diskReads, inOrder } from "../scratch-run.ts";
import { contexts, emulator, guestWallClock, pid, recordsLines, runs, wallClockAhead } from "../scratch-trace.ts";
import { enter, evidenceOf, fails, type Harm } from "./claim-fails.ts";
import { listed, recordsReads, wholeLab } from "./whole-lab.ts";

// Each failure that a claim on clocks, or on a trace, can come to; none of them leaves anything behind.

const clock = "host and guest are on one clock";
const trace = "a trace has QEMU and the guest, causes first";

const setSince =
	(set: { host?: bigint; guest?: bigint }) =>
	(lab: ScratchLab): void =>
		recordsReads(lab, beacons(90).written, { set: { host: 0n, guest: 0n, ...set } });
const withoutBeacon = ({ root }: ScratchLab) => rmSync(join(root, "lab/bin/clock-beacon"));
const notLetIn: Harm = (lab) => {
	recordsLines(lab, [], diskReads(10).guest);
	lab.write("lttng/ust", listed(1, "qemu:a"));
	lab.write(`proc/${pid}/status`, "Uid:\t64055\t64055\nGroups:\t106 \n");
	lab.write("run/lttng/lttng-ust-sock-8", "", 0o640);
};
const openSocket =
	"open the socket as LTTng does (chmod 666 /run/lttng/lttng-ust-sock-8), or to the group tracing, which libvirt-qemu is in; then start the domain again: ./lab exec vm -- poweroff, then ./lab up";
const unmatched =
	"nothing puts the clock of \"vm\" on the host's: of 90 beacons of the guest and 0 in QEMU's trace, none fit together";
const sameAgain =
	"a run of the same says so as well, and stays: ./lab trace run block-io -d vm -- dd if=/dev/vda of=/dev/null bs=4k count=32 iflag=direct";
const traceBeacons = "trace its QEMU with qemu:memory_region_ops_write, and see that no events were discarded";

test.serial(
	fails,
	clock,
	"where QEMU cannot be traced",
	(lab) => lab.write("lttng/down", ""),
	"not in band: lttng create failed: Error: No session daemon is available",
	"./lab up starts the session daemon; lttng list shows its sessions",
);
test.serial(
	fails,
	clock,
	"where QEMU may not register",
	notLetIn,
	`not in band: process ${pid} of vm may not register with root's session daemon: /run/lttng/lttng-ust-sock-8 has mode 640, and the process the groups 106`,
	openSocket,
);
test.serial(
	fails,
	clock,
	"where the guest has no beacon",
	withoutBeacon,
	'not in band: guest "vm" has no /lab/bin/clock-beacon',
	"./lab up brings it in",
);
test.serial(
	fails,
	clock,
	"where QEMU saw none of the beacons",
	(lab) => recordsReads(lab, []),
	unmatched,
	traceBeacons,
);
test.serial(
	fails,
	clock,
	"where the guest read its clock long before it wrote",
	(lab) => {
		const wide = (line: string) => {
			const [sequence, before = "", after] = line.split(" ");
			return [sequence, BigInt(before) - 50_000n, after].join(" ");
		};
		const lines = beacons(90).lines.trimEnd().split("\n").map(wide);
		lab.write("beacons", `${lines.join("\n")}\n`);
	},
	"vm: its clock is known to 26371 ns on the host's (in-band beacon), over the limit of 20000 ns",
	"measure it again when the host is less busy: ./lab clock vm",
);
test.serial(
	fails,
	clock,
	"where the domain has no process",
	({ root }) => rmSync(join(root, "run/libvirt/qemu/quickstart-vm.pid")),
	'not in band: domain "vm" has no process',
	"./lab up starts it",
);
test.serial(
	fails,
	clock,
	"where the guest's kernel does not say how its clocks stand",
	(lab) => lab.write("guest/proc/timer_list", ""),
	"the guest's /proc/timer_list does not say how its wall clock stands to CLOCK_MONOTONIC",
	"see that its kernel has CONFIG_HIGH_RES_TIMERS",
);
test.serial(
	fails,
	clock,
	"where the beacon fails in the guest",
	(lab) => lab.write("lab/bin/clock-beacon", "#!/bin/sh\necho 'clock-beacon: not permitted' >&2; exit 1\n", 0o755),
	'not in band: /lab/bin/clock-beacon 90 5000 failed in "vm": clock-beacon: not permitted',
	"run it by hand: ./lab exec vm -- /lab/bin/clock-beacon 90 5000",
);
test.serial(
	fails,
	clock,
	"where the guest's wall clock is set while the agent is asked",
	(lab) => {
		withoutBeacon(lab);
		lab.write("guest-bin/awk", "#!/bin/sh\ndate +%s%N\n", 0o755);
	},
	"the guest's wall clock was set while it was read",
	"run it again",
);
test.serial(
	fails,
	clock,
	"where the guest's clock went back between two readings",
	(lab) => lab.write("beacons", beacons(90).lines.replace(/^60 (\d+) (\d+)$/m, "60 $2 $1")),
	'the clock of "vm" cannot be fitted: a pair\'s second reading is before its first',
	"record the run again",
);
test.serial("host and guest are on one clock: not where the host's wall clock was set", async (t) => {
	const { lab } = await wholeLab(t);
	enter(t, lab);
	setSince({ host: 60_000_000_000n })(lab);
	const error = await t.throwsAsync<LabError>(evidenceOf(clock), { instanceOf: LabError });
	// To what two readings of the clocks are apart.
	t.regex(error?.message ?? "", /^qemu\/ust\/uid\/64055\/64-bit: the wall clock was set by (?:59|60)\d{9} ns since/);
	t.is(error?.todo, "see who sets it, then look again: ./lab clock vm");
});
test.serial(
	fails,
	clock,
	"where the trace is of another clock",
	(lab) => lab.write("proc/sys/kernel/random/boot_id", "another\n"),
	"qemu/ust/uid/64055/64-bit: its metadata names a clock that is neither the host's nor the guest's",
	"see whether it was started again meanwhile, then look again: ./lab clock vm",
);

test.serial(
	fails,
	trace,
	"where the guest's wall clock was set",
	setSince({ guest: 60_000_000_000n }),
	"guest/vm/kernel: the wall clock was set by 60000000000 ns since it was recorded",
	"see who sets it, then look again: ./lab clock vm",
);
test.serial(
	fails,
	trace,
	"where the guest's kernel cannot be traced",
	(lab) => lab.write("lttng/no-modules", ""),
	"guest vm has no lttng-modules for its kernel, and no ftrace in it, so its kernel cannot be traced",
	"give the domain the modules lttng in the stack file, as stacks/quickstart.yaml does, or its kernel CONFIG_FTRACE and CONFIG_FUNCTION_TRACER, as kconfig/quickstart.config does; then run up",
);
test.serial(
	fails,
	trace,
	"where QEMU's layer is empty: it may not register",
	notLetIn,
	`the layer qemu of vm recorded nothing: process ${pid} of vm may not register with root's session daemon: /run/lttng/lttng-ust-sock-8 has mode 640, and the process the groups 106`,
	openSocket,
);
test.serial(
	fails,
	trace,
	"where the guest's layer is empty",
	(lab) => recordsReads(lab, beacons(90).written, { guest: false }),
	"the layer guest vm recorded nothing: all is well with the tracing, but none of these happened: block_rq_insert, block_rq_issue, block_rq_complete, block_rq_merge, irq_handler_entry, irq_handler_exit",
	"have the command do what the profile is for, or take another profile: ls profiles/",
);
test.serial(
	fails,
	trace,
	"where the guest has no beacon",
	withoutBeacon,
	"guest vm has no clock-beacon: its clock is not put on the host's",
	"./lab up brings it in",
);
test.serial(
	fails,
	trace,
	"where the guest cannot read its disk",
	(lab) => lab.write("guest-bin/dd", "#!/bin/sh\necho 'dd: no /dev/vda' >&2; exit 1\n", 0o755),
	"dd if=/dev/vda of=/dev/null bs=4k count=32 iflag=direct in the guest: dd: no /dev/vda",
	"see the guest's log: ./lab exec vm -- dmesg",
);
test.serial(
	fails,
	trace,
	"where effects come before their causes by more than the bound",
	(lab) => recordsReads(lab, beacons(90).written, { shift: 60_000n }),
	"the guest issues a request (block_rq_issue), then QEMU handles it (virtio_blk_handle_read, …_write): 10 of 10 violated, by 9845 ns at most: over the clocks' bound in 10, where that is false",
	"the clock's bound is false there: docs/clocks.md has what it takes for granted, and ./lab clock vm measures it again",
);
test.serial(
	fails,
	trace,
	"where effects come before their causes within the bound",
	(lab) => recordsReads(lab, beacons(90).written, { shift: 50_500n }),
	"the guest issues a request (block_rq_issue), then QEMU handles it (virtio_blk_handle_read, …_write): 10 of 10 violated, by 345 ns at most: within the clocks' bound",
	"the clocks are not known well enough to tell which came first: ./lab clock vm says how well, and a less busy host makes it better",
);
test.serial(
	fails,
	trace,
	"where events are lost",
	(lab) => lab.write("lttng/losses", "3 4\n"),
	"qemu lost 3 events and 4 packets of events: its buffers (8 of 1024 KiB for each processor, by a budget of 4 MB/s) were full; record less, by a smaller profile, or allow more, by budget: in a copy of profiles/block-io.yaml or in traces: of the stack file",
	sameAgain,
);
test.serial(
	fails,
	trace,
	"where the guest's memory for traces is full",
	(lab) => lab.write("guest-bin/df", "#!/bin/sh\necho 4096\n", 0o755),
	"the memory of guest vm for traces (/dev/shm) is full: what came last is not in its layer, and not counted as lost; record less at a time, or give the domain more memory:",
	sameAgain,
);
test.serial(
	fails,
	trace,
	"where QEMU lacks one of the tracepoints",
	(lab) => lab.write("lttng/ust", lab.read("lttng/ust").replace(/.*virtio_notify .*\n/, "")),
	"the QEMU of vm has no tracepoint qemu:virtio_notify: nothing of that was recorded",
	sameAgain,
);
test.serial(
	fails,
	trace,
	"where the clocks are compared over the agent",
	(lab) => {
		lab.write("lttng/ust", lab.read("lttng/ust").replace(/.*memory_region_ops_write.*\n/, ""));
		// The guest's clock is this machine's own, as the agent's answers are.
		const wall = wallClockAhead();
		lab.write("guest/proc/timer_list", `  .index:      1\n  .offset:     ${wall} nsecs\n`);
		const { qemu, guest } = diskReads(10, { contexts });
		recordsLines(lab, qemu, guest, { host: wall, guest: wall });
	},
	"LTTng sees no beacons of vm's QEMU: the guest's clock is compared over its agent, and known to milliseconds",
	sameAgain,
);
test.serial(
	fails,
	trace,
	"where the guest's trace is of no clock that is known",
	(lab) => lab.write("lttng/made/guest/kernel/metadata", "clock {\n\tfreq = 1000;\n};\n"),
	"ROOT/var/lib/tracelab/runs/quickstart/verify-OWN-PID/guest/vm/kernel has no clock of nanoseconds",
	"it was not recorded by LTTng with its own clock; record it again without --clock plugins",
);
test.serial(
	fails,
	trace,
	"where the guest's trace is not whole",
	(lab) => lab.write("lttng/made/guest/kernel/metadata", ""),
	"the layer guest vm recorded nothing: the part of guest vm is not to be had: the trace ROOT/var/lib/tracelab/runs/quickstart/verify-OWN-PID/guest/vm/kernel has no metadata yet",
	"stop its session: lttng list, then lttng destroy NAME",
);
test.serial(
	fails,
	trace,
	"where the beacon fails in the guest",
	(lab) => lab.write("lab/bin/clock-beacon", "#!/bin/sh\necho 'clock-beacon: not permitted' >&2; exit 1\n", 0o755),
	"clock-beacon ended with 1 in the guest: clock-beacon: not permitted",
	"run it by hand in the guest: /lab/bin/clock-beacon 30 10000",
);
test.serial(
	fails,
	trace,
	"where the beacon is of a tracelab that knew fewer arguments",
	(lab) => lab.write("lab/bin/clock-beacon", "#!/bin/sh\n[ $# -le 3 ] || { echo usage >&2; exit 2; }\n", 0o755),
	"the guest's clock-beacon is an older tracelab's",
	"./lab up builds and shows it this one's",
);
test.serial(
	fails,
	trace,
	"where no session daemon runs",
	(lab) => lab.write("lttng/down", ""),
	"root's session daemon does not answer, so nothing can be traced",
	"./lab up starts it",
);
test.serial(
	fails,
	trace,
	"where the domain runs on another QEMU",
	(lab) => {
		rmSync(join(lab.root, `proc/${pid}`), { recursive: true });
		runs(lab, "/usr/bin/qemu-system-x86_64");
	},
	`domain vm (process ${pid}) runs on /usr/bin/qemu-system-x86_64, not on ${emulator}`,
	"./lab up starts it on this lab's QEMU",
);
test.serial(
	fails,
	trace,
	"where the domain ended before it",
	({ root }) => rmSync(join(root, "run/libvirt/qemu/quickstart-vm.pid")),
	"domain vm does not run",
	"start it: ./lab up",
);
test.serial(
	fails,
	trace,
	"where the domain ends while it records",
	(lab) => {
		recordsLines(lab, [], diskReads(10).guest);
		lab.write("guest-bin/dd", `#!/bin/sh\nrm '${lab.root}/run/libvirt/qemu/quickstart-vm.pid'\n`, 0o755);
	},
	"the layer qemu of vm recorded nothing: vm has no process any more",
	"./lab up starts it on this lab's QEMU",
);
test.serial(
	fails,
	trace,
	"where no request is in both layers",
	(lab) => recordsReads(lab, beacons(90).written, { elsewhere: true }),
	"the trace has no request of the disk that both guest and QEMU saw from its begin to its end",
	"see what either recorded: ./lab trace run block-io -d vm --name look -- dd if=/dev/vda of=/dev/null bs=4k count=32 iflag=direct, then ./lab events look",
);
test.serial(
	fails,
	trace,
	"where the session goes while it records",
	(lab) => lab.write("guest-bin/dd", `#!/bin/sh\nrm -r '${lab.root}/lttng/host'\n`, 0o755),
	"the layer qemu recorded nothing: trace session tracelab-quickstart.verify-OWN-PID is gone: root's session daemon was ended or started again while it recorded, somebody destroyed it, or what made it was killed before\nlttng list failed: Error: Session name not found",
	"./lab up starts the daemon; then record it again",
);

for (const [disks, evidence] of [
	[["virtio2"], "0 of 30 effects before their causes, 10 of them interrupts"],
	[
		["virtio2", "virtio3"],
		"0 of 20 effects before their causes, interrupts not compared, as vm has several disks, and nothing says which of QEMU's is which of the guest's",
	],
] as const) {
	test.serial(
		`of a guest that has ${disks.length} of them, a trace says how a disk's interrupts were compared`,
		async (t) => {
			const { lab } = await wholeLab(t);
			enter(t, lab);
			const reads = diskReads(10, { contexts });
			const interrupts = diskInterrupts(10);
			const ofVm = [...beacons(90).written, ...interrupts.qemu].map(([time, text]): [bigint, string] => [
				time,
				text.replace("}, {", `}, ${contexts}{`),
			]);
			const seen = interrupts.guest.map(([time, text], index): [bigint, string] => [
				time,
				text.replace("virtio2", disks[index % disks.length] ?? ""),
			]);
			recordsLines(lab, inOrder(ofVm, reads.qemu), inOrder(reads.guest, seen), {
				host: wallClockAhead(),
				guest: guestWallClock,
			});
			t.true((await evidenceOf(trace)).endsWith(`; none lost; ${evidence}`));
		},
	);
}
