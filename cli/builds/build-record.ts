import { readdirSync, readFileSync } from "node:fs";
import { z } from "zod";
import { type Pin, pinOf } from "../../spec/lock.ts";
import { stackOption } from "../card.ts";
import { LabError, systemCode } from "../errors.ts";
import { onHost } from "../host.ts";
import type { BegunBuild } from "./begun-builds.ts";

/** What a build that is there noted of itself (scripts/lib/pins.sh). */
export function noted(prefix: string): Pin | undefined {
	const folder = onHost(`${prefix}/.tracelab-build-record`);
	try {
		const facts = readdirSync(folder).map((fact) => [fact, readFileSync(`${folder}/${fact}`, "utf8").trimEnd()]);
		return pinOf(Object.fromEntries(facts));
	} catch (error) {
		// An older tracelab noted nothing, or in another form.
		if (systemCode(error) === "ENOENT" || error instanceof z.ZodError) return undefined;
		throw error;
	}
}

/**
 * The same of builds of a lab, by their names.
 *
 * @throws LabError for one that noted nothing
 */
export function builtPins(stack: string, builds: readonly BegunBuild[]): Record<string, Pin> {
	return Object.fromEntries(
		builds.map((build) => {
			const pin = noted(build.prefix);
			if (pin === undefined) throw notNoted(stack, build);
			return [build.name, pin];
		}),
	);
}

function notNoted(stack: string, { name, prefix }: BegunBuild): LabError {
	const lab = `./lab${stackOption(stack)}`;
	return new LabError(
		`${name} says nothing of what it was made of: ${prefix} is not built, or was built by an older tracelab`,
		`build it again: ${lab} destroy, ./lab gc --older-than 0d, ${lab} up`,
	);
}
