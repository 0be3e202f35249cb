import test from "ava";
import fc from "fast-check";
import { stringify } from "yaml";
import { ScratchProject, smallest } from "./scratch-project.ts";
import { expectStackOrProblems } from "./stack-or-problems.ts";

const project = new ScratchProject();
project.write("stacks/base.yaml", smallest);
test.after.always(() => project.remove());

const keys = [
	...["extends", "description", "qemu", "kernels", "images", "modules", "domains", "main", "vm", "source", "kernel"],
	...["gdb", "port", "url", "sha256", "fragments", "config", "constructor", "__proto__", "", "1", "my\nkey", "<<"],
];
const words = [
	...[
		"main",
		"base",
		"x",
		"debian:qemu",
		"path:examples/mymodule",
		"path:\0",
		"git:a#b",
		"https://a.git",
		"\u0007",
		"é",
	],
	...["quickstart", "../x", "CONFIG_X=y", "http://me:secret@example.org"],
];

const value = fc.letrec((tie) => ({
	any: fc.oneof({ maxDepth: 5 }, tie("leaf"), fc.array(tie("any"), { maxLength: 3 }), tie("map")),
	leaf: fc.oneof(fc.constantFrom(...words), fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null)),
	map: fc.array(fc.tuple(fc.constantFrom(...keys), tie("any")), { maxLength: 6 }).map((pairs) => new Map(pairs)),
}));

test("any text gives a stack or its problems", (t) => {
	const text = fc.oneof(
		fc.string({ unit: "binary" }),
		fc.array(fc.constantFrom(..."abc:-[]{}&*!|>'\"%@#?, \n\t\r\0")).map((all) => all.join("")),
	);
	fc.assert(
		fc.property(text, (text) => expectStackOrProblems(project, text)),
		{ numRuns: 500, includeErrorInReport: true },
	);
	t.pass();
});

test("any values give a stack or its problems", (t) => {
	fc.assert(
		fc.property(value.map, (map) => expectStackOrProblems(project, stringify(map))),
		{ numRuns: 500, includeErrorInReport: true },
	);
	t.pass();
});

test("any change of one value of a good stack gives a stack or its problems", (t) => {
	const paths = [
		["description"],
		["qemu"],
		["qemu", "main", "source"],
		["qemu", "main", "configure"],
		["kernels", "main", "fragments"],
		["kernels", "main", "config"],
		["images", "main"],
		["domains", "vm"],
		["domains", "vm", "kernel"],
		["domains", "vm", "modules"],
		["domains", "vm", "gdb", "port"],
		["domains", "vm", "processName"],
		["domains", "vm", "kernelArguments"],
		["domains", "vm", "hypervisor"],
		["domains", "vm", "expect"],
		["modules", "mymodule", "make"],
		["modules", "mymodule", "load"],
		["probes", "mine"],
		["traces", "flight", "domains"],
	];
	const change = fc.tuple(fc.constantFrom(...paths), value.any);
	fc.assert(
		fc.property(change, ([path, replacement]) => {
			const nested = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), replacement);
			expectStackOrProblems(project, `extends: base\n${stringify(nested)}`);
		}),
		{ numRuns: 500, includeErrorInReport: true },
	);
	t.pass();
});
