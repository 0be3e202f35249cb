import { type Domain, findDomain, readCard } from "../card.ts";
import { LabError } from "../errors.ts";
import { domainState } from "../libvirt.ts";
import { paint, print, say, table } from "../terminal.ts";
import { claims } from "./claims.ts";

/** What was seen of one claim on one domain. */
export interface Verdict {
	domain: string;
	claim: string;
	/** Where the guest waits for its debugger, what only a running guest can show is not looked at. */
	verdict: "pass" | "fail" | "not looked at";
	/** One line of what was really seen, or what is wrong. */
	evidence: string;
	/** What to do about it, where it failed. */
	todo?: string;
}

/** Looks at all that a lab claims to be, now; returns 1 where something does not hold. */
export async function verify(stack: string, { json = false }: { json?: boolean }): Promise<number> {
	const verdicts: Verdict[] = [];
	for (const name of Object.keys(readCard(stack).domains).sort()) {
		verdicts.push(...(await verifyDomain(findDomain(stack, name), json ? () => {} : progress)));
	}
	const failed = verdicts.filter(({ verdict }) => verdict === "fail");
	if (json) print(JSON.stringify(verdicts, null, 2));
	else {
		const colours = { pass: "green", fail: "red", "not looked at": "yellow" } as const;
		const rows = verdicts.map(({ domain, claim, verdict, evidence }) => [
			domain,
			claim,
			paint(colours[verdict], verdict),
			evidence,
		]);
		print(table(["DOMAIN", "CLAIM", "VERDICT", "EVIDENCE"], rows));
		for (const { domain, claim, todo } of failed) if (todo) print(`\n${domain}: ${claim}\n  what to do: ${todo}`);
		print(`\n${verdicts.filter(({ verdict }) => verdict === "pass").length} hold, ${failed.length} fail`);
	}
	return failed.length === 0 ? 0 : 1;
}

const progress = (text: string): void => {
	if (process.stderr.isTTY) say(`lab: looking: ${text}`);
};

async function verifyDomain(domain: Domain, looking: (text: string) => void): Promise<Verdict[]> {
	const state = await domainState(domain);
	const verdicts: Verdict[] = [];
	for (const { claim, evidence, guest } of claims) {
		const row = { domain: domain.name, claim };
		if (guest && state === "paused") {
			verdicts.push({ ...row, verdict: "not looked at", evidence: "the guest is paused: let it go on in gdb" });
			continue;
		}
		looking(claim);
		try {
			verdicts.push({ ...row, verdict: "pass", evidence: await evidence(domain) });
		} catch (error) {
			if (!(error instanceof LabError)) throw error;
			verdicts.push({
				...row,
				verdict: "fail",
				evidence: error.message.replaceAll(/\s*\n[\s|]*/g, " "),
				todo: error.todo,
			});
		}
	}
	return verdicts;
}
