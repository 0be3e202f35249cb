import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import {
	type JsonSchema,
	profileJsonSchema,
	profileJsonSchemaText,
	stackJsonSchema,
	stackJsonSchemaText,
} from "../../spec/json-schema.ts";
import { stackNames } from "../../spec/stack-names.ts";

const stacks = join(import.meta.dirname, "../../stacks");
const goldens = [
	{ file: "stacks/schema.json", from: "spec/schema.ts", text: stackJsonSchemaText },
	{ file: "profiles/schema.json", from: "spec/profile.ts", text: profileJsonSchemaText },
];

for (const { file, from, text } of goldens) {
	test(`${file} is that of ${from}`, (t) => {
		const golden = join(import.meta.dirname, "../..", file);
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
}

/** Every key that has a name in the schema, with what is said of it. */
function fields(schema: JsonSchema, path = ""): [string, JsonSchema][] {
	const own = Object.entries(schema.properties ?? {}).flatMap(([key, field]): [string, JsonSchema][] => [
		[`${path}${key}`, field],
		...fields(field, `${path}${key}.`),
	]);
	const within = [schema.additionalProperties, schema.items, ...(schema.anyOf ?? [])];
	return [...own, ...within.flatMap((inner) => (typeof inner === "object" ? fields(inner, `${path}*.`) : []))];
}
