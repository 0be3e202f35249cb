import { writeFileSync } from "node:fs";
import type { ExecutionContext } from "ava";
import { debug, elf, note } from "../elf-file.ts";
import type { FakeGuest } from "../fake-guest.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import { fakeStap, kernel } from "../scratch-probe.ts";
import { beacons, bootIds, diskReads, inOrder } from "../scratch-run.ts";
import { buildId, contexts, pid, recordsLines, traceableGuest } from "../scratch-trace.ts";

export const vmlinux = `${kernel}/vmlinux`;
export const moduleFile = (name: string) => `/opt/tracelab/module/0123456789abcdef/${name}.ko`;
export const moduleIds = { first: "11".repeat(20), second: "22".repeat(20) };

/** What hypervisor-facts prints in the guest. */
export const facts = {
	signature: "TCGTCGTCGTCG",
	hypervisorFlag: "true",
	kernelDetects: "none",
	detectVirt: "qemu",
	dmiVendor: "QEMU",
	dmiProduct: "Standard PC (i440FX + PIIX, 1996)",
	clocksource: "tsc",
};

/** What lttng list says of a process with these tracepoints. */
export const listed = (process: number, ...names: string[]) =>
	`UST events:\n-------------\n\nPID: ${process} - Name: /x\n${names.map((name) => `      ${name} (loglevel: x) (type: tracepoint)\n`).join("")}`;

/** A socket of QEMU's as ss shows it. */
export const listening = (address: string, process = pid) =>
	`tcp LISTEN 0 1 ${address} 0.0.0.0:* users:(("qemu",pid=${process},fd=9))`;

/** An ELF file with that build-id, and debug information. */
export const elfOf = (id: string): Buffer =>
	elf([{ name: ".notes", type: 7, bytes: note("GNU", 3, Buffer.from(id, "hex")) }, debug(8)]);

/** A lab of `vm` alone, all of whose claims hold. */
export async function wholeLab(t: ExecutionContext): Promise<{ lab: ScratchLab; guest: FakeGuest }> {
	const { lab, guest } = await traceableGuest(t);
	const { vm } = card.domains;
	lab.up({ ...card, domains: { vm } });
	lab.fake("pgrep", `[ "$*" = '-x quickstart-vm' ] && echo ${pid}`);
	lab.fake("readelf", "echo ' 0x01 (NEEDED)  Shared library: [liblttng-ust.so.1]'");
	lab.fake("getent", '[ "$*" = "group tracing" ] && echo tracing:x:117:');
	const tracepoints = ["blk_co_preadv", "memory_region_ops_write", "virtio_blk_handle_read"];
	lab.write("lttng/ust", listed(pid, ...tracepoints.map((name) => `qemu:${name}`)));
	listens(lab, listening("127.0.0.1:1234"));
	lab.fake("gdb", "echo '#0  tick_do_update_jiffies64 (now=1) at /src/kernel/time/tick-sched.c:58'");
	writeFileSync(lab.write(vmlinux, ""), elfOf(buildId));
	lab.write(`${kernel}/build-id`, `${buildId}\n`);
	for (const [name, id] of Object.entries(moduleIds)) loads(lab, name, id);
	lab.fake(
		"modinfo",
		'case $1 in -n) echo "/lib/modules/6.1.0/extra/$2.ko" ;; *) [ ! -e "$root/lttng/no-modules" ] ;; esac',
	);
	fakeStap(lab, [
		['module("first").function("f@/first.c:3")', 'module("first").function("f")'],
		['module("second").function("g@/second.c:3")', 'module("second").function("g")'],
	]);
	const says = Object.entries(facts).map(([name, value]) => `echo '${name}=${value}'`);
	lab.write("lab/bin/hypervisor-facts", `#!/bin/sh\n${says.join("\n")}\n`, 0o755);
	lab.write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
	lab.write("proc/sys/kernel/random/boot_id", `${bootIds.host}\n`);
	const { lines, written } = beacons(90);
	lab.write("beacons", lines);
	lab.write("lab/bin/clock-beacon", beaconProgram(lab), 0o755);
	lab.write("guest-bin/dd", "#!/bin/sh\n", 0o755);
	recordsReads(lab, written);
	return { lab, guest };
}

/** Makes `ss` say this of what listens; nobody is connected. */
export function listens(lab: ScratchLab, ...lines: readonly string[]): void {
	lab.fake("ss", `case $1 in -Hl*) printf '%s\\n' ${lines.map((line) => `'${line}'`).join(" ")} ;; esac`);
}

/** Makes a module's file, and what the guest has loaded of it. */
export function loads(lab: ScratchLab, name: string, id: string): void {
	writeFileSync(lab.write(moduleFile(name), ""), elfOf(id));
	writeFileSync(lab.write(`sys/module/${name}/notes/.note.gnu.build-id`, ""), note("GNU", 3, Buffer.from(id, "hex")));
}

/**
 * Makes a session turn out to have the beacons that QEMU saw, and ten reads of the disk: the guest's clock shifted, or its
 * side of them at another place of the disk, or not there.
 */
export function recordsReads(
	lab: ScratchLab,
	written = beacons(90).written,
	{ shift = 0n, elsewhere = false, guest = true } = {},
): void {
	const reads = diskReads(10, { shift, contexts });
	const ofVm = written.map(([time, text]): [bigint, string] => [time, text.replace("}, {", `}, ${contexts}{`)]);
	const moved = reads.guest.map(([time, text]): [bigint, string] => [
		time,
		elsewhere ? text.replace(", sector = ", ", sector = 9") : text,
	]);
	recordsLines(lab, inOrder(ofVm, reads.qemu), guest ? moved : []);
}

/** Prints the file `beacons`: all of it, or its halves at the begin and the end of a run. Between these it runs until it is ended. */
const beaconProgram = (lab: ScratchLab) => `#!/bin/sh
cd '${lab.root}' || exit
case "$*" in
"90 5000") cat beacons ;;
"0 1000000") exec sleep 600 ;;
"30 10000") if [ -e begun ]; then tail -n 45 beacons; else head -n 45 beacons; : >begun; fi ;;
*) exit 98 ;;
esac
`;
