import { type Domain, findDomain, readCard } from "../card.ts";
import { inOrder } from "../ending.ts";
import { LabError } from "../errors.ts";
import { mustRun, PausedError } from "../libvirt.ts";
import { print, say } from "../terminal.ts";
import { type Claim, namesOf } from "./claim.ts";
import { claims } from "./claims.ts";
import { verdictTable } from "./verdict-table.ts";

/** What was seen of one claim on one domain. */
export interface Verdict {
	domain: string;
	claim: string;
	/** The tutorial or the contract that the claim is of. */
	about: string;
	/** Of a guest that waits for its debugger as its stack file asks, or has no modules or probes, some things cannot be looked at. */
	verdict: "pass" | "fail" | "not looked at";
	/** One line of what was really seen, or what is wrong. */
	evidence: string;
	/** What to do about it, where it did not pass. */
	todo?: string;
}

/** Looks at all that a lab claims to be, now; returns 1 where something does not hold. */
export async function verify(stack: string, { json = false }: { json?: boolean }): Promise<number> {
	const verdicts = await inOrder((interrupted) => lookAtAll(stack, !json && process.stderr.isTTY, interrupted));
	const count = (which: Verdict["verdict"]) => verdicts.filter(({ verdict }) => verdict === which).length;
	if (json) print(JSON.stringify(verdicts, null, 2));
	else {
		const unseen = count("not looked at");
		print(verdictTable(verdicts, process.stdout.columns));
		print(`\n${count("pass")} hold, ${count("fail")} fail${unseen === 0 ? "" : `, ${unseen} not looked at`}`);
	}
	return count("fail") === 0 ? 0 : 1;
}

/** What is being looked at when a person interrupts it ends as it would, so that nothing of it stays. */
async function lookAtAll(stack: string, aloud: boolean, interrupted: AbortSignal): Promise<Verdict[]> {
	const verdicts: Verdict[] = [];
	for (const name of Object.keys(readCard(stack).domains).sort()) {
		const domain = findDomain(stack, name);
		for (const claim of claims) {
			if (aloud) say(`lab: ${name}: looking: ${claim.claim}`);
			const { about } = claim;
			verdicts.push({ domain: name, claim: claim.claim, about, ...(await look(domain, claim)) });
			if (interrupted.aborted) throw new LabError("interrupted");
		}
	}
	return verdicts;
}

async function look(domain: Domain, { on, evidence }: Claim): Promise<Omit<Verdict, "domain" | "claim" | "about">> {
	if (on !== "its process" && on !== "its guest" && namesOf(domain, on).length === 0)
		return { verdict: "not looked at", evidence: on.replace("its", "the domain has no") };
	try {
		if (on !== "its process") await mustRun(domain, "not paused");
		return { verdict: "pass", evidence: await evidence(domain) };
	} catch (error) {
		// The other rows hold or fail all the same.
		if (!(error instanceof LabError))
			return { verdict: "fail", evidence: faultOf(error), todo: "nobody foresaw it: report it, with these words" };
		return {
			verdict: error instanceof PausedError && domain.card.gdb.paused ? "not looked at" : "fail",
			evidence: oneLine(error.message),
			...(error.todo !== "" && { todo: error.todo }),
		};
	}
}

/** An error that nobody expected, and the place in the lab's own code where it arose. */
function faultOf(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	const place = error.stack?.split("\n").find((line) => /^ +at .*\/cli\//.test(line));
	return oneLine(`${error}\n${place ?? ""}`);
}

/** Without the bars before a program's words, and stap's mark below a place in a script. */
function oneLine(text: string): string {
	const lines = text.split("\n").map((line) => line.replace(/^[\s|]+/, "").trimEnd());
	return lines.filter((line) => line !== "" && line !== "^").join(" ");
}
