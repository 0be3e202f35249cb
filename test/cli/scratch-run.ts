import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ScratchLab } from "./scratch-lab.ts";

/** The real babeltrace2, where this machine has it. */
export const babeltrace = (process.env["PATH"] ?? "")
	.split(":")
	.map((folder) => join(folder, "babeltrace2"))
	.find((file) => existsSync(file));

/** Instants of the same beacons, in nanoseconds of each clock: the guest's runs behind, and is read around the write. */
const ahead = 15_103_888_406_351n;

/** The clocks that the scratch runs were recorded by. */
export const bootIds = { host: "73a9ebdb-ccef-4e0d-8191-2d7ce3aa7223", guest: "e5cb1341-9a6f-487e-8607-171604e20c01" };

export interface ScratchTrace {
	/** Lines of babeltrace2, time and all. */
	events: readonly (readonly [cycles: bigint, rest: string])[];
	bootId: string;
	offset: bigint;
	/** Is the program to fail behind its events? */
	broken?: boolean;
}

/** A `babeltrace2` that shows what lies beside the metadata, of pieces in one order; of a trace that is one, the real one does. */
export function fakeBabeltrace(lab: ScratchLab): void {
	lab.fake(
		"babeltrace2",
		`folders=("\${@:5}")
		[ "$1" != --output-format=ctf-metadata ] || folders=("$2")
		[ "$1" != query ] || mapfile -t folders < <(grep -o '"[^"]*"' <<<"$4" | tr -d '"')
		[ -e "\${folders[0]}/text" ] || exec ${babeltrace} "$@"
		if [ "$1" = query ]; then
			cat "\${folders[@]/%//range}"
		elif [ "$1" = --output-format=ctf-metadata ]; then
			cat "$2/metadata"
		else
			[ "\${*:1:4}" = "--clock-cycles --no-delta --fields=trace:domain --color=never" ] || exit 98
			sort --stable --field-separator='[' --key=2n "\${folders[@]/%//text}"
			if [ -e "\${folders[0]}/broken" ]; then echo "ERROR: a packet is broken" >&2; exit 1; fi
		fi`,
	);
}

/** Writes a trace into a run of the stack quickstart. */
export function writeTrace(lab: ScratchLab, path: string, { events, bootId, offset, broken }: ScratchTrace): void {
	const folder = `var/lib/tracelab/runs/quickstart/${path}`;
	const clock = ["clock {", '\tname = "monotonic";', `\tuuid = "${bootId}";`, "\tfreq = 1000000000;"];
	lab.write(`${folder}/metadata`, [...clock, `\toffset = ${offset};`, "};", ""].join("\n"));
	lab.write(`${folder}/text`, events.map(([cycles, rest]) => `[${cycles}] ${rest}\n`).join(""));
	const ends = events.length === 0 ? [] : [events[0]?.[0] ?? 0n, events.at(-1)?.[0] ?? 0n];
	const range = ends.map((time, index) => `        ${index === 0 ? "begin" : "end"}: ${time + offset}\n`).join("");
	lab.write(`${folder}/range`, `- \n  stream-infos: \n    - \n      range-ns: \n${range}`);
	if (broken) lab.write(`${folder}/broken`, "");
}

/** Beacons as both sides have them: every third after a pause, none like another. */
export function beacons(count: number, stop = 0n) {
	let guest = 900_000_000_000n;
	const lines: string[] = [];
	const written: [bigint, string][] = [];
	for (let sequence = 0; sequence < count; sequence++) {
		guest += sequence % 3 === 0 ? 10_000_000n + BigInt((sequence * 7919) % 4001) * 1000n : 4_000n;
		const stopped = sequence >= count / 2 ? stop : 0n;
		lines.push(`${sequence} ${guest - 1_200n} ${guest + 1_500n}\n`);
		const value = (sequence % 256).toString(16).toUpperCase();
		const fields = `{ cpu_index = 0, mr = 0x55, addr = 0xA20, value = 0x${value}, size = 1, name = "io" }`;
		written.push([guest + ahead + stopped, `ust qemu:memory_region_ops_write: { cpu_id = 1 }, ${fields}`]);
	}
	return { lines: lines.join(""), written };
}

/** The host's time of an instant of the guest's. */
export const hostTime = (guest: bigint): bigint => guest + ahead;

/**
 * Reads of a disk as both sides have them, each 50 µs on its way to QEMU, 50 µs there, and 90 µs back; the guest's clock
 * then shifted.
 */
export function diskReads(count: number, { shift = 0n, contexts = "" } = {}) {
	const [qemu, guest]: [[bigint, string][], [bigint, string][]] = [[], []];
	for (let request = 0; request < count; request++) {
		const at = 900_100_000_000n + BigInt(request) * 1_000_000n;
		const disk = `dev = 1, sector = ${request * 8}, nr_sector = 8`;
		const call = (time: bigint, name: string, fields: string) => {
			const groups = `{ cpu_id = 0 }, ${contexts}{ vdev = 0x1, req = 0x2, ${fields} }`;
			qemu.push([hostTime(time), `ust qemu:virtio_blk_${name}: ${groups}`]);
		};
		const issued = `{ ${disk}, bytes = 4096, rwbs = 36, comm = "dd" }`;
		guest.push([at + shift, `kernel block_rq_issue: { cpu_id = 1 }, ${issued}`]);
		call(at + 50_000n, "handle_read", `sector = ${request * 8}, nsectors = 8`);
		call(at + 100_000n, "req_complete", "status = 0");
		const completed = `{ ${disk}, error = 0, rwbs = 36 }`;
		guest.push([at + 190_000n + shift, `kernel block_rq_complete: { cpu_id = 1 }, ${completed}`]);
	}
	return { qemu, guest };
}

/** The interrupts of those reads: each is sent 3 µs after QEMU is done, and handled 20 µs before the guest is. */
export function diskInterrupts(count: number) {
	const [qemu, guest]: [[bigint, string][], [bigint, string][]] = [[], []];
	for (let request = 0; request < count; request++) {
		const at = 900_100_000_000n + BigInt(request) * 1_000_000n;
		const call = (time: bigint, name: string, fields: string) =>
			qemu.push([hostTime(time), `ust qemu:virtio_${name}: { cpu_id = 0 }, { vdev = 0x1, ${fields}vq = 0x3 }`]);
		call(at + 45_000n, "queue_notify", "n = 0, ");
		call(at + 103_000n, "notify_irqfd", "");
		guest.push([at + 170_000n, 'kernel irq_handler_entry: { cpu_id = 1 }, { irq = 29, name = "virtio2-req.0" }']);
	}
	return { qemu, guest };
}

/** Events of one trace, in their order. */
export const inOrder = (...events: readonly (readonly (readonly [bigint, string])[])[]) =>
	events.flat().sort(([one], [two]) => (one < two ? -1 : 1));
