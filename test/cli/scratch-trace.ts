import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
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
	lab.write(`guest/${clock}`, "hpet\n");
	lab.write("guest/proc/sys/kernel/random/boot_id", `${bootIds.guest}\n`);
	lab.write("guest/proc/timer_list", `  .get_time:   ktime_get_real\n  .offset:     ${guestWallClock} nsecs\n`);
	writeFileSync(lab.write("sys/kernel/notes", ""), note("GNU", 3, Buffer.from(buildId, "hex")));
	runs(lab, emulator);
	return { lab, guest };
}

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
