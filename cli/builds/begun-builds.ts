import { readFileSync } from "node:fs";
import { didYouMean } from "../../spec/did-you-mean.ts";
import { quote } from "../../spec/quote.ts";
import { stackOption } from "../card.ts";
import { LabError, UsageError } from "../errors.ts";
import { type BegunStep, begunSteps } from "../lab/ownership.ts";

/** A build of a lab, by the step that makes it. */
export interface BegunBuild {
	/** As a person has it: kernel-main. */
	name: string;
	step: BegunStep;
	/** /opt/tracelab/KIND/HASH */
	prefix: string;
}

/**
 * The builds of a lab that were begun on this host, or those of them that are wanted.
 *
 * @throws UsageError for a name that is no build of the lab's, LabError where there are none
 */
export function begunBuilds(stack: string, wanted: readonly string[]): BegunBuild[] {
	const builds = allBegun(stack);
	if (builds.length === 0) {
		throw new LabError(`stack ${quote(stack)} has no builds`, `bring it up: ./lab${stackOption(stack)} up`);
	}
	checkWanted(
		stack,
		wanted,
		builds.map(({ name }) => name),
	);
	return wanted.length === 0 ? builds : builds.filter(({ name }) => wanted.includes(name));
}

/** All of them; none where the lab was never brought up. */
export function allBegun(stack: string): BegunBuild[] {
	return begunSteps(stack)
		.map((step) => ({ step, text: readFileSync(step.file, "utf8") }))
		.filter(({ text }) => /^rebuild\(\)/m.test(text))
		.map(({ step, text }) => ({ name: step.name.replace(/-build$/, ""), step, prefix: prefixIn(text) ?? "" }));
}

/** @throws UsageError for a name that is no build of the stack's */
export function checkWanted(stack: string, wanted: readonly string[], builds: readonly string[]): void {
	const unknown = wanted.find((name) => !builds.includes(name));
	if (unknown === undefined) return;
	throw new UsageError(
		`stack ${quote(stack)} has no build ${quote(unknown)}${didYouMean(unknown, builds)}`,
		`its builds are: ${builds.join(", ")}`,
	);
}

/** The prefix that a step's program makes, where it makes one. */
export function prefixIn(program: string): string | undefined {
	return /^prefix='(\/opt\/tracelab\/[^'\n]+)'$/m.exec(program)?.[1];
}
