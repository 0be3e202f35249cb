import { createReadStream } from "node:fs";
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
