import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { LabError } from "./errors.ts";
import { run } from "./program.ts";

/** Locks a file or a folder for as long as this process lives, as flock(1) does. */
export function holdUntilEnd(path: string): void {
	hold(path);
}

/** The same, but false at once where another process holds it. */
export const tryToHold = (path: string): boolean => hold(path, "--nonblock");

function hold(path: string, ...options: readonly string[]): boolean {
	const file = openSync(path, "r");
	// The lock is on what this process has open: it stays when flock ends, and no program that is started inherits it.
	const { status, error } = spawnSync("flock", [...options, "0"], { stdio: [file, "ignore", "inherit"] });
	if (status === 0) return true;
	closeSync(file);
	if (status === 1) return false;
	throw error ?? new LabError(`${path} could not be locked`, "say it again");
}

/** Does a process hold this file or folder? */
export async function isHeld(path: string): Promise<boolean> {
	return (await run("flock", ["--shared", "--nonblock", path, "true"])).code === 1;
}
