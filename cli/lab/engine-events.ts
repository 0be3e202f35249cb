import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import type { StateResource } from "./engine.ts";

/** What the engine does, or would do, with one resource. */
export interface ResourceStep {
	op: string;
	urn: string;
	type: string;
	old?: StateResource | null;
	new?: StateResource | null;
}

/** A line of the engine's event log, as far as it matters here. */
export interface EngineEvent {
	/** Seconds since 1970: it has no finer clock. */
	timestamp: number;
	resourcePreEvent?: { metadata: ResourceStep };
	resOutputsEvent?: { metadata: ResourceStep };
	resOpFailedEvent?: { metadata: ResourceStep };
	diagnosticEvent?: { urn?: string; message: string; severity: string };
}

/** What makes the engine log its events. */
export interface EventLog {
	file: string;
	options: readonly string[];
	env: Readonly<Record<string, string>>;
}

/** Has a log of the engine's events for as long as `work` takes. */
export async function withEventLog<T>(work: (log: EventLog) => Promise<T>): Promise<T> {
	const scratch = mkdtempSync(join(tmpdir(), "tracelab-events-"));
	const file = join(scratch, "events");
	try {
		// --event-log is an option only for those who debug, says pulumi.
		return await work({ file, options: ["--event-log", file], env: { PULUMI_DEBUG_COMMANDS: "true" } });
	} finally {
		rmSync(scratch, { recursive: true, force: true });
	}
}

/** The events of a log, in order; none where there is no log. A killed engine leaves half a line. */
export async function* engineEvents(eventLog: string): AsyncGenerator<EngineEvent> {
	try {
		for await (const line of createInterface({ input: createReadStream(eventLog) })) {
			const event = parsed(line);
			if (typeof event === "object" && event !== null) yield event as EngineEvent;
		}
	} catch {} // No log, no events.
}

function parsed(line: string): unknown {
	try {
		return JSON.parse(line);
	} catch {
		return undefined;
	}
}
