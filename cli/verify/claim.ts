import type { LabCard } from "../../spec/lab-card.ts";
import { type Domain, readCard, stackOption } from "../card.ts";

/** Something that a lab is to be able to do, looked at on one domain. */
export interface Claim {
	readonly claim: string;
	/** The tutorial in docs/tutorials/, or else the contract in docs/architecture.md, that it is of, by name. */
	readonly about: string;
	/** What there must be to look at: a guest that runs, and does not wait for its debugger; or something in it as well. */
	readonly on: "its process" | "its guest" | OfSome;
	/** One line of what was really seen. @throws LabError where it does not hold */
	readonly evidence: (domain: Domain) => Promise<string>;
}

/** What a stack file gives to some domains. */
export type OfSome = "its modules" | "its probes" | "its flight recorders";

/** The names of what a domain has of that. */
export function namesOf(domain: Domain, what: OfSome): string[] {
	if (what === "its modules") return Object.keys(domain.card.modules).sort();
	return Object.keys(what === "its probes" ? probesOf(domain) : recordersOf(domain)).sort();
}

export const probesOf = ({ name, stack }: Domain): LabCard["probes"] =>
	only(readCard(stack).probes, (probe) => probe.domain === name);

export const recordersOf = ({ name, stack }: Domain): LabCard["traces"] =>
	only(readCard(stack).traces, ({ domains }) => domains.includes(name));

function only<Part>(parts: Readonly<Record<string, Part>>, wanted: (part: Part) => boolean): Record<string, Part> {
	return Object.fromEntries(Object.entries(parts).filter(([, part]) => wanted(part)));
}

/** `./lab up`, as a person types it for the lab of a domain. */
export const up = ({ stack }: Domain): string => `./lab${stackOption(stack)} up`;

/** What mends a process that is other than its definition has it. */
export const startedAgain = (domain: Domain, what: string): string =>
	`a domain that is started again ${what}: ./lab${stackOption(domain.stack)} exec ${domain.name} -- poweroff, then ${up(domain)}`;
