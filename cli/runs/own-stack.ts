import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { stackHash } from "../../spec/lab-hashes.ts";
import { loadStack, StackFileError } from "../../spec/load-stack.ts";
import { lockHash } from "../../spec/lock.ts";
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
	if (lab?.stack !== hashHere(stack) || lab?.lock !== lockHash(stack, project)) {
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

function hashHere(stack: string): string | undefined {
	try {
		return stackHash(loadStack(stack, { projectRoot: project }));
	} catch (error) {
		// The lab may be another project's, and a stack file may be half-edited by now.
		if (error instanceof StackFileError) return undefined;
		throw error;
	}
}
