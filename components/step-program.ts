import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** What a step's script may be given: a string, a list of strings, or strings by name. */
export type StepInput = string | readonly string[] | Readonly<Record<string, string>>;

export class StepInputError extends Error {}

const scripts = new URL("../scripts/", import.meta.url);

/**
 * The bash program of one step: its inputs as quoted assignments, the libraries it sources, the script. It has its own
 * text in `step_program`, which apply leaves on the host (lib/step.sh): what is begun there can be undone from there.
 *
 * It goes to the standard input of `bash -s -- VERB`, so the same text runs here and through ssh. An input can
 * hold any character but NUL; it reaches the script as data and is never read as shell text.
 *
 * @param script name of a file in scripts/ without its `.sh`
 * @throws StepInputError for a name that is no shell variable or a value with a NUL in it
 */
export function stepProgram(script: string, inputs: Readonly<Record<string, StepInput>>): string {
	const assignments = Object.entries(inputs)
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([name, value]) => assignment(name, value));
	// Standard input is the program itself: a command that reads it would eat the lines that follow.
	const program = `${[...assignments, scriptText(script)].join("\n")}\nstep_main "$@" </dev/null`;
	// No text has its own hash in it.
	const end = `STEP_${createHash("sha256").update(program).digest("hex").slice(0, 32)}`;
	return `step_program=$(cat <<'${end}'\n${program}\n${end}\n)\nprogram_line=$LINENO\neval "$step_program"\n`;
}

/** The text of a script together with the libraries that it sources. */
export function scriptText(script: string): string {
	return inlined(`${script}.sh`, new Set());
}

function assignment(name: string, value: StepInput): string {
	if (!/^[a-z_][a-z0-9_]*$/.test(name)) throw new StepInputError(`"${name}" cannot name a shell variable`);
	if (typeof value === "string") return `${name}=${quoted(value)}`;
	if (Array.isArray(value)) return `${name}=(${value.map(quoted).join(" ")})`;
	const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
	return `declare -A ${name}=(${entries.map(([key, text]) => `[${quoted(key)}]=${quoted(text)}`).join(" ")})`;
}

function quoted(value: string): string {
	if (value.includes("\0")) throw new StepInputError("a value with a NUL character cannot reach a script");
	return `'${value.replaceAll("'", "'\\''")}'`;
}

/**
 * The text of a script with each `source lib/…` line replaced by that file, once. Where a file's lines begin or go on
 * there is a mark, `# LINE "FILE"`: it says what the next line is, as those of the C preprocessor do.
 */
function inlined(path: string, seen: Set<string>): string {
	if (seen.has(path)) return "";
	seen.add(path);
	const [shebang, ...lines] = readFileSync(new URL(path, scripts), "utf8").split("\n");
	const parts = lines.map((line, i) => {
		const library = /^source (lib\/\S+)$/.exec(line)?.[1];
		return library === undefined ? line : `${inlined(library, seen)}\n# ${i + 3} "scripts/${path}"`;
	});
	return [shebang, `# 2 "scripts/${path}"`, ...parts].join("\n");
}
