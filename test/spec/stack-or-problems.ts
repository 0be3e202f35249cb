import { loadStack, StackFileError } from "../../spec/load-stack.ts";
import type { Problem } from "../../spec/stack-file-error.ts";
import type { ScratchProject } from "./scratch-project.ts";

/** No file may take longer, on a busy machine as well: the largest that is read takes a tenth of a second. */
const mostSeconds = 20;

/**
 * Every file gives a stack, or an error of the one class whose every problem has a place within the file, words that a
 * terminal shows as they are, and something to do; and that in bounded time.
 *
 * @throws an error with the file where it does not
 */
export function expectStackOrProblems(project: ScratchProject, text: string | Buffer): void {
	project.write("stacks/x.yaml", text);
	const begun = performance.now();
	const wrong = whatIsWrong(project.root, text);
	const seconds = (performance.now() - begun) / 1000;
	const found = seconds > mostSeconds ? `it took ${seconds} s` : wrong;
	if (found !== undefined) throw new Error(`${found}\nfor the file ${JSON.stringify(text.toString("latin1"))}`);
}

function whatIsWrong(projectRoot: string, text: string | Buffer): string | undefined {
	try {
		loadStack("x", { projectRoot });
		return undefined;
	} catch (error) {
		if (!(error instanceof StackFileError)) return error instanceof Error ? String(error.stack) : String(error);
		if (error.problems.length === 0) return "refused without a problem";
		const bad = error.problems.find((problem) => !isTold(problem, text));
		return bad && `told as ${JSON.stringify(bad)}`;
	}
}

function isTold({ file, line, column, path, message, hint }: Problem, text: string | Buffer): boolean {
	return (
		/^stacks\/\w+\.yaml$/.test(file) &&
		// The whole file, or a line of it.
		(line === 0 ? column === 0 : line >= 1 && column >= 1) &&
		// A problem may be in the file that this one extends.
		(file !== "stacks/x.yaml" || column <= text.length + 1) &&
		message !== "" &&
		hint !== "" &&
		!/[\p{Cc}\p{Cf}\p{Cs}]/u.test(path + message + hint) &&
		message.length + path.length < 5000
	);
}
