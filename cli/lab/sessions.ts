import type { LabCard } from "../../spec/lab-card.ts";
import { LabError } from "../errors.ts";
import { tracedRuns } from "../runs/run-file.ts";
import { lttng } from "../trace/lttng.ts";

/** What records on the host for a lab. */
export interface Session {
	/** Of a flight recorder in the stack file, or of a run. */
	name: string;
	kind: "flight recorder" | "run";
	profile: string;
	domains: string[];
	/** What LTTng has of it on the host: active, inactive, or absent. */
	state: string;
}

/** The lab's flight recorders, and the runs that are being recorded. */
export async function listSessions(stack: string, lab: LabCard): Promise<Session[]> {
	const recorders = Object.entries(lab.traces).map(([name, { session, ...trace }]) => ({
		...{ name, kind: "flight recorder" as const, session },
		...{ profile: trace.profile, domains: trace.domains },
	}));
	const runs = tracedRuns(stack)
		.filter(({ ended }) => ended === undefined)
		.map(({ run, session, profile, domains }) => ({
			...{ name: run, kind: "run" as const, session },
			...{ profile, domains: Object.keys(domains).sort() },
		}));
	const all = [...recorders, ...runs];
	if (all.length === 0) return [];
	const states = await sessionStates();
	return all.map(({ session, ...shown }) => ({ ...shown, state: states.get(session) ?? "absent" }));
}

async function sessionStates(): Promise<Map<string, string>> {
	try {
		const xml = await lttng("--mi", "xml", "list");
		const sessions = xml.matchAll(/<session><name>([^<]*)<\/name>.*?<enabled>(true|false)</gs);
		return new Map([...sessions].map(([, name = "", enabled]) => [name, enabled === "true" ? "active" : "inactive"]));
	} catch (error) {
		// No daemon, no session.
		if (!(error instanceof LabError)) throw error;
		return new Map();
	}
}
