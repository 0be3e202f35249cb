import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("../../", import.meta.url));

/** Rows of the table of drifts, as they were seen in this run. */
const rows: string[] = [];

const absent: string[] = [];

export interface SeenDrift {
	/** What somebody did by hand. */
	byHand: string;
	/** What preview said of it. */
	said: readonly string[];
	/** Names of the resources that the up after it changed. */
	repaired: readonly string[];
	guest: "goes on" | "starts again";
}

export function noteDrift({ byHand, said, repaired, guest }: SeenDrift): void {
	rows.push(`| ${byHand} | ${said.map(lasting).join("; ")} | ${repaired.join(", ")} | ${guest} |`);
}

/** What cannot be done by hand on this host, so that its row is not seen. */
export function noteAbsent(byHand: string): void {
	absent.push(byHand);
}

/** How the rows and those of docs/reliability.md differ; all that were seen are kept beside it as test-artefacts/drift.md. */
export function unlikeDocs(): { notInDocs: string[]; notSeen: string[] } {
	mkdirSync(`${project}test-artefacts`, { recursive: true });
	writeFileSync(`${project}test-artefacts/drift.md`, `${rows.join("\n")}\n`);
	const text = readFileSync(`${project}docs/reliability.md`, "utf8");
	const [, table = ""] = /^\| by hand \|.*\n\|[-|]+\n((?:\|.*\n)+)/m.exec(text) ?? [];
	const documented = table.trimEnd().split("\n");
	return {
		notInDocs: rows.filter((row) => !documented.includes(row)),
		notSeen: documented.filter(
			(row) => !rows.includes(row) && !absent.some((byHand) => row.startsWith(`| ${byHand} |`)),
		),
	};
}

/** A sentence without what is another in each run. */
function lasting(sentence: string): string {
	return (
		sentence
			// A guest that was just started may have come up by then, or not.
			.replace(/; the guest agent of \S+ does not answer$/, "")
			.replaceAll(/\b[0-9a-f]{40}\b/g, "ID")
			.replaceAll(/\b[0-9a-f]{16}\b/g, "HASH")
			.replaceAll("proof", "STACK")
	);
}
