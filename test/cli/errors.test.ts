import test from "ava";
import { errorText, exitCodeOf, LabError, MissingProgramError, systemCode, UsageError } from "../../cli/errors.ts";

const shown = test.macro({
	title: (_, error: unknown, text: string) => `${error} is shown as ${text}`,
	exec(t, error: unknown, text: string, code: number) {
		t.is(errorText(error), text);
		t.is(exitCodeOf(error), code);
	},
});

test(shown, new LabError("it broke"), "lab: it broke", 1);
test(shown, new LabError("it broke", "mend it"), "lab: it broke\n  what to do: mend it", 1);
test(
	shown,
	new UsageError("there is no such", "ask for another"),
	"lab: there is no such\n  what to do: ask for another",
	2,
);
test(
	shown,
	new MissingProgramError("there is no gdb", "install it"),
	"lab: there is no gdb\n  what to do: install it",
	1,
);
test(shown, "a text that was thrown", "lab: a text that was thrown", 1);

test("a fault of the lab's own keeps its stack", (t) => {
	const fault = new TypeError("undefined is not a function");
	const [first, second] = errorText(fault).split("\n");
	t.is(first, "lab: TypeError: undefined is not a function");
	t.regex(String(second), /^ {4}at .*errors\.test\.ts:\d+:\d+\)?$/);
});

test("a file that is root's is no fault of the lab's for a person who is not", (t) => {
	const refused = Object.assign(new Error("EACCES: permission denied, open '/x/y'"), { code: "EACCES", path: "/x/y" });
	t.is(errorText(refused, 1000), "lab: /x/y is not open to you\n  what to do: put sudo before the command");
	t.true(errorText(refused, 0).startsWith("lab: Error: EACCES"));
});

test("each kind of error says which it is", (t) => {
	const names = [new LabError(""), new UsageError(""), new MissingProgramError("")].map(({ name }) => name);
	t.deepEqual(names, ["LabError", "UsageError", "MissingProgramError"]);
});

test("a system's error has a name, others have none", (t) => {
	t.is(systemCode(Object.assign(new Error(""), { code: "ENOENT" })), "ENOENT");
	t.is(systemCode(Object.assign(new Error(""), { code: 2 })), undefined);
	t.is(systemCode(new Error("")), undefined);
	t.is(systemCode({ code: "ENOENT" }), undefined);
});
