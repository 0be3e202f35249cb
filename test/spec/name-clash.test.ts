import test from "ava";
import { loadStack } from "../../spec/load-stack.ts";
import { checkNames, NameClashError } from "../../spec/name-clash.ts";

const quickstart = loadStack("quickstart");
const { vm } = quickstart.domains;
if (vm === undefined) throw new Error("quickstart has no domain vm");
const stack = { name: "a", domains: { "b-c": vm }, traces: {} };

test("a name that is another stack's on the host is an error that says whose", (t) => {
	const error = t.throws(() => checkNames(stack, ["a/domain-b-c-share", "a-b/domain-c-share"]), {
		instanceOf: NameClashError,
	});
	t.is(
		error.message,
		'domain "b-c" would be a-b-c on this host, which domain "c" of stack "a-b" is\n  what to do: give one of the two another name',
	);
});

test("what a stack has itself, what others have of other names, and another kind of thing are in nobody's way", (t) => {
	t.notThrows(() => checkNames(stack, []));
	t.notThrows(() =>
		checkNames(stack, ["a/domain-b-c-share", "a-b/domain-d-share", "a-b/trace-c-session", "x/domain-b-c-share"]),
	);
});
