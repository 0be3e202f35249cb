import { writeFileSync } from "node:fs";
import type { ExecutionContext } from "ava";
import { withBudget } from "../../../spec/budget.ts";
import type { LabCard } from "../../../spec/lab-card.ts";
import { loadProfile } from "../../../spec/load-profile.ts";
import { sessionInputs } from "../../../spec/session-inputs.ts";
import { debug, elf, note } from "../elf-file.ts";
import type { FakeGuest } from "../fake-guest.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import { compiledModule, fakeStap, kernel } from "../scratch-probe.ts";
import { beacons, bootIds, diskReads, inOrder } from "../scratch-run.ts";
import {
	buildId,
	contexts,
	guestWallClock,
	pid,
	recordsLines,
	traceableGuest,
	wallClockAhead,
} from "../scratch-trace.ts";

export const vmlinux = `${kernel}/vmlinux`;
export const moduleFile = (name: string) => `/opt/tracelab/module/0123456789abcdef/${name}.ko`;
export const installedModule = (name: string) => `/lib/modules/6.1.0/extra/${name}.ko`;
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

/** A probe and a flight recorder, as the card has them. */
export const declared: Pick<LabCard, "probes" | "traces"> = {
	probes: {
		fire: {
			domain: "vm",
			script: "/src/fire.stp",
			prefix: "/opt/tracelab/probe/0123456789abcdef",
			module: "stap_fire",
		},
	},
	traces: {
		flight: {
			...{ domains: ["vm"], profile: "block-io", budget: { rate: 8, events: 40_000 } },
			session: "tracelab-quickstart-flight",
		},
	},
};

/** Makes what `up` makes of the probe. */
function compiles(lab: ScratchLab): void {
	const { prefix, module } = declared.probes["fire"] ?? { prefix: "", module: "" };
	lab.write(`${prefix}/points`, "");
	lab.write(`${prefix}/kernel`, `${buildId}\n`);
	for (const folder of [prefix, "var/lib/tracelab/domains/quickstart-vm/root/probes", "lab/probes"])
		lab.write(`${folder}/${module}.ko`, compiledModule);
}

/** Makes a probe that runs in the guest report these hits. */
export function fires(lab: ScratchLab, hits: Readonly<Record<string, number>>): void {
	const lines = Object.entries(hits).map(
		([point, count]) => `${point}, (verify.stp:2:1), hits: ${count}, cycles: 1min/1avg/1max, variance: 0, index: 0`,
	);
	const said = ["----- probe hit report: ", ...lines, "----- refresh report:"];
	lab.write("guest-bin/staprun", `#!/bin/sh\n${said.map((line) => `echo '${line}'`).join("\n")}\n`, 0o755);
}

/** Makes what `up` makes of the flight recorder. */
function flies(lab: ScratchLab): void {
	const { session = "", budget } = declared.traces["flight"] ?? {};
	const inputs = sessionInputs(withBudget(loadProfile("block-io"), budget));
	const parts = { host: inputs.qemu.replaceAll(/ .*$/gm, ""), guest: inputs.guest };
	for (const [where, events] of Object.entries(parts)) {
		const folder = `lttng/${where}/${session}`;
		for (const [name, text] of Object.entries({ mode: "1\n", on: "", size: `${inputs.size}\n`, events: `${events}\n` }))
			lab.write(`${folder}/${name}`, text);
		lab.write(`${folder}/pids`, where === "host" ? `${pid}\n` : "");
	}
}

/** A lab of `vm` alone, all of whose claims hold. */
export async function wholeLab(t: ExecutionContext): Promise<{ lab: ScratchLab; guest: FakeGuest }> {
	const { lab, guest } = await traceableGuest(t);
	const { vm } = card.domains;
	lab.up({ ...card, domains: { vm }, ...declared });
	lab.fake("pgrep", `[ "$*" = '-x quickstart-vm' ] && echo ${pid}`);
	lab.fake("readelf", "echo ' 0x01 (NEEDED)  Shared library: [liblttng-ust.so.1]'");
	for (const [pid, name, file] of [
		[811, "libvirtd", "run/libvirtd.pid"],
		[902, "lttng-sessiond", "run/lttng/lttng-sessiond.pid"],
	] as const) {
		lab.write(file, `${pid}\n`);
		lab.write(`proc/${pid}/comm`, `${name}\n`);
	}
	lab.fake("id", '[ "$*" = "-nG libvirt-qemu" ] && echo libvirt-qemu kvm tracing');
	lab.fake("stat", `case "$*" in "-c %G $root/run/lttng") echo tracing ;; *) exec /usr/bin/stat "$@" ;; esac`);
	hasProcessor(lab, "fpu vmx");
	guest.monitor.set("info kvm", "kvm support: disabled\r").set("info network", "");
	const tracepoints = ["memory_region_ops_write", ...Object.keys(loadProfile("block-io").qemu)];
	lab.write("lttng/ust", listed(pid, ...tracepoints.map((name) => `qemu:${name}`)));
	listens(lab, listening("127.0.0.1:1234"));
	lab.write("run/vm.sock", "", 0o755);
	lab.fake("gdb", "echo '#0  tick_do_update_jiffies64 (now=1) at /src/kernel/time/tick-sched.c:58'");
	writeFileSync(lab.write(vmlinux, ""), elfOf(buildId));
	lab.write(`${kernel}/build-id`, `${buildId}\n`);
	for (const [name, id] of Object.entries(moduleIds)) loads(lab, name, id);
	lab.write("guest/proc/modules", Object.keys(moduleIds).map(inProcModules).join(""));
	lab.fake(
		"modinfo",
		'case $1 in -n) echo "/lib/modules/6.1.0/extra/$2.ko" ;; *) [ ! -e "$root/lttng/no-modules" ] ;; esac',
	);
	fakeStap(lab, [
		['module("first").function("f@/first.c:3")', 'module("first").function("f")'],
		['module("second").function("g@/second.c:3")', 'module("second").function("g")'],
		['kernel.function("vfs_read@/fs/read_write.c:450")', 'kernel.function("vfs_read")'],
		["timer.s(2)", "timer.s(2)"],
	]);
	fires(lab, {
		'module("second").function("g@/second.c:3")': 3,
		'kernel.function("vfs_read@/fs/read_write.c:450")': 40,
	});
	const says = Object.entries(facts).map(([name, value]) => `echo '${name}=${value}'`);
	lab.write("lab/bin/hypervisor-facts", `#!/bin/sh\n${says.join("\n")}\n`, 0o755);
	lab.write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
	lab.write("proc/sys/kernel/random/boot_id", `${bootIds.host}\n`);
	const { lines, written } = beacons(90);
	lab.write("beacons", lines);
	lab.write("lab/bin/clock-beacon", beaconProgram(lab), 0o755);
	lab.write("guest-bin/dd", "#!/bin/sh\n", 0o755);
	lab.write("guest-bin/sha256sum", `#!/bin/sh\nexec /usr/bin/sha256sum \${1:+"${lab.root}/guest$1"}\n`, 0o755);
	recordsReads(lab, written);
	compiles(lab);
	flies(lab);
	return { lab, guest };
}

/** Makes `ss` say this of what listens on addresses; nobody is connected, and the console listens at its path. */
export function listens(lab: ScratchLab, ...lines: readonly string[]): void {
	const others = [
		`u_str LISTEN 0 1 /run/vm.sock 7 * 0 users:(("qemu",pid=${pid},fd=8))`,
		"u_str LISTEN 0 1 /run/other 8 * 0",
	];
	const says = (lines: readonly string[]) => `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(" ")}`;
	lab.fake("ss", `case "$*" in "-Hlp -x") ${says(others)} ;; -Hl*) ${says(lines)} ;; esac`);
}

/** Makes the host one with these flags of its processor, and without /dev/kvm. */
export function hasProcessor(lab: ScratchLab, flags: string): void {
	lab.write("etc/os-release", 'ID=debian\nVERSION_ID="12"\n');
	lab.write("proc/cpuinfo", `processor\t: 0\nflags\t\t: ${flags}\n`);
}

/** What the guest's kernel says of a module that it has loaded. */
export const inProcModules = (name: string) => `${name} 16384 0 - Live 0xffffffffa0000000 (O)\n`;

/** Makes a module's file, the guest's own, and what the guest has loaded of it. */
export function loads(lab: ScratchLab, name: string, id: string): void {
	for (const file of [moduleFile(name), `guest${installedModule(name)}`]) writeFileSync(lab.write(file, ""), elfOf(id));
	writeFileSync(lab.write(`sys/module/${name}/notes/.note.gnu.build-id`, ""), note("GNU", 3, Buffer.from(id, "hex")));
}

/**
 * Makes a session turn out to have the beacons that QEMU saw, and ten reads of the disk: the guest's clock shifted, or its
 * side of them at another place of the disk, or not there; the wall clock of the host, or of the guest, set by so much since.
 */
export function recordsReads(
	lab: ScratchLab,
	written = beacons(90).written,
	{ shift = 0n, elsewhere = false, guest = true, set = { host: 0n, guest: 0n } } = {},
): void {
	const reads = diskReads(10, { shift, contexts });
	const ofVm = written.map(([time, text]): [bigint, string] => [time, text.replace("}, {", `}, ${contexts}{`)]);
	const moved = reads.guest.map(([time, text]): [bigint, string] => [
		time,
		elsewhere ? text.replace(", sector = ", ", sector = 9") : text,
	]);
	const wallClock = wallClockAhead();
	recordsLines(lab, inOrder(ofVm, reads.qemu), guest ? moved : [], {
		host: wallClock - set.host,
		guest: guestWallClock - set.guest,
	});
}

/**
 * Prints the file `beacons`: all of it, or its halves at the begin and the end of a run. Between these it runs until it is ended.
 */
const beaconProgram = (lab: ScratchLab) => `#!/bin/sh
cd '${lab.root}' || exit
case "$*" in
"90 5000") cat beacons ;;
"30 10000 3000000 "*)
	head -n 45 beacons
	(trap 'tail -n 45 beacons; exit' TERM; while sleep 0.1; do :; done) 2>/dev/null </dev/null &
	echo $! >"$4" ;;
*) exit 98 ;;
esac
`;
