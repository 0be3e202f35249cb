import { citation, type LabHashes } from "../../spec/lab-hashes.ts";
import { quote } from "../../spec/quote.ts";
import { type Build, listBuilds } from "../builds/builds.ts";
import { checkStack, labsHere, readCard, stackOption } from "../card.ts";
import { LabError } from "../errors.ts";
import { asRoot, giveBack } from "../privilege.ts";
import { paint, print, say, size, table } from "../terminal.ts";
import { changeLines } from "./change-lines.ts";
import { type Outlook, readOutlook } from "./changes.ts";
import { asJson, describeDomains, domainTable } from "./domain-list.ts";
import { pulumi, readState } from "./engine.ts";
import { withEventLog } from "./engine-events.ts";
import { lockHolder } from "./interruption.ts";
import { type Kept, keptOnDisk } from "./kept.ts";
import { listSessions, type Session } from "./sessions.ts";

/**
 * Shows what is up of a lab, what differs from what its stack file declares, and what builds and caches take of the
 * disk. What differs is what a preview says: it is the one that looks at all that an up would mend.
 *
 * @returns 0 where all is as declared, and 1 where not
 */
export async function status(stack: string, { json = false }: { json?: boolean }): Promise<number> {
	const labs = labsHere();
	if (!labs.includes(stack)) checkStack(stack);
	const there = await asRoot();
	if (there !== undefined) return there;
	try {
		if (!json && process.stderr.isTTY) say(`lab: looking at ${stack}`);
		const [{ cite, hashes, domains, sessions, shown }, outlook, builds] = await Promise.all([
			whatIsUp(stack, labs),
			lookAt(stack),
			listBuilds(),
		]);
		const kept = await keptOnDisk(builds);
		const asDeclared = outlook.known && outlook.errors.length + outlook.changes.length === 0;
		if (json) {
			const { changes, errors, why } = outlook;
			const all = { stack, cite, hashes, asDeclared, why, domains, sessions, changes, errors, labs, builds, kept };
			print(JSON.stringify(all, null, 2));
		} else {
			print(
				[shown, outlookText(stack, outlook), buildText(builds), keptText(kept)]
					.filter((part) => part !== "")
					.join("\n\n"),
			);
		}
		return asDeclared ? 0 : 1;
	} finally {
		giveBack();
	}
}

/** What of a lab runs, as far as libvirt and the lab card can say. */
interface Up {
	/** The line by which it is cited in a paper, and what that is made of. */
	cite?: string | undefined;
	hashes?: LabHashes;
	domains: ReturnType<typeof asJson>[];
	sessions: Session[];
	shown: string;
}

async function whatIsUp(stack: string, labs: readonly string[]): Promise<Up> {
	const others = labs.filter((name) => name !== stack);
	const beside = others.length === 0 ? "" : `; up beside it: ${others.join(", ")}`;
	const is = labs.includes(stack) ? "is up" : "is not up";
	const head = paint("bold", `the lab of stack ${quote(stack)} ${is}${beside}`);
	if (!labs.includes(stack)) return { domains: [], sessions: [], shown: head };
	try {
		const lab = readCard(stack);
		const { hashes } = lab;
		const cite = citation(stack, hashes);
		const domains = await describeDomains(stack, lab);
		const sessions = await listSessions(stack, lab);
		const tables = [domainTable(domains), sessionTable(sessions)].filter((part) => part !== "");
		const shown = [`${head}\n${citeText(cite, hashes)}`, ...tables].join("\n\n");
		return { cite, hashes, domains: domains.map(asJson), sessions, shown };
	} catch (error) {
		// A libvirtd that is down is drift, and what is said of that is worth more than this error.
		if (!(error instanceof LabError)) throw error;
		return { domains: [], sessions: [], shown: `${head}\n\n${paint("red", error.message)}` };
	}
}

function citeText(cite: string | undefined, { builds }: LabHashes): string {
	if (cite !== undefined) return `to cite: ${cite}`;
	const unknown = Object.keys(builds).filter((name) => builds[name] === null);
	return `it has no hash to cite: an older tracelab built ${unknown.join(", ")}`;
}

function sessionTable(sessions: readonly Session[]): string {
	const rows = sessions.map(({ name, kind, profile, domains, state }) => [
		paint("bold", name),
		kind,
		profile,
		domains.join(", "),
		paint(state === "active" ? "green" : "yellow", state),
	]);
	return rows.length === 0 ? "" : table(["TRACE", "KIND", "PROFILE", "DOMAINS", "STATE"], rows);
}

/** What an up would change, or why that is not known. */
interface Seen extends Outlook {
	known: boolean;
	why?: string;
}

async function lookAt(stack: string): Promise<Seen> {
	const unknown = (why: string): Seen => ({ known: false, why, changes: [], errors: [] });
	if ((readState(stack)?.resources ?? []).length === 0) return unknown("this project has not brought it up");
	const holder = lockHolder(stack);
	if (holder !== undefined) return unknown(`pulumi is at work on it: ${holder}`);
	return withEventLog(async ({ file, options, env }) => {
		const { code, stderr, stdout } = await pulumi(["preview", "--stack", stack, ...options], "", env);
		const outlook = await readOutlook(file);
		if (code !== 0 && outlook.errors.length === 0) outlook.errors.push((stderr || stdout).trim());
		return { known: true, ...outlook };
	});
}

function outlookText(stack: string, { known, why, changes, errors }: Seen): string {
	if (!known) return `whether it is as declared is not known: ${why}`;
	if (errors.length > 0)
		return [paint("red", "what is declared cannot be compared with what is there:"), ...errors].join("\n");
	if (changes.length === 0) return paint("green", "all is as declared");
	const drifts = changes.filter(({ drift }) => drift !== "").map(({ name, drift }) => `  ${name}: ${drift}`);
	const head = drifts.length === 0 ? [] : [paint("yellow", "drift:"), ...drifts, ""];
	return [...head, ...changeLines(stack, changes), `bring it there: ./lab${stackOption(stack)} up`].join("\n");
}

function buildText(builds: readonly Build[]): string {
	const rows = builds
		.filter(({ users }) => users.length > 0)
		.map(({ id, what, bytes, users }) => [id, what, size(bytes), users.join(", ")]);
	return rows.length === 0 ? "" : table(["BUILD IN USE", "WHAT", "SIZE", "BY"], rows);
}

function keptText(kept: readonly Kept[]): string {
	const sum = (value: (one: Kept) => number) => kept.reduce((total, one) => total + value(one), 0);
	const unused = sum((one) => one.unused ?? 0);
	const rows = kept.map(({ what, bytes, unused }) => [what, size(bytes), unused === undefined ? "" : size(unused)]);
	rows.push([paint("bold", "in all"), size(sum(({ bytes }) => bytes)), size(unused)]);
	const hint = unused > 0 ? "\n./lab gc removes builds that were not used for a while" : "";
	return `${table(["ON DISK", "SIZE", "UNUSED"], rows)}${hint}`;
}
