import { readFileSync } from "node:fs";
import { didYouMean } from "../../spec/did-you-mean.ts";
import { quote } from "../../spec/quote.ts";
import { stackOption } from "../card.ts";
import { LabError, UsageError } from "../errors.ts";
import { type BegunStep, begunSteps } from "./ownership.ts";

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
	const builds = begunSteps(stack)
		.map((step) => ({ step, text: readFileSync(step.file, "utf8") }))
		.filter(({ text }) => /^rebuild\(\)/m.test(text))
		.map(({ step, text }) => ({ name: step.name.replace(/-build$/, ""), step, prefix: prefixIn(text) ?? "" }));
	if (builds.length === 0) {
		throw new LabError(`stack ${quote(stack)} has no builds`, `bring it up: ./lab${stackOption(stack)} up`);
	}
	const names = builds.map(({ name }) => name);
	for (const one of wanted) {
		if (names.includes(one)) continue;
		throw new UsageError(
			`stack ${quote(stack)} has no build ${quote(one)}${didYouMean(one, names)}`,
			`its builds are: ${names.join(", ")}`,
		);
	}
	return wanted.length === 0 ? builds : builds.filter(({ name }) => wanted.includes(name));
}

/** The prefix that a step's program makes, where it makes one. */
export function prefixIn(program: string): string | undefined {
	return /^prefix='(\/opt\/tracelab\/[^'\n]+)'$/m.exec(program)?.[1];
}
