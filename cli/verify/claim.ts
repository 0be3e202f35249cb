import { type Domain, stackOption } from "../card.ts";

/** Something that a lab is to be able to do, looked at on one domain. */
export interface Claim {
	readonly claim: string;
	/** What there must be to look at: a guest that runs, and does not wait for its debugger; or modules in it as well. */
	readonly on: "its process" | "its guest" | "its modules";
	/** One line of what was really seen. @throws LabError where it does not hold */
	readonly evidence: (domain: Domain) => Promise<string>;
}

/** `./lab up`, as a person types it for the lab of a domain. */
export const up = ({ stack }: Domain): string => `./lab${stackOption(stack)} up`;
