import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { type LabHashes, stackHash } from "../../spec/lab-hashes.ts";
import { loadStack, StackFileError } from "../../spec/load-stack.ts";
import { lockHash, readLock } from "../../spec/lock.ts";
import type { Run } from "../../spec/run.ts";
import { stackTexts } from "../builds/stack-files.ts";
import { project } from "../host.ts";

/** In a run's folder: what says what its lab was, by paths from the project's root. */
const ownFolder = "project";

/**
 * Keeps the stack file of a run's lab in the run's folder, with what it extends, its lock, fragments and profiles, so that this lab
 * can come up again when the project has moved on. What was changed since the lab came up is not kept: the run has a note of it.
 */
export function keepStack(folder: string, { stack, profile, lab, notes }: Run): void {
	if (lab === undefined || !isHere(stack, lab)) {
		notes.push(
			`stacks/${stack}.yaml, a fragment or the lock is not what the lab came up from any more: the run has no copy of it`,
		);
		return;
	}
	for (const file of new Set([...stackTexts(stack, project), `profiles/${profile}.yaml`])) {
		const from = join(project, file);
		if (existsSync(from)) cpSync(from, join(folder, ownFolder, file));
	}
}

/** Where a run has that; runs of before have not. */
export function ownStack(folder: string): string | undefined {
	const own = join(folder, ownFolder);
	return existsSync(own) ? own : undefined;
}

function isHere(stack: string, lab: LabHashes): boolean {
	try {
		return lab.stack === stackHash(loadStack(stack, { projectRoot: project })) && isLockOf(lab, stack);
	} catch (error) {
		// The lab may be another project's, and a stack file may be half-edited by now.
		if (error instanceof StackFileError) return false;
		throw error;
	}
}

/** Is the stack's lock the one of that lab, or one that pins all that its builds came to, such as ./lab lock writes from it? */
export function isLockOf({ lock, builds }: LabHashes, stack: string): boolean {
	if (lock === lockHash(stack, project)) return true;
	const pins = readLock(stack, undefined, project) ?? {};
	return Object.entries(builds).every(([name, result]) => result !== null && pins[name]?.result === result);
}
