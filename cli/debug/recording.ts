import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { labHashesSchema } from "../../spec/lab-hashes.ts";
import { quote } from "../../spec/quote.ts";
import { runSchema } from "../../spec/run.ts";
import { stackOption } from "../card.ts";
import { LabError, UsageError } from "../errors.ts";
import { runFolder } from "../runs/run-folder.ts";

const schema = z.object({
	stack: z.string(),
	domain: z.string(),
	emulator: z.string(),
	/** /opt/tracelab/kernel/HASH, and the build-id of the kernel that was there. */
	kernel: z.string(),
	buildId: z.string(),
	/** What that QEMU, that kernel and the image had come to, by their prefixes. Recordings of before do not say. */
	results: z.record(z.string(), z.string()).exactOptional(),
	/** What the lab was, by its card at that time, and what recorded it, as in a traced run. Recordings of before say neither. */
	lab: labHashesSchema.exactOptional(),
	...runSchema.pick({ commit: true, cli: true }).shape,
	tracelab: z.string().exactOptional(),
	/** MiB. */
	memory: z.number(),
	commandLine: z.string(),
	command: z.array(z.string()),
	/** Exit status of the command; none where the guest did not come to its end, as after a panic. */
	status: z.number().exactOptional(),
	/** Seconds that it took to record. */
	seconds: z.number(),
});

/** A guest's boot, and a command in it, of which QEMU has written down all that was not decided by what came before. */
export type Recording = z.infer<typeof schema>;

/** The files of a recording, in its folder. */
export const files = {
	about: "recording.json",
	/** What is not decided by what came before: interrupts, clocks, the disks' answers. */
	log: "replay.bin",
	/** An overlay over the image with the machine as it was at the start. */
	disk: "disk.qcow2",
	/** The guest's /lab, and what it runs. */
	lab: "lab.img",
	/** The guest's /lib/modules, for gdb. Recordings of before have none. */
	modules: "modules",
	console: "console.log",
	/** What the console had in the last replay. */
	replayed: "replayed-console.log",
} as const;

/** Is it the run of a trace, and no recording? */
export function isTraced(stack: string, run: string): boolean {
	const folder = runFolder(stack, run);
	return existsSync(`${folder}/run.json`) && !existsSync(`${folder}/${files.about}`);
}

/** @throws LabError for a run that is no recording */
export function readRecording(stack: string, run: string): { folder: string; recording: Recording } {
	const folder = runFolder(stack, run);
	const file = `${folder}/${files.about}`;
	if (!existsSync(file)) {
		throw new UsageError(
			`run ${quote(run)} is no recording that can be replayed in gdb`,
			isTraced(stack, run)
				? `it is a traced run, which is recorded once more by: ./lab${stackOption(stack)} replay ${run}`
				: `make one: ./lab${stackOption(stack)} record DOMAIN -- COMMAND`,
		);
	}
	const recording = schema.safeParse(JSON.parse(readFileSync(file, "utf8")));
	if (recording.success) return { folder, recording: recording.data };
	throw new LabError(`${file} is of another version of tracelab`, "record it again");
}

/** What the guest runs in place of systemd. */
const start = "mount -n -t ext4 -o ro /dev/vdb /lab && exec /bin/sh /lab/record";

/**
 * The arguments of a QEMU that records, or replays, in the folder that it is started in. One processor, since two are
 * not in step; disks behind blkreplay, which has their answers come when they came; nothing else that a host could
 * surprise it with. The snapshot is what it goes back to for what lies behind it.
 */
export function recordingArguments(
	mode: "record" | "replay",
	{ kernel, memory, commandLine }: Pick<Recording, "kernel" | "memory" | "commandLine">,
): string[] {
	const disk = (id: string, options: string, readOnly: boolean) => [
		...["-drive", `if=none,id=${id},${options}${readOnly ? ",readonly=on" : ""}`],
		...["-drive", `if=none,id=${id}-replay,driver=blkreplay,image=${id}${readOnly ? ",readonly=on" : ""}`],
		...["-device", `virtio-blk-pci,drive=${id}-replay`],
	];
	return [
		...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-net", "none"],
		...["-machine", "pc,usb=off", "-accel", "tcg", "-cpu", "qemu64", "-smp", "1", "-m", String(memory)],
		// Its reset, with each snapshot that is loaded, waits for the processor, which waits for the replay: for ever.
		...["-global", "apic-common.vapic=off"],
		...["-icount", `shift=3,rr=${mode},rrfile=${files.log},rrsnapshot=start`],
		...["-kernel", `${kernel}/bzImage`, "-append", `${commandLine} init=/bin/sh -- -c "${start}"`],
		...disk("disk", `file=${files.disk}`, false),
		...disk("lab", `file=${files.lab},format=raw`, true),
		...["-chardev", `file,id=console,path=${files.console}`, "-serial", "chardev:console"],
	];
}
