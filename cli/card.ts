import { readdirSync, readFileSync } from "node:fs";
import { didYouMean } from "../spec/did-you-mean.ts";
import { type LabCard, labCardPath, labCardSchema } from "../spec/lab-card.ts";
import { quote } from "../spec/quote.ts";
import { stackNames, unknownStack } from "../spec/stack-names.ts";
import { LabError, systemCode, UsageError } from "./errors.ts";
import { onHost, project } from "./host.ts";

/** A domain of a lab that is up. */
export interface Domain {
	/** Its name in the stack file. */
	readonly name: string;
	readonly card: LabCard["domains"][string];
	readonly kernel: LabCard["kernels"][string];
	readonly stack: string;
}

/** The stack that is meant where the command line names none. */
export const defaultStack = (): string => process.env["TRACELAB_STACK"] || "quickstart";

/** ` -s NAME` where a command needs it, for the commands that are shown to people. */
export function stackOption(stack: string): string {
	return stack === defaultStack() ? "" : ` -s ${stack}`;
}

const stacksFolder = `${project}/stacks`;

/** @throws UsageError for a stack that has no file */
export function checkStack(stack: string): void {
	if (stackNames(stacksFolder).includes(stack)) return;
	const { message, hint } = unknownStack(stack, stacksFolder);
	throw new UsageError(message, hint);
}

/** The card that `up` wrote. */
export function readCard(stack: string): LabCard {
	const file = onHost(labCardPath(stack));
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		if (systemCode(error) !== "ENOENT") throw new LabError(`${file} cannot be read: ${systemCode(error)}`);
		checkStack(stack);
		throw new LabError(`the lab of stack ${quote(stack)} is not up`, `bring it up: ./lab${stackOption(stack)} up`);
	}
	const card = labCardSchema.safeParse(parsed(text));
	if (card.success) return card.data;
	throw new LabError(`${file} is no lab card of this version`, `./lab${stackOption(stack)} up writes it again`);
}

/** The stacks whose labs are up on this machine, whoever's project they are of. */
export function labsHere(): string[] {
	try {
		const files = readdirSync(onHost("/var/lib/tracelab/labs")).filter((name) => /^[^.].*\.json$/.test(name));
		return files.map((name) => name.slice(0, -".json".length)).sort();
	} catch {
		return [];
	}
}

/** @throws UsageError for a domain that the lab has not */
export function findDomain(stack: string, name: string): Domain {
	const lab = readCard(stack);
	// Not what every object has: a domain may not be there and be asked for as "constructor".
	const card = own(lab.domains, name);
	if (card === undefined) {
		const there = Object.keys(lab.domains).sort();
		throw new UsageError(
			`the lab of stack ${quote(stack)} has no domain ${quote(name)}${didYouMean(name, there)}`,
			there.length === 0 ? "it has no domains at all" : `its domains: ${there.join(", ")}`,
		);
	}
	const kernel = own(lab.kernels, card.kernel);
	if (kernel === undefined) {
		throw new LabError(
			`the lab card knows no kernel ${quote(card.kernel)}, which domain ${quote(name)} runs`,
			`./lab${stackOption(stack)} up writes the card again`,
		);
	}
	return { name, card, kernel, stack };
}

function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
	return Object.hasOwn(table, key) ? table[key] : undefined;
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
