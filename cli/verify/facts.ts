import { factNames } from "../../spec/hypervisor.ts";
import { quote } from "../../spec/quote.ts";
import { type Domain, findDomain, stackOption } from "../card.ts";
import { LabError } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { mustRun } from "../libvirt.ts";
import { paint, print, say, table } from "../terminal.ts";

/** The program in the guest: guest/hypervisor-facts.c. */
const hypervisorFacts = "/lab/bin/hypervisor-facts";

/** How a shell ends that finds no such program. */
const notFound = 127;

/** Shows by what a guest can tell that it is one, beside what the stack file expects; 1 where that differs. */
export async function showFacts(stack: string, name: string, { json = false }: { json?: boolean }): Promise<number> {
	const domain = findDomain(stack, name);
	await mustRun(domain, "not paused");
	const facts = await lookFromInside(domain);
	const expected = mustSee(domain);
	const differing = notAsExpected(facts, expected);
	if (json) {
		print(JSON.stringify({ domain: name, facts, expected, differing }, null, 2));
	} else {
		const rows = factNames.map((fact) => [
			paint("bold", fact),
			paint(differing.includes(fact) ? "red" : "green", shownFact(fact, facts)),
			expected[fact] ?? "",
		]);
		print(table(["FACT", "SEEN IN THE GUEST", "EXPECTED"], rows));
	}
	for (const fact of differing) {
		say(`lab: ${name}: ${fact} is ${shownFact(fact, facts)}, and ${expected[fact]} is expected`);
	}
	return differing.length === 0 ? 0 : 1;
}

/** CPUID leaf 0x40000000 where nothing hides or changes it. */
const ownSignature = { kvm: "KVMKVMKVM", tcg: "TCGTCGTCGTCG" } as const;

/** What the guest must see: how it is run, but for what the stack file says otherwise. */
export function mustSee({ card }: Domain): Facts {
	return { signature: ownSignature[card.acceleration.kind], hypervisorFlag: "true", ...card.hypervisor.expected };
}

/** Facts of a guest, by their names. */
type Facts = Readonly<Record<string, string>>;

/** The facts that are other than expected; one that the guest cannot tell any more is not compared. */
export function notAsExpected(facts: Facts, expected: Facts): (typeof factNames)[number][] {
	return factNames.filter(
		(fact) => expected[fact] !== undefined && expected[fact] !== facts[fact] && !overwritten(fact, facts),
	);
}

export function shownFact(fact: string, facts: Facts): string {
	const seen = facts[fact] ?? "none";
	return overwritten(fact, facts) ? `${seen} (the start of its dmesg was overwritten)` : seen;
}

/** The kernel says it once, early in its boot. */
const overwritten = (fact: string, facts: Facts) => fact === "kernelDetects" && facts[fact] === "unknown";

/** What the guest sees now. */
export async function lookFromInside(domain: Domain): Promise<Record<string, string>> {
	const { code, stdout, stderr } = await new GuestAgent(domain).exec(["/bin/sh", "-c", hypervisorFacts]);
	if (code === notFound) {
		throw new LabError(
			`${quote(domain.name)} has no ${hypervisorFacts}`,
			`./lab${stackOption(domain.stack)} up builds it and shows it to the guest`,
		);
	}
	if (code !== 0) {
		throw new LabError(
			`${hypervisorFacts} in ${quote(domain.name)}: ${stderr.toString().trim()}`,
			`run it by hand: ./lab${stackOption(domain.stack)} exec ${domain.name} -- ${hypervisorFacts}`,
		);
	}
	const lines = stdout.toString().trimEnd().split("\n");
	return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}
