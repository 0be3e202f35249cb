import { execFileSync } from "node:child_process";
import test from "ava";
import fc from "fast-check";
import { StepInputError, stepProgram } from "../../components/step-program.ts";

const common = { stack: "t", step: "card", generation: "g" };

/** Runs bash on the assignments of a program, less its script, and prints one variable NUL by NUL. */
function readBack(inputs: Parameters<typeof stepProgram>[1], expression: string): string[] {
	const program = stepProgram("lab-card", { ...common, card: "x", ...inputs });
	const assignments = program.slice(program.indexOf("\n"), program.indexOf("#!/usr/bin/env bash"));
	const out = execFileSync("bash", ["-s"], { input: `${assignments}\nprintf '%s\\0' ${expression}`, encoding: "utf8" });
	return out.split("\0").slice(0, -1);
}

const hostile = [
	"$(touch /tmp/x)",
	"`id`",
	"a'b",
	'a"b',
	"a\nb",
	"a\\",
	"; rm -rf /",
	"*",
	"~",
	"é 漢",
	"-n",
	"!!",
	"",
];

test("every character of a string reaches the script as it is", (t) => {
	for (const value of hostile) t.deepEqual(readBack({ card: value }, '"$card"'), [value]);
});

test("a list and a map reach the script as they are", (t) => {
	t.deepEqual(readBack({ card: hostile }, '"${card[@]}"'), hostile);
	for (const value of hostile)
		t.deepEqual(readBack({ card: { [`k${value}`]: value } }, '"${!card[@]}" "${card[@]}"'), [`k${value}`, value]);
});

test("any text without NUL reaches the script as it is", (t) => {
	const text = fc
		.string({ unit: "binary", maxLength: 200 })
		.filter((value) => !value.includes("\0") && value.isWellFormed());
	fc.assert(
		fc.property(text, (value) => readBack({ card: value }, '"$card"')[0] === value),
		{ numRuns: 100 },
	);
	t.pass();
});

test("a NUL and a name that is no variable are refused", (t) => {
	t.throws(() => stepProgram("lab-card", { ...common, card: "a\0b" }), {
		instanceOf: StepInputError,
		message: "a value with a NUL character cannot reach a script",
	});
	t.throws(() => stepProgram("lab-card", { ...common, "a b": "x" }), {
		instanceOf: StepInputError,
		message: '"a b" cannot name a shell variable',
	});
});

test("a library is in the program once, however many source it", (t) => {
	const program = stepProgram("guest", common);
	t.is(program.split("step_main() {").length, 2);
	t.notRegex(program, /^source lib/m);
	t.regex(
		program,
		/\nstep_main "\$@" <\/dev\/null\nSTEP_[0-9a-f]{32}\n\)\nprogram_line=\$LINENO\neval "\$step_program"\n$/,
	);
});
