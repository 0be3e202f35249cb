import { AccelerationError, askedFor, decideAcceleration } from "../../spec/acceleration.ts";
import type { Domain } from "../card.ts";
import { LabError } from "../errors.ts";
import { hostFacts } from "../host-facts.ts";
import { monitor } from "../libvirt.ts";
import { startedAgain, up } from "./claim.ts";
import { processOf } from "./process.ts";

// What QEMU's monitor shows of a domain's machine.

export async function acceleration(domain: Domain): Promise<string> {
	processOf(domain);
	const { kind, reason } = domain.card.acceleration;
	const seen = await monitor(domain, "info kvm");
	if (seen.endsWith(": enabled") !== (kind === "kvm")) {
		throw new LabError(
			`info kvm: ${seen}, and the lab card says ${kind}: ${reason}`,
			startedAgain(domain, "runs as it is defined"),
		);
	}
	const now = reason === askedFor ? { kind, reason } : decideAcceleration("auto", await hostFacts());
	if (now.kind === kind && now.reason === reason) return `info kvm: ${seen}; ${kind}: ${reason}`;
	throw new LabError(
		`the lab card says ${kind}: ${reason}; it would be ${now.kind} now: ${now.reason}`,
		`${up(domain)} decides it again`,
	);
}

/** What `up` would say of `acceleration: kvm` on this host now. */
export async function refusal({ card }: Domain): Promise<string> {
	const facts = await hostFacts();
	try {
		decideAcceleration("kvm", facts);
		return `acceleration: kvm can work on this host: the processor shows ${facts.virtualization}`;
	} catch (error) {
		if (!(error instanceof AccelerationError)) throw error;
		const [refused = "", todo = ""] = error.message.split("\n  what to do: ");
		const { kind, reason } = card.acceleration;
		if (kind === "kvm" && reason === askedFor) throw new LabError(refused, todo);
		return refused;
	}
}

export async function network(domain: Domain): Promise<string> {
	processOf(domain);
	const seen = await monitor(domain, "info network");
	if (seen === "") return "info network: none";
	throw new LabError(`info network: ${seen.split(/\s*\n\s*/).join("; ")}`, startedAgain(domain, "has none"));
}
