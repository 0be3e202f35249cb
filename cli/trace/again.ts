import { labDifferences, stackHash, tracelabHash } from "../../spec/lab-hashes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { lockHash } from "../../spec/lock.ts";
import { type Layer, layers, type Profile } from "../../spec/profile.ts";
import { quote } from "../../spec/quote.ts";
import type { Run } from "../../spec/run.ts";
import { runDifferences } from "../../spec/run-differences.ts";
import { labsHere, readCard, stackOption } from "../card.ts";
import { asLabError, LabError, UsageError } from "../errors.ts";
import { project } from "../host.ts";
import { up } from "../lab/deployment.ts";
import { isLockOf, ownStack } from "../runs/own-stack.ts";
import { findRun } from "../runs/run-file.ts";
import { say, table } from "../terminal.ts";
import { readProfile } from "./record.ts";
import { traceRun } from "./run.ts";

/**
 * Records once more what a run recorded: the same command, profile, layers and domains, in the same lab, which is brought up
 * where it is not; then shows what differs. The command's output is ours, and its exit status is returned.
 *
 * @throws LabError where the lab does not come up, or is not what it was then, unless that is to be so (`anyway`)
 */
export async function traceAgain(
	stack: string,
	name: string,
	{ name: given, anyway = false }: { name?: string; anyway?: boolean },
): Promise<number> {
	const { run: before, folder } = findRun(stack, name);
	const profile = readProfile(before.profile);
	const [domain, ...others] = Object.keys(before.domains);
	if (before.ended === undefined || domain === undefined || (before.command === undefined && !profile.reset)) {
		throw new UsageError(
			`run ${quote(name)} has no command that could run again: it is no finished run of trace run`,
			`record one: ./lab${stackOption(stack)} trace run ${before.profile} -- COMMAND`,
		);
	}
	const differencesOf = (lab: readonly string[]): readonly string[] => {
		const differences = [...lab, ...profileThen(profile, before)];
		if (differences.length > 0 && !anyway) throw notTheSame(stack, before, differences, ownStack(folder));
		return differences;
	};
	if (!labsHere().includes(stack)) {
		differencesOf(declaredThen(stack, before));
		await bringUp(stack, name);
	}
	for (const line of differencesOf(labThen(stack, before))) say(`lab: ${line}`);
	const [only, ...more] = askedLayers(before);
	const { run: now, status } = await traceRun(stack, before.profile, before.command ?? [], {
		domains: [domain, ...others],
		...(given !== undefined && { name: given }),
		budget: before.budget,
		...(only !== undefined && more.length === 0 && { layer: only }),
	});
	say(table(["", before.run, now.run, ""], runDifferences(before, now)));
	return status;
}

async function bringUp(stack: string, run: string): Promise<void> {
	say(`lab: the lab of stack ${quote(stack)} is not up: bringing it up for ${run}`);
	const status = await up(stack, []);
	if (status === 0) return;
	throw new LabError(`the lab did not come up (exit status ${status})`, "what up said is above");
}

const askedLayers = ({ asked }: Run): Layer[] => layers.filter((layer) => asked[layer].length > 0);

/** What of a lab that is to come up would not be what it was then, as far as that can be told before anything is built. */
function declaredThen(stack: string, { run, lab }: Run): string[] {
	if (lab === undefined) return [notKnown(run)];
	const shown = (lock: string | undefined) => lock?.slice(0, 12) ?? "none";
	try {
		const now = { ...lab, stack: stackHash(loadStack(stack)), tracelab: tracelabHash() };
		const locks = isLockOf(lab, stack) ? [] : [`lock: ${shown(lab.lock)} → ${shown(lockHash(stack))}`];
		return [...labDifferences(lab, now), ...locks];
	} catch (error) {
		throw asLabError(error);
	}
}

/** What of the lab that is up is not what it was then. */
function labThen(stack: string, { run, lab, domains }: Run): string[] {
	const { hashes, domains: there } = readCard(stack);
	if (lab === undefined) return [notKnown(run)];
	const accelerations = Object.entries(domains).flatMap(([name, { acceleration }]) => {
		const now = there[name]?.acceleration.kind;
		return acceleration === now ? [] : [`acceleration of ${name}: ${acceleration} → ${now}`];
	});
	return [...labDifferences(lab, hashes), ...accelerations];
}

const notKnown = (run: string): string => `what the lab was is not known: an older tracelab recorded ${run}`;

function profileThen(profile: Profile, run: Run): string[] {
	const same = askedLayers(run).every(
		(layer) => run.asked[layer].toSorted().join() === Object.keys(profile[layer]).sort().join(),
	);
	return same ? [] : [`profile ${profile.name} names other events`];
}

/** @param own folder with the stack file and the lock that the run keeps, if it does */
function notTheSame(stack: string, { run, commit }: Run, differences: readonly string[], own?: string): LabError {
	const lab = `./lab${stackOption(stack)}`;
	const [id, edited] = commit?.split(", ") ?? [];
	const edits = edited === undefined ? "" : " and edit it as it was then (the commit alone is not it)";
	const back = id === undefined ? "take the tracelab of that time" : `git checkout ${id}${edits}`;
	const files = own === undefined ? "take the stack file and the lock of that time" : `cp -r ${own}/. ${project}`;
	return new LabError(
		`the lab is not what it was when ${run} was recorded:\n${differences.map((line) => `  ${line}`).join("\n")}`,
		[
			`${back}, then ${files}, then: ${lab} up`,
			`    or compare with the lab as it is: ${lab} trace again ${run} --anyway`,
		].join("\n"),
	);
}
