import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ExecutionContext } from "ava";
import { runSchema } from "../../spec/run.ts";
import { fakeLttng } from "../scripts/fake-lttng.ts";
import { note } from "./elf-file.ts";
import { FakeGuest } from "./fake-guest.ts";
import { card, ScratchLab } from "./scratch-lab.ts";
import { bootIds, fakeBabeltrace, type ScratchTrace, writeTrace } from "./scratch-run.ts";

/** No process has such a number. */
export const pid = 4_194_305;
export const buildId = "ab".repeat(20);
export const emulator = card.domains["vm"]?.emulator ?? "";

const clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";

/** A lab whose `vm` runs, and can be traced on both sides; what a trace turns out to hold is for `records` to say. */
export const traceable = async (t: ExecutionContext): Promise<ScratchLab> => (await traceableGuest(t)).lab;

export async function traceableGuest(t: ExecutionContext): Promise<{ lab: ScratchLab; guest: FakeGuest }> {
	const lab = await ScratchLab.for(t);
	lab.up({
		...card,
		traces: {
			flight: {
				domains: ["vm"],
				profile: "block-io",
				budget: { rate: 8, events: 2 },
				session: "tracelab-quickstart-flight",
			},
		},
	});
	const guest = await FakeGuest.on(lab);
	t.teardown(() => guest.close());
	fakeBabeltrace(lab);
	fakeLttng(lab);
	const [fakes = ""] = String(lab.env["PATH"]).split(":");
	for (const name of ["lttng", "modinfo", "systemctl"])
		lab.write(`guest-bin/${name}`, `#!/bin/sh\nin_guest=1 exec '${fakes}/${name}' "$@"\n`, 0o755);
	lab.write("lttng/there", "");
	const seen = "      qemu:memory_region_ops_write (loglevel: x) (type: tracepoint)";
	lab.write("lttng/ust", `UST events:\n-------------\n\nPID: ${pid} - Name: /x\n${seen}\n`);
	lab.write(clock, "tsc\n");
	lab.write("proc/sys/kernel/random/boot_id", `${bootIds.host}\n`);
	hasClocksource(lab, "hpet");
	lab.write("guest/proc/sys/kernel/random/boot_id", `${bootIds.guest}\n`);
	lab.write("guest/proc/timer_list", `  .index:      1\n  .offset:     ${guestWallClock} nsecs\n`);
	writeFileSync(lab.write("sys/kernel/notes", ""), note("GNU", 3, Buffer.from(buildId, "hex")));
	runs(lab, emulator);
	return { lab, guest };
}

/** Makes the guest of `vm` run on that clocksource from now on. */
export const hasClocksource = (lab: ScratchLab, name: string) => lab.write(`guest/${clock}`, `${name}\n`);

/** Makes the domain's process that program. */
export function runs(lab: ScratchLab, program: string): void {
	lab.write("run/libvirt/qemu/quickstart-vm.pid", `${pid}\n`);
	lab.write(`proc/${pid}/status`, "Uid:\t64055\t64055\nGroups:\t106 117 \n");
	symlinkSync(program, join(lab.root, `proc/${pid}/exe`));
}

/** What QEMU's events have in a session: the process that they are from. */
export const contexts = `{ vpid = ${pid}, vtid = ${pid} }, `;

/** Makes a session turn out to have these events, with nothing in them. */
export function records(lab: ScratchLab, qemu: readonly string[], guest: readonly string[]): void {
	const events = (names: readonly string[], rest: (name: string) => string) =>
		names.map((name, index): [bigint, string] => [900_000_000_000n + BigInt(index), rest(name)]);
	recordsLines(
		lab,
		events(qemu, (name) => `ust qemu:${name}: { cpu_id = 0 }, ${contexts}{ }`),
		events(guest, (name) => `kernel ${name}: { cpu_id = 1 }, { }`),
	);
}

/** How far this machine's wall clock is ahead of CLOCK_MONOTONIC, in nanoseconds, to half a millisecond. */
export function wallClockAhead(): bigint {
	for (;;) {
		const before = process.hrtime.bigint();
		const wall = Date.now();
		// Nobody was in between.
		if (process.hrtime.bigint() - before < 100_000n) return BigInt(wall) * 1_000_000n + 500_000n - before;
	}
}

/** What the guest's kernel has of its wall clock, in nanoseconds ahead of CLOCK_MONOTONIC. */
export const guestWallClock = 1_795_605_648_000_000_000n;

/** Makes a session turn out to have these lines of babeltrace2; in its metadata, the wall clocks are so far ahead. */
export function recordsLines(
	lab: ScratchLab,
	qemu: ScratchTrace["events"],
	guest: ScratchTrace["events"],
	ahead = { host: 5n, guest: 6n },
): void {
	const made = "../../../../../lttng/made";
	writeTrace(lab, `${made}/host/ust/uid/64055/64-bit`, { events: qemu, bootId: bootIds.host, offset: ahead.host });
	writeTrace(lab, `${made}/guest/kernel`, { events: guest, bootId: bootIds.guest, offset: ahead.guest });
}

/** Where the runs of the stack are, below the scratch root. */
export const folder = "var/lib/tracelab/runs/quickstart";
export const readRun = (lab: ScratchLab, name: string) =>
	runSchema.parse(JSON.parse(lab.read(`${folder}/${name}/run.json`)));
export const noBeacon = "guest vm has no clock-beacon: its clock is not put on the host's";
/** What libvirt says of a guest that hangs. */
export const hangs = "error: Guest agent is not responding: QEMU guest agent is not connected";
/** The words of a run, but for its command. */
export const traceRun = ["trace", "run", "block-io", "-d", "vm", "--name", "one"];

/** Makes LTTng have the session of the stack's flight recorder. */
export function flies(lab: ScratchLab, where: "host" | "guest"): void {
	for (const [file, text] of Object.entries({ on: "", mode: "1", pids: "", events: "" }))
		lab.write(`lttng/${where}/tracelab-quickstart-flight/${file}`, text);
}

/** What `lttng list --userspace` says where the QEMU of `vm` has these tracepoints. */
export const listed = (...names: string[]) =>
	`UST events:\n-------------\n\nPID: ${pid} - Name: /x\n${names.map((name) => `      qemu:${name} (loglevel: x) (type: tracepoint)\n`).join("")}`;

/** Holds a file or a folder of the lab as another command does; returns what ends that. */
export async function held(t: ExecutionContext, lab: ScratchLab, path: string): Promise<() => Promise<void>> {
	// One process alone, so that nothing holds it once that is killed; until then it only waits.
	const other = spawn("flock", ["--no-fork", join(lab.root, path), "sh", "-c", "echo held; exec sleep 600"]);
	const gone = once(other, "exit");
	t.teardown(() => other.kill("SIGKILL"));
	await once(other.stdout, "data");
	return async () => {
		other.kill("SIGKILL");
		await gone;
	};
}

/** Stops a run where what is written to a file of its finds no room, and once more where there is some again. */
export async function stopsOnceThereIsRoom(t: ExecutionContext, lab: ScratchLab, file: string, between = () => {}) {
	const full = join(lab.root, folder, "one", file);
	mkdirSync(dirname(full), { recursive: true });
	symlinkSync("/dev/full", full);
	const refused = await lab.lab(["trace", "stop"]);
	t.deepEqual(
		[refused.code, refused.stderr],
		[
			1,
			[
				"lab: run one is not whole yet: ENOSPC: no space left on device, write",
				"  what to do: make room (df -h shows on which disk), then: ./lab trace stop one; until then, nothing of it is removed",
			].join("\n"),
		],
	);
	t.is(readRun(lab, "one").ended, undefined);
	rmSync(full);
	between();
	const { code, stdout, stderr } = await lab.lab(["trace", "stop", "one"]);
	t.is(code, 0, stderr);
	return { run: readRun(lab, "one"), stdout };
}
