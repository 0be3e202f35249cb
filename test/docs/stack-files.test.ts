import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { parse } from "yaml";
import { type JsonSchema, stackJsonSchema } from "../../spec/json-schema.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { stackFileSchema } from "../../spec/schema.ts";
import { ScratchProject } from "../spec/scratch-project.ts";

const project = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(project, file), "utf8");

const text = read("docs/stack-files.md");
const rows = rowsOf(text);
const keys = new Map(keysOf(stackJsonSchema()));

test("docs/stack-files.md has a row for every key of a stack file, and none for another", (t) => {
	t.true(keys.size > 40);
	const documented = rows.map(({ path }) => path);
	t.deepEqual(documented.toSorted(), [...keys.keys()].sort());
});

test("docs/stack-files.md has the schema's defaults, and says what is required", (t) => {
	// The JSON Schema leaves out the default of a map that has sources in it.
	const { domains, ...filled } = stackFileSchema.parse({ domains: {} });
	for (const { path, byDefault } of rows) {
		const { schema, required } = keys.get(path) ?? { schema: {}, required: false };
		const value = schema.default ?? new Map<string, unknown>(Object.entries(filled)).get(path);
		if (required) t.is(byDefault, "*required*", path);
		else if (value === undefined) t.regex(byDefault, /^[^`*]/, path);
		else t.is(byDefault, `\`${flow(value)}\``, path);
	}
});

test("docs/stack-files.md has an example of each key that is no map of keys, and the schema takes it", (t) => {
	const whole = examples().get("whole") ?? "";
	for (const { path, example } of rows) {
		if (isMapOfKeys(keys.get(path)?.schema)) continue;
		const given = parse(example) as Record<string, unknown>;
		const key = path.split(".").at(-1) ?? "";
		t.deepEqual(Object.keys(given), [key], path);
		// On its own, a file that only extends lacks what it inherits.
		const file = merged(parse(read("stacks/quickstart.yaml")), parse(whole));
		put(file, path, given[key]);
		const { success, error } = stackFileSchema.safeParse(file);
		t.true(success, `${path}: ${error?.message ?? ""}`);
	}
});

test("the whole stack files in docs/stack-files.md load", (t) => {
	const scratch = new ScratchProject();
	t.teardown(() => scratch.remove());
	for (const file of ["linux/Kconfig", "linux/Makefile"]) scratch.write(file, "");
	for (const file of [
		"stacks/quickstart.yaml",
		"kconfig/lockdep.config",
		"profiles/block-io.yaml",
		"examples/mymodule.stp",
	]) {
		scratch.write(file, read(file));
	}
	for (const [name, yaml] of examples()) {
		scratch.write(`stacks/${name}.yaml`, yaml.replaceAll("/home/me", scratch.root));
	}
	t.deepEqual([...examples().keys()], ["smallest", "whole"]);
	const smallest = loadStack("smallest", { projectRoot: scratch.root });
	t.is(smallest.domains["vm"]?.processName, "smallest-vm");
	const whole = loadStack("whole", { projectRoot: scratch.root });
	// What the text says of extends.
	t.deepEqual(whole.domains["vm"]?.modules, ["lttng", "mymodule"]);
	t.like(whole.modules["mymodule"], {
		kernel: "mine",
		source: { kind: "path", path: join(scratch.root, "examples/mymodule") },
	});
	t.deepEqual(Object.keys(whole.kernels), ["main", "mine"]);
	t.deepEqual(whole.traces["flight"]?.budget, { rate: 8 });
});

interface Row {
	/** Such as domains.NAME.gdb.port; a source's own keys are source.url and source.sha256. */
	path: string;
	byDefault: string;
	example: string;
}

/** Rows of the tables of keys, each below the heading that says whose keys these are. */
function rowsOf(markdown: string): Row[] {
	let above = "";
	const found: Row[] = [];
	for (const line of markdown.split("\n")) {
		if (line.startsWith("## ")) above = /`([^`]*)`/.exec(line)?.[1] ?? "";
		const cells = line.split("|").map((cell) => cell.trim());
		const key = /^`([A-Za-z0-9.]+)`$/.exec(cells[1] ?? "")?.[1];
		// A key, its type, its default, its meaning, an example.
		if (key === undefined || cells.length !== 7) continue;
		const example = /^`(.*)`$/.exec(cells[5] ?? "")?.[1] ?? "";
		found.push({ path: above === "" ? key : `${above}.${key}`, byDefault: cells[3] ?? "", example });
	}
	return found;
}

type Described = JsonSchema & { readonly default?: unknown };

/** Every key of the schema, by its path, with NAME for what a person calls things. */
function keysOf(schema: Described, path: readonly string[] = []): [string, { schema: Described; required: boolean }][] {
	const own = Object.entries(schema.properties ?? {}).flatMap(([key, field]) => {
		const here = [...path, key];
		const required = schema.required?.includes(key) ?? false;
		return [[here.join("."), { schema: field, required }] as const, ...keysOf(field, here)].map(
			([where, what]): [string, { schema: Described; required: boolean }] => [
				// A source is one thing, whatever it is the source of.
				where.replace(/^(?:qemu|kernels|modules)\.NAME\.source\./, "source."),
				what,
			],
		);
	});
	const named = schema.additionalProperties;
	const within = typeof named === "object" ? keysOf(named, [...path, "NAME"]) : [];
	return [...own, ...within, ...(schema.anyOf ?? []).flatMap((one) => keysOf(one, path))];
}

const isMapOfKeys = (schema: Described | undefined): boolean => schema?.type === "object";

/** The complete stack files: those that begin with their own name. */
function examples(): Map<string, string> {
	const blocks = text.matchAll(/^```yaml\n(# stacks\/([a-z0-9-]+)\.yaml[\s\S]*?)^```$/gm);
	return new Map([...blocks].map(([, yaml = "", name = ""]) => [name, yaml]));
}

/** A default as one writes it in a line of YAML. */
function flow(value: unknown): string {
	if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
	if (typeof value !== "object" || value === null) return value === "" ? '""' : String(value);
	const entries = Object.entries(value).map(([key, one]) => `${key}: ${flow(one)}`);
	return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

type Tree = { [key: string]: unknown };

const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value);

function merged(base: Tree, over: Tree): Tree {
	const all = { ...base };
	for (const [key, value] of Object.entries(over)) {
		const there = all[key];
		all[key] = isTree(there) && isTree(value) ? merged(there, value) : value;
	}
	return all;
}

/** Puts a value at a path; NAME is the last of the names there. */
function put(file: Tree, path: string, value: unknown): void {
	const parts = path.replace(/^source\./, "qemu.release.source.").split(".");
	let here = file;
	for (const part of parts.slice(0, -1)) {
		const key = part === "NAME" ? (Object.keys(here).at(-1) ?? "") : part;
		const next = here[key];
		const inner = isTree(next) ? next : {};
		here[key] = inner;
		here = inner;
	}
	here[parts.at(-1) ?? ""] = value;
}
