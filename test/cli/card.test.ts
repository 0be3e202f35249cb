import test from "ava";
import { checkStack, defaultStack, findDomain, readCard, stackOption } from "../../cli/card.ts";
import { LabError, UsageError } from "../../cli/errors.ts";
import { card, ScratchLab } from "./scratch-lab.ts";

const lab = await ScratchLab.make();
lab.enter();
lab.up();
const file = (stack: string) => `${lab.root}/var/lib/tracelab/labs/${stack}.json`;

test.after.always(() => lab.clean());

const refuses = test.macro({
	title: (_, what: string) => what,
	exec(t, _what: string, act: () => unknown, kind: typeof LabError, message: string, todo: string) {
		t.like(t.throws(act, { instanceOf: kind }), { message, todo });
	},
});

test("a card is read as it was written", (t) => {
	t.deepEqual(readCard("quickstart"), card);
});

test(
	refuses,
	"a lab that is not up",
	() => readCard("debug"),
	LabError,
	'the lab of stack "debug" is not up',
	"bring it up: ./lab -s debug up",
);
test(
	refuses,
	"a stack that there is not",
	() => readCard("quikstart"),
	UsageError,
	'there is no stack "quikstart" (did you mean "quickstart"?)',
	"the stacks there are: debug, probes, quickstart, versions",
);
test(
	refuses,
	"a stack that is no name",
	() => checkStack("My_Stack"),
	UsageError,
	'there is no stack "My_Stack"',
	"a stack's name has at most 31 of a-z, 0-9 and -, first a letter, last no dash",
);

lab.write("var/lib/tracelab/labs/half.json", '{"stack": "half", ');
lab.write("var/lib/tracelab/labs/older.json", '{"stack": "older", "domains": {}}');
lab.write("var/lib/tracelab/labs/folder.json/file", "");

test(
	refuses,
	"a card that is no JSON",
	() => readCard("half"),
	LabError,
	`${file("half")} is no lab card of this version`,
	"./lab -s half up writes it again",
);
test(
	refuses,
	"a card that lacks what this version wants",
	() => readCard("older"),
	LabError,
	`${file("older")} is no lab card of this version`,
	"./lab -s older up writes it again",
);
test(
	refuses,
	"a card that cannot be read",
	() => readCard("folder"),
	LabError,
	`${file("folder")} cannot be read: EISDIR`,
	"",
);

test("a domain comes with its kernel", (t) => {
	const { vm } = card.domains;
	const { main } = card.kernels;
	t.deepEqual(findDomain("quickstart", "vm"), { name: "vm", card: vm, kernel: main, stack: "quickstart" });
});

test(
	refuses,
	"a domain that there is not",
	() => findDomain("quickstart", "hed"),
	UsageError,
	'the lab of stack "quickstart" has no domain "hed" (did you mean "held"?)',
	"its domains: held, vm",
);
test(
	refuses,
	"a domain by the name of what every object has",
	() => findDomain("quickstart", "constructor"),
	UsageError,
	'the lab of stack "quickstart" has no domain "constructor"',
	"its domains: held, vm",
);

lab.up({ ...card, stack: "bare", domains: {} }, "bare");
lab.up({ ...card, stack: "kernelless", kernels: {} }, "kernelless");

test(
	refuses,
	"any domain of a lab that has none",
	() => findDomain("bare", "vm"),
	UsageError,
	'the lab of stack "bare" has no domain "vm"',
	"it has no domains at all",
);
test(
	refuses,
	"a domain whose kernel is not on the card",
	() => findDomain("kernelless", "vm"),
	LabError,
	'the lab card knows no kernel "main", which domain "vm" runs',
	"./lab -s kernelless up writes the card again",
);

test.serial("the stack is named in commands unless it is the one that is meant anyway", (t) => {
	t.is(defaultStack(), "quickstart");
	t.is(stackOption("quickstart"), "");
	t.is(stackOption("debug"), " -s debug");
	process.env["TRACELAB_STACK"] = "debug";
	t.is(defaultStack(), "debug");
	t.is(stackOption("debug"), "");
	t.is(stackOption("quickstart"), " -s quickstart");
	process.env["TRACELAB_STACK"] = "";
	t.is(defaultStack(), "quickstart");
	delete process.env["TRACELAB_STACK"];
});
