/** One thing that is wrong with a stack file. */
export interface Problem {
	/** File, from the project's root where it lies below it. */
	readonly file: string;
	/** Line, from 1; 0 where the problem is the file itself. */
	readonly line: number;
	/** Column in UTF-16 units, from 1; 0 where the problem is the file itself. */
	readonly column: number;
	/** Where in the stack, such as `domains.vm.modules[0]`; empty for the whole. */
	readonly path: string;
	/** What is wrong. */
	readonly message: string;
	/** What to do. */
	readonly hint: string;
}

/** What is wrong and what to do, without where. */
export type Fault = Pick<Problem, "message" | "hint">;

/** A stack file that cannot be used: all that is wrong with it, with where, and what to do. */
export class StackFileError extends Error {
	override readonly name: string = "StackFileError";
	readonly problems: readonly Problem[];

	constructor(problems: readonly Problem[]) {
		super(problems.map(problemText).join("\n"));
		this.problems = problems;
	}
}

/** A stack of a name that has no file. */
export class UnknownStackError extends StackFileError {
	override readonly name = "UnknownStackError";
}

function problemText({ file, line, column, path, message, hint }: Problem): string {
	const place = line === 0 ? file : `${file}:${line}:${column}`;
	return `${place}: ${path === "" ? "" : `${path}: `}${message}\n    ${hint}`;
}
