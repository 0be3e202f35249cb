import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ctfEvents, ctfTraces } from "../runs/ctf.ts";

export interface EventCounts {
	/** By the event's name, without QEMU's `qemu:`. */
	events: Record<string, number>;
	total: number;
	/** By the process, where the trace says it: without the events in `except`. */
	processes: Map<number, number>;
}

/** Counts the events in the CTF traces below a folder. */
export async function countEvents(folder: string, except: readonly string[] = []): Promise<EventCounts> {
	const counts = new Map<string, number>();
	const processes = new Map<number, number>();
	let total = 0;
	for (const trace of ctfTraces(folder)) {
		for await (const events of ctfEvents(trace)) {
			for (const event of events) {
				const name = event.name.replace(/^qemu:/, "");
				counts.set(name, (counts.get(name) ?? 0) + 1);
				total++;
				if (!except.includes(name)) processes.set(event.pid, (processes.get(event.pid) ?? 0) + 1);
			}
		}
	}
	return { events: Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))), total, processes };
}

/** Bytes of the files below a folder; nothing where it is not there. */
export function bytesIn(folder: string): number {
	try {
		return readdirSync(folder, { recursive: true, withFileTypes: true })
			.filter((entry) => entry.isFile())
			.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
	} catch {
		return 0;
	}
}
