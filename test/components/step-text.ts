import { readdirSync } from "node:fs";
import { stepProgram } from "../../components/step-program.ts";

/** Scripts by the body of their programs. */
let scripts = new Map<string, string>();

/** The script that a step's program runs. */
export function scriptOf(program: string): string {
	const { body } = split(program);
	// Read again on a miss, since somebody may edit a script while the tests run.
	if (!scripts.has(body)) scripts = readScripts();
	const script = scripts.get(body);
	if (script === undefined) throw unexpected(`program of no script in scripts/: ${program.slice(0, 200)}`);
	return script;
}

function readScripts(): Map<string, string> {
	const files = readdirSync(new URL("../../scripts/", import.meta.url)).filter((file) => file.endsWith(".sh"));
	const names = files.map((file) => file.slice(0, -".sh".length));
	return new Map(names.map((name) => [split(stepProgram(name, {})).body, name]));
}

/** What was asked for and should not have been; Pulumi shows an engine's `details` and drops its message. */
export function unexpected(what: string): Error {
	return Object.assign(new Error(`unexpected ${what}`), { details: `unexpected ${what}` });
}

/** The step that a probe's program looks at. */
export function probedStep(program: string): string {
	scriptOf(program);
	const step = word(program, "step");
	// A probe whose program had the generation could not decide on it.
	if (step === undefined || word(program, "generation") !== "") {
		throw unexpected(`program of a probe: ${program.slice(0, 200)}`);
	}
	return step;
}

/** The value of an input that is a text, and in one line. */
export function word(program: string, name: string): string | undefined {
	return new RegExp(`^${name}='([^']*)'$`, "m").exec(split(program).head)?.[1];
}

/** A program's assignments, and the rest: the script with its libraries, and the call. */
export function split(wrapped: string): { head: string; body: string } {
	const [, , program = ""] =
		/^step_program=\$\(cat <<'(STEP_[0-9a-f]{32})'\n([\s\S]*)\n\1\n\)\nprogram_line=\$LINENO\neval "\$step_program"\n$/.exec(
			wrapped,
		) ?? [];
	const at = program.indexOf("#!/usr/bin/env bash\n");
	return { head: program.slice(0, at), body: program.slice(at) };
}
