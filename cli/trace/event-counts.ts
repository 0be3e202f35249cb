import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { CtfLine } from "../../spec/ctf-line.ts";
import { ctfEvents, ctfTraces } from "../runs/ctf.ts";

export interface EventCounts {
	/** By the event's name, without QEMU's `qemu:`. */
	events: Record<string, number>;
	total: number;
}

/** Counts the events in the CTF traces below a folder, in one pass, in which `look` sees each of them. */
export async function countEvents(folder: string, look: (event: CtfLine) => void = () => {}): Promise<EventCounts> {
	const counts = new Map<string, number>();
	let total = 0;
	for (const trace of ctfTraces(folder)) {
		for await (const events of ctfEvents(trace)) {
			for (const event of events) {
				const name = plainName(event);
				counts.set(name, (counts.get(name) ?? 0) + 1);
				total++;
				look(event);
			}
		}
	}
	return { events: Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))), total };
}

export const plainName = ({ name }: CtfLine): string => name.replace(/^qemu:/, "");

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
