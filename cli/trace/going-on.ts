import { type Layer, layers, type Profile } from "../../spec/profile.ts";
import { quote } from "../../spec/quote.ts";
import type { Run } from "../../spec/run.ts";
import { type Domain, findDomain, readCard, stackOption } from "../card.ts";
import { LabError, UsageError } from "../errors.ts";
import { tryToHold } from "../hold.ts";
import { findRun, tracedRuns } from "../runs/run-file.ts";
import { runsFolder } from "../runs/run-folder.ts";
import type { Recording } from "./record.ts";

/**
 * A run that `trace start` began, or that was left when `trace run` or `start` was killed: nobody else ends or rotates it until this
 * process ends.
 *
 * @param name of none, the only one
 */
export function holdRecording(stack: string, name: string | undefined): Recording {
	const { run } = recordingOf(stack, name);
	if (!tryToHold(`${runsFolder(stack)}/${run.run}`)) {
		throw new LabError(
			`another command records run ${quote(run.run)}, or stops it`,
			"wait until that has ended, or end it by Ctrl-C",
		);
	}
	// As it is by now.
	return recordingOf(stack, run.run);
}

function recordingOf(stack: string, name: string | undefined): Recording {
	const recorded = tracedRuns(stack).filter(({ ended }) => ended === undefined);
	const run = name === undefined && recorded.length === 1 ? recorded[0] : recorded.find((one) => one.run === name);
	const lab = `./lab${stackOption(stack)}`;
	if (run !== undefined) {
		const { asked, session } = run;
		const chosen = layers.filter((layer) => layer === "qemu" || asked[layer].length > 0);
		return {
			run,
			guestFaults: new Map(),
			folder: `${runsFolder(stack)}/${run.run}`,
			session: {
				stack,
				session,
				profile: recordedBy(run),
				layers: chosen,
				domains: thereStill(stack, run),
				folder: `${runsFolder(stack)}/${run.run}/qemu`,
			},
		};
	}
	if (name !== undefined) {
		findRun(stack, name);
		throw new LabError(`run ${quote(name)} is not being recorded`, `${lab} trace ls lists the runs`);
	}
	if (recorded.length === 0) throw new LabError("nothing is being recorded", `start it: ${lab} trace start PROFILE`);
	throw new UsageError("which run?", `those that are being recorded: ${recorded.map((one) => one.run).join(", ")}`);
}

/** What a run records, by itself: its profile may be another by now. */
function recordedBy({ profile, budget, asked }: Run): Profile {
	const events = (layer: Layer) => Object.fromEntries(asked[layer].map((name) => [name, ""]));
	return {
		...{ name: profile, description: "", reset: false, budget },
		...{ qemu: events("qemu"), guest: events("guest"), host: events("host") },
	};
}

/** The domains of a run, but for those that the lab has lost since: what they had not given went with them. */
function thereStill(stack: string, { domains, notes }: Run): Domain[] {
	const { domains: there } = readCard(stack);
	return Object.keys(domains).flatMap((name) => {
		if (Object.hasOwn(there, name)) return findDomain(stack, name);
		const note = `the lab has no domain ${name} any more: what it had not given is lost`;
		if (!notes.includes(note)) notes.push(note);
		return [];
	});
}
