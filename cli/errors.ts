import { StackFileError } from "../spec/stack-file-error.ts";

/** Something that a person can mend: what failed and what to do, shown without a stack trace. */
export class LabError extends Error {
	override readonly name: string = "LabError";
	readonly exitCode: number = 1;
	/** What to do about it; several lines where there are several things. */
	readonly todo: string;

	constructor(message: string, todo = "") {
		super(message);
		this.todo = todo;
	}
}

/** A command line that asks for what there is not. */
export class UsageError extends LabError {
	override readonly name = "UsageError";
	override readonly exitCode = 2;
}

/** A program that is not on this machine. */
export class MissingProgramError extends LabError {
	override readonly name = "MissingProgramError";
}

/** Several as one; what mends more than one of them is said once. */
export function inOne(faults: readonly Pick<LabError, "message" | "todo">[]): LabError {
	const todos = new Set(faults.map(({ todo }) => todo).filter((todo) => todo !== ""));
	return new LabError(faults.map(({ message }) => message).join("\n"), [...todos].join("\n"));
}

/** An error as one that a person can mend, where it is of a stack file or of a lock. */
export const asLabError = (error: unknown): unknown =>
	error instanceof StackFileError ? new LabError(error.message) : error;

/** What comes of some work, or what a person can mend of it. */
export async function orFault<T>(work: () => Promise<T>): Promise<T | LabError> {
	try {
		return await work();
	} catch (error) {
		if (error instanceof LabError) return error;
		throw error;
	}
}

/** The text of an error as the command line shows it; a fault of the lab's own keeps its stack. */
export function errorText(error: unknown, euid = process.geteuid?.()): string {
	if (euid !== 0 && isRefused(error))
		return `lab: ${error.path} is not open to you\n  what to do: put sudo before the command`;
	if (systemCode(error) === "ENOSPC")
		return `lab: ${(error as Error).message}\n  what to do: make room (df -h shows on which disk), then say it again`;
	if (!(error instanceof LabError)) return `lab: ${error instanceof Error ? error.stack : String(error)}`;
	return `lab: ${error.message}${error.todo === "" ? "" : `\n  what to do: ${error.todo}`}`;
}

/** A file that is root's, such as a trace, for a person who is not. */
const isRefused = (error: unknown): error is Error & { path: string } =>
	systemCode(error) === "EACCES" && error instanceof Error && "path" in error;

export function exitCodeOf(error: unknown): number {
	return error instanceof LabError ? error.exitCode : 1;
}

/** The system's name of an error (ENOENT), where it has one. */
export function systemCode(error: unknown): string | undefined {
	return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
