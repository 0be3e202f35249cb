import { existsSync } from "node:fs";
import type { LabCard } from "../../spec/lab-card.ts";
import { quote } from "../../spec/quote.ts";
import { endKilled } from "../clock/clock.ts";
import { LabError } from "../errors.ts";
import { isHeld } from "../hold.ts";
import { tracedRuns, writeRun } from "../runs/run-file.ts";
import { runsFolder } from "../runs/run-folder.ts";
import { say } from "../terminal.ts";
import { sessionStates } from "../trace/lttng.ts";
import { ended } from "../trace/record.ts";
import { endSession, recordOf, trialSession } from "../trace/session.ts";

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

/** Ends what still records runs of a lab that goes: the host's kernel would be recorded on and on. */
export async function endRuns(stack: string): Promise<void> {
	await endKilled();
	const goesOn = (session: string) => existsSync(recordOf(session));
	const recording = tracedRuns(stack).filter(({ ended }) => ended === undefined);
	for (const { run } of recording) {
		if (await isHeld(`${runsFolder(stack)}/${run}`)) {
			throw new LabError(
				`another command records run ${quote(run)}, or stops it`,
				"wait until that has ended, or end it by Ctrl-C; then destroy the lab",
			);
		}
	}
	for (const recorded of recording) {
		const { run, session } = recorded;
		const folder = `${runsFolder(stack)}/${run}`;
		const trial = trialSession(stack, run);
		if (goesOn(trial)) await endSession(stack, trial, `${folder}/calibration/qemu`);
		if (goesOn(session)) {
			say(`lab: run ${run} was being recorded: its session goes with the lab`);
			await endSession(stack, session, `${folder}/qemu`);
		}
		ended(recorded);
		recorded.notes.push("its lab was destroyed while it recorded");
		writeRun(folder, recorded);
	}
}
