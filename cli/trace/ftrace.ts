import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { type FtraceSystem, ftraceMetadata, ftracePacket } from "../../spec/ftrace-ctf.ts";
import { type FtraceEvent, ftraceEvents } from "../../spec/ftrace-format.ts";
import { type FtracePage, pageSize, readPage } from "../../spec/ftrace-page.ts";
import type { Run } from "../../spec/run.ts";
import { LabError } from "../errors.ts";

/** What became of a kernel's part. */
export interface FtracePart {
	/** LTTng's names of the events that were recorded. */
	readonly chosen: readonly string[];
	readonly discarded: number;
}

/**
 * Makes a CTF trace of what scripts/lib/ftrace.sh left of a kernel's part: `events`, `formats`, `system` and `stats`, and
 * a file of pages for each processor.
 *
 * @param mode of a snapshot, what was written over is no loss
 * @throws LabError for what is none of ftrace's
 */
export async function ftraceToCtf(from: string, to: string, mode: Run["mode"]): Promise<FtracePart> {
	const text = (name: string) => readFileSync(join(from, name), "utf8");
	const names = text("events");
	const events = ftraceEvents(text("formats"), names);
	const byId = new Map(events.map((event) => [event.id, event]));
	const stats = text("stats");
	mkdirSync(to, { recursive: true });
	let discarded = 0;
	for (const name of readdirSync(from).sort()) {
		const cpu = /^cpu(\d+)$/.exec(name)?.[1];
		if (cpu === undefined) continue;
		const lost = lostIn(stats, name, mode);
		try {
			await writeStream(join(from, name), join(to, name), byId, Number(cpu), lost);
		} catch (error) {
			if (!(error instanceof RangeError)) throw error;
			throw new LabError(`what ftrace recorded on ${name} cannot be read: ${error.message}`);
		}
		discarded += lost;
		if (statSync(join(to, name)).size === 0) rmSync(join(to, name));
	}
	// Readers take a trace without streams for a broken one.
	if (readdirSync(to).length > 0) writeFileSync(join(to, "metadata"), ftraceMetadata(events, systemIn(text("system"))));
	return { chosen: names.split("\n").flatMap((line) => line.split(" ")[0] || []), discarded };
}

/** A line each: host name, release, boot_id, and how far the wall clock was ahead when the recording began. */
function systemIn(text: string): FtraceSystem {
	const [hostname = "", release = "", uuid = "", offset = ""] = text.split("\n");
	if (!/^\d+$/.test(offset)) {
		throw new LabError(
			"/proc/timer_list of the traced kernel does not say how its wall clock stands to CLOCK_MONOTONIC",
			"see that the kernel has CONFIG_HIGH_RES_TIMERS",
		);
	}
	return { hostname, release, uuid, offset: BigInt(offset) };
}

/** Events that a processor lost, of per_cpu/cpuN/stats. */
function lostIn(stats: string, cpu: string, mode: Run["mode"]): number {
	// Entries are what nobody read, as where there was no room for traces.
	const counters = ["commit overrun", "dropped events", ...(mode === "stream" ? ["overrun", "entries"] : [])];
	return counters
		.map((counter) => Number(new RegExp(`/${cpu}/stats:${counter}: (\\d+)$`, "m").exec(stats)?.[1] ?? 0))
		.reduce((sum, count) => sum + count, 0);
}

/** A packet for each page; the last one has the count of all that was lost, since pages do not say all of it. */
async function writeStream(
	from: string,
	to: string,
	events: ReadonlyMap<number, FtraceEvent>,
	cpu: number,
	lost: number,
): Promise<void> {
	const [pages, stream] = [await open(from), await open(to, "w")];
	try {
		let missed = 0;
		let page = await nextPage(pages);
		while (page !== undefined) {
			const next = await nextPage(pages);
			missed = Math.min(missed + (page.missed ?? 0), lost);
			const packet = ftracePacket(events, page.records, cpu, next === undefined ? lost : missed);
			if (packet !== undefined) await stream.write(packet);
			page = next;
		}
	} finally {
		await pages.close();
		await stream.close();
	}
}

/** What is no whole page is where there was no more room. */
async function nextPage(pages: Awaited<ReturnType<typeof open>>): Promise<FtracePage | undefined> {
	const { buffer, bytesRead } = await pages.read(Buffer.alloc(pageSize), 0, pageSize);
	return bytesRead < pageSize ? undefined : readPage(buffer);
}
