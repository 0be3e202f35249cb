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
	"-iex",
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
	// Both modules are in one folder.
	const symbols = ["-ex", "lx-symbols /opt/tracelab/module/0123456789abcdef"];
	t.deepEqual(gdbArguments(domain, "booted", ["--batch", "-ex", "bt"]), [
		...always,
		...symbols,
		"--batch",
		"-ex",
		"bt",
	]);
});

test("modules of several folders are all named, in order", (t) => {
	const modules = { b: { file: "/m/2/b.ko", source: "/b" }, a: { file: "/m/1/a.ko", source: "/a" } };
	const args = gdbArguments({ ...domain, card: { ...vm, modules } }, "booted", []);
	t.deepEqual(args, [...always, "-ex", "lx-symbols /m/1 /m/2"]);
});

test("who wants no symbols of modules gets none", (t) => {
	t.deepEqual(gdbArguments(domain, "not asked", []), always);
});

test("a guest that has not booted gets the symbols of modules as they are loaded", (t) => {
	t.deepEqual(gdbArguments(domain, "not booted", []), [
		...always,
		...[
			"-ex",
			`source ${project}/cli/debug/gdb-modules.py`,
			"-ex",
			"lx-symbols-later /opt/tracelab/module/0123456789abcdef",
		],
	]);
});

test("a guest without modules needs no symbols of any", (t) => {
	t.deepEqual(gdbArguments({ ...domain, card: { ...vm, modules: {} } }, "booted", []), always);
});
