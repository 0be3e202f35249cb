import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("../../", import.meta.url));

/** Rows of the table of drifts, as they were seen in this run. */
const rows: string[] = [];

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

/** The rows that docs/reliability.md does not have; all of them are kept beside it as test-artefacts/drift.md. */
export function rowsNotInDocs(): string[] {
	mkdirSync(`${project}test-artefacts`, { recursive: true });
	writeFileSync(`${project}test-artefacts/drift.md`, `${rows.join("\n")}\n`);
	const documented = readFileSync(`${project}docs/reliability.md`, "utf8").split("\n");
	return rows.filter((row) => !documented.includes(row));
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
