import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { parse } from "yaml";
import {
	type JsonSchema,
	profileJsonSchema,
	profileJsonSchemaText,
	stackJsonSchema,
	stackJsonSchemaText,
} from "../../spec/json-schema.ts";
import { stackNames } from "../../spec/stack-names.ts";
import { editorMarks } from "./editor.ts";
import { smallest } from "./scratch-project.ts";

const project = join(import.meta.dirname, "../..");
const stacks = join(project, "stacks");
const goldens = [
	{ file: "stacks/schema.json", from: "spec/schema.ts", text: stackJsonSchemaText },
	{ file: "profiles/schema.json", from: "spec/profile.ts", text: profileJsonSchemaText },
];

for (const { file, from, text } of goldens) {
	test(`${file} is that of ${from}`, (t) => {
		const golden = join(project, file);
		if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, text());
		const there = readFileSync(golden, "utf8");
		t.true(
			there === text(),
			`${file} is stale: write it anew with UPDATE_GOLDEN=1 npx ava test/spec/json-schema.test.ts`,
		);
	});
}

test("each key of a stack file and of a profile is described in a sentence", (t) => {
	for (const schema of [stackJsonSchema(), profileJsonSchema()]) {
		for (const [path, { description }] of fields(schema)) t.regex(description ?? "", /^[A-Z].*[.?]$/s, path);
	}
});

test("each pattern compiles, as editors do it", (t) => {
	const patterns = [...JSON.stringify(stackJsonSchema()).matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)];
	t.true(patterns.length > 10);
	for (const [, pattern] of patterns) t.notThrows(() => new RegExp(JSON.parse(pattern ?? '""'), "u"), pattern);
});

for (const name of stackNames(stacks)) {
	test(`stacks/${name}.yaml tells editors its schema in the first line`, (t) => {
		const [first] = readFileSync(join(stacks, `${name}.yaml`), "utf8").split("\n");
		t.is(first, "# yaml-language-server: $schema=schema.json");
	});

	test(`an editor marks nothing in stacks/${name}.yaml`, (t) => {
		t.deepEqual(editorMarks(parse(readFileSync(join(stacks, `${name}.yaml`), "utf8"))), []);
	});
}

for (const page of ["README.md", ...globSync("docs/**/*.md", { cwd: project }).sort()]) {
	const blocks = readFileSync(join(project, page), "utf8").matchAll(/^```yaml\n([\s\S]*?)^```$/gm);
	// Not what stands within a key, nor a comment alone.
	const shown = [...blocks].map(([, block = ""]) => block).filter((block) => /^(?! )[^#\n]/m.test(block));
	if (shown.length === 0) continue;
	test(`an editor marks nothing in what ${page} shows of stack files`, (t) => {
		for (const block of shown) {
			const isWhole = block.startsWith("#");
			t.deepEqual(editorMarks({ ...(isWhole ? {} : { extends: "quickstart" }), ...parse(block) }), [], block);
		}
	});
}

const marked = test.macro({
	title: (_, what: string) => `an editor marks ${what}`,
	exec(t, _: string, yaml: string, ...marks: string[]) {
		t.deepEqual(editorMarks(parse(yaml)), marks);
	},
});

const bad = (name: string) => readFileSync(join(import.meta.dirname, `bad/${name}.yaml`), "utf8");
const extended = "extends: quickstart\n";

test(marked, "nothing in the smallest file", smallest);
test(marked, "nothing that a file leaves to the one that it extends", `${extended}${bad("missing-keys")}`);
test(
	marked,
	"no half of a tarball that is in the other file",
	`${extended}qemu: { main: { source: { url: "http://a/b" } } }`,
);
test(
	marked,
	"what is missing of a file that extends none",
	bad("missing-keys"),
	...["domains.vm.image", "domains.vm.kernel", "domains.vm.qemu", "modules.mymodule.kernel", "modules.other.source"],
);
test(marked, "a file of a description alone", "description: A lab.", "domains");
test(marked, "half a tarball", `${smallest.replace("debian:qemu", '{ url: "http://a/b" }')}`, "qemu.main.source");
test(marked, "an unknown key", bad("unknown-key"), "kernel", "network");
test(marked, "an unknown key of a domain", bad("unknown-key-in-domain"), "domains.vm.gdb.prot", "domains.vm.memroy");
test(
	marked,
	"unknown keys in a file that extends",
	`${extended}cpus: 1\ndomains: { vm: { cpu: 1 } }`,
	"cpus",
	"domains.vm.cpu",
);
test(
	marked,
	"wrong types",
	bad("wrong-types"),
	...[
		"domains.vm.acceleration",
		"domains.vm.cpus",
		"domains.vm.gdb.paused",
		"domains.vm.gdb.port",
		"domains.vm.kernelArguments",
		"domains.vm.memory",
	],
);
test(
	marked,
	"wrong types in a file that extends",
	`${extended}domains: { vm: { cpus: two, modules: lttng } }`,
	"domains.vm.cpus",
	"domains.vm.modules",
);
test(marked, "names that are none", `${extended}domains: { VM: {} }`, "domains.VM");
test(
	marked,
	"what is no source",
	bad("source-bare"),
	...[
		"kernels.file.source",
		"kernels.home.source",
		"kernels.main.source",
		"kernels.package.source",
		"modules.mymodule.source",
		"qemu.main.source",
	],
);

/** Every key that has a name in the schema, with what is said of it. */
function fields(schema: JsonSchema, path = ""): [string, JsonSchema][] {
	const own = Object.entries(schema.properties ?? {}).flatMap(([key, field]): [string, JsonSchema][] => [
		[`${path}${key}`, field],
		...fields(field, `${path}${key}.`),
	]);
	const within = [schema.additionalProperties, schema.items, ...(schema.anyOf ?? [])];
	return [...own, ...within.flatMap((inner) => (typeof inner === "object" ? fields(inner, `${path}*.`) : []))];
}
