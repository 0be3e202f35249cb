import { sessionInputs } from "../../spec/session-inputs.ts";
import { type Domain, findDomain } from "../card.ts";
import { LabError } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { findProbe, isEdited } from "../probe/probe.ts";
import { checkFits, whatUpCompiled } from "../probe/run.ts";
import { runScript } from "../script.ts";
import { lttng } from "../trace/lttng.ts";
import { whatToRecord } from "../trace/record.ts";
import { domainLines } from "../trace/session.ts";
import { probesOf, recordersOf, up } from "./claim.ts";

// What a stack file has beside domains.

export async function probes(domain: Domain): Promise<string> {
	const agent = new GuestAgent(domain);
	const seen: string[] = [];
	for (const [name, built] of Object.entries(probesOf(domain)).sort()) {
		const probe = findProbe(domain.stack, name, undefined);
		const compiled = whatUpCompiled(probe, built);
		if (isEdited(built))
			throw new LabError(`${probe.script} was edited since probe ${name} was compiled`, `${up(domain)} compiles it`);
		await checkFits(probe, compiled, agent);
		seen.push(`${compiled.module}.ko for build-id ${compiled.kernel}`);
	}
	return seen.join(", ");
}

export async function recorders(domain: Domain): Promise<string> {
	const { stack } = domain;
	const seen: string[] = [];
	for (const [name, { session, domains }] of Object.entries(recordersOf(domain)).sort()) {
		const inputs = {
			...{ stack, step: name, session, mode: "snapshot", folder: "" },
			domains: domainLines(domains.map((name) => findDomain(stack, name))),
			...sessionInputs(whatToRecord(stack, name).profile),
		};
		// As a preview looks at it.
		const drift = (await runScript("trace-record", inputs, ["probe"])).trim();
		if (drift !== "")
			throw new LabError(
				drift,
				`${up(domain)} mends it; but take a tracepoint that QEMU does not have out of a copy of the profile`,
			);
		const shown = (await lttng("list", session)).split("\n").find((line) => line.includes(session));
		seen.push(shown?.trim() ?? session);
	}
	return seen.join(", ");
}
