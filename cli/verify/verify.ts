import { type Domain, findDomain, readCard } from "../card.ts";
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
	/** Of a guest that waits for its debugger, or has no modules or probes, some things cannot be looked at. */
	verdict: "pass" | "fail" | "not looked at";
	/** One line of what was really seen, or what is wrong. */
	evidence: string;
	/** What to do about it, where it did not pass. */
	todo?: string;
}

/** Looks at all that a lab claims to be, now; returns 1 where something does not hold. */
export async function verify(stack: string, { json = false }: { json?: boolean }): Promise<number> {
	const interrupted = new AbortController();
	const interrupt = () => interrupted.abort();
	// What is being looked at then ends as it would, so that nothing of it stays; a second Ctrl-C is for this program.
	process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
	const verdicts: Verdict[] = [];
	for (const name of Object.keys(readCard(stack).domains).sort()) {
		const domain = findDomain(stack, name);
		for (const claim of claims) {
			if (!json && process.stderr.isTTY) say(`lab: ${name}: looking: ${claim.claim}`);
			verdicts.push({ domain: name, claim: claim.claim, ...(await look(domain, claim)) });
			if (interrupted.signal.aborted) throw new LabError("interrupted");
		}
	}
	const count = (which: Verdict["verdict"]) => verdicts.filter(({ verdict }) => verdict === which).length;
	if (json) print(JSON.stringify(verdicts, null, 2));
	else {
		const unseen = count("not looked at");
		print(verdictTable(verdicts, process.stdout.columns));
		print(`\n${count("pass")} hold, ${count("fail")} fail${unseen === 0 ? "" : `, ${unseen} not looked at`}`);
	}
	return count("fail") === 0 ? 0 : 1;
}

async function look(domain: Domain, { on, evidence }: Claim): Promise<Omit<Verdict, "domain" | "claim">> {
	if (on !== "its process" && on !== "its guest" && namesOf(domain, on).length === 0)
		return { verdict: "not looked at", evidence: on.replace("its", "the domain has no") };
	try {
		if (on !== "its process") await mustRun(domain, "not paused");
		return { verdict: "pass", evidence: await evidence(domain) };
	} catch (error) {
		if (!(error instanceof LabError)) throw error;
		return {
			verdict: error instanceof PausedError ? "not looked at" : "fail",
			evidence: oneLine(error.message),
			...(error.todo !== "" && { todo: error.todo }),
		};
	}
}

/** Without the bars before a program's words, and stap's mark below a place in a script. */
function oneLine(text: string): string {
	const lines = text.split("\n").map((line) => line.replace(/^[\s|]+/, "").trimEnd());
	return lines.filter((line) => line !== "" && line !== "^").join(" ");
}
