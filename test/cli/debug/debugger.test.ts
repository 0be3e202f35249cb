import test from "ava";
import type { Domain } from "../../../cli/card.ts";
import { gdbArguments } from "../../../cli/debug/debugger.ts";
import { project } from "../../../cli/host.ts";
import { card } from "../scratch-lab.ts";

const { vm } = card.domains;
const { main: kernel } = card.kernels;
if (vm === undefined || kernel === undefined) throw new Error("the card of the tests is broken");
const domain: Domain = { name: "vm", card: vm, kernel, stack: "quickstart" };

const always = [
	"-q",
	"-eiex",
	"set python dont-write-bytecode on",
	"-iex",
	"add-auto-load-safe-path /opt/tracelab/kernel/0123456789abcdef",
	"-iex",
	"set remotetimeout 20",
	"-iex",
	"directory /opt/tracelab/kernel/0123456789abcdef/source",
	"/opt/tracelab/kernel/0123456789abcdef/vmlinux",
	"-ex",
	"target remote 127.0.0.1:1234",
];

test("a booted guest has the symbols of its modules, then comes what a person asks for", (t) => {
	const symbols = ["-ex", "lx-symbols /var/lib/tracelab/domains/quickstart-vm/root/lib/modules"];
	// Its kernel may load modules that the stack file does not name.
	for (const modules of [vm.modules, {}])
		t.deepEqual(gdbArguments({ ...domain, card: { ...vm, modules } }, "booted", ["--batch", "-ex", "bt"]), [
			...always,
			...symbols,
			"--batch",
			"-ex",
			"bt",
		]);
});

test("who wants no symbols of modules gets none", (t) => {
	t.deepEqual(gdbArguments(domain, "not asked", []), always);
});

test("a guest that has not booted goes on to its kernel's start, and gets the symbols of modules as they are loaded", (t) => {
	t.deepEqual(gdbArguments(domain, "not booted", []), [
		...always,
		...["-ex", "set breakpoint pending on"],
		...[
			"-ex",
			`source ${project}/cli/debug/gdb-modules.py`,
			"-ex",
			"lx-symbols-later /var/lib/tracelab/domains/quickstart-vm/root/lib/modules",
		],
		...["-ex", "thbreak start_kernel", "-ex", "continue"],
	]);
});
