import test from "ava";
import { checkGdbPorts, GdbPortError, givenPorts } from "../../spec/gdb-ports.ts";
import type { HostFacts } from "../../spec/host-facts.ts";
import { loadStack } from "../../spec/load-stack.ts";

const { vm } = loadStack("quickstart").domains;
if (vm === undefined) throw new Error("quickstart has no domain vm");
const stack = {
	name: "quick",
	domains: { chosen: vm, vm: { ...vm, gdb: { paused: false, port: 4000 } } },
};

type Taken = HostFacts["gdbPorts"][string];
const taken = (by: Partial<Taken>): Taken => ({ reserved: "", given: false, listener: "", qemuOf: "", ...by });
const begun = ["quick/domain-vm-gdb-port", "quick/domain-two-gdb-port", "quick-kasan/domain-vm-gdb-port"];
const check = (by: Partial<Taken>) => () => checkGdbPorts(stack, { gdbPorts: { "4000": taken(by) }, begun });

test("the ports that a stack file gives are asked for", (t) => {
	t.deepEqual(givenPorts(stack), [4000]);
});

const choose = "give another port in the stack file, or none, and the lab chooses";
const refused = test.macro({
	title: (title = "") => `a port that is ${title} is an error`,
	exec: (t, by: Partial<Taken>, what: string, todo: string) => {
		const { message } = t.throws(check(by), { instanceOf: GdbPortError }) ?? {};
		t.is(message, `gdb port 4000 is ${what}\n  what to do: ${todo}`);
	},
});
test(
	"another stack's",
	refused,
	{ reserved: "other-vm", given: true, listener: "vm, process 78", qemuOf: "other-vm" },
	"reserved for the domain other-vm",
	choose,
);
test(
	"that of a stack whose name begins as this one's",
	refused,
	{ reserved: "quick-kasan-vm", given: true },
	"reserved for the domain quick-kasan-vm",
	choose,
);
test(
	"one that the lab chose for another domain of the stack",
	refused,
	{ reserved: "quick-two", listener: "two, process 78", qemuOf: "quick-two" },
	"reserved for the domain quick-two",
	choose,
);
test(
	"in use by a program",
	refused,
	{ listener: "my server, process 77" },
	"in use by my server, process 77",
	`stop that process, ${choose}`,
);
test(
	"in use by another stack's domain, whose reservation is lost",
	refused,
	{ listener: "vm, process 78", qemuOf: "quick-kasan-vm" },
	"in use by vm, process 78",
	`stop that process, ${choose}`,
);

const passed = test.macro({
	title: (title = "") => `a port that is ${title} is left to the steps`,
	exec: (t, by: Partial<Taken>) => t.notThrows(check(by)),
});
test("its domain's, which runs", passed, {
	reserved: "quick-vm",
	given: true,
	listener: "vm, process 7",
	qemuOf: "quick-vm",
});
test("its domain's, as another account sees it", passed, { reserved: "quick-vm", listener: "an unknown process" });
test("its domain's, and taken while that was down", passed, { reserved: "quick-vm", listener: "nc, process 7" });
test("its domain's, whose reservation is lost", passed, { listener: "vm, process 7", qemuOf: "quick-vm" });
test("its domain's, whose reservation is lost, as another account sees it", passed, { listener: "an unknown process" });
test("that of the domain's name before", passed, { reserved: "quick-two", given: true, qemuOf: "quick-two" });
test("that of the name before, whose reservation is lost", passed, { listener: "two, process 7", qemuOf: "quick-two" });

test("ports that nobody has, and those of no domain, are in nobody's way", (t) => {
	t.notThrows(() => checkGdbPorts(stack, { gdbPorts: {}, begun }));
	t.notThrows(() => checkGdbPorts(stack, { gdbPorts: { "4001": taken({ reserved: "other-vm" }) }, begun }));
});
