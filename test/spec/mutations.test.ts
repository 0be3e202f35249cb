import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { ScratchProject, smallest } from "./scratch-project.ts";
import { expectStackOrProblems } from "./stack-or-problems.ts";

// Files that people have written, good ones and bad ones, with a few edits that no person would make. The same seed makes
// the same files; for a longer look: FUZZ_RUNS=100000 FUZZ_SEED=2 npx ava test/spec/mutations.test.ts

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 1500);
const seed = Number(process.env["FUZZ_SEED"] ?? 1);

const project = new ScratchProject();
project.write("stacks/quickstart.yaml", smallest);
test.after.always(() => project.remove());

const folders = ["../../stacks", "bad", "bad-extends"].map((folder) => join(import.meta.dirname, folder));
const files = folders
	.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
	.filter((file) => file.endsWith(".yaml") && !file.includes("Pulumi."))
	.sort()
	.map((file) => readFileSync(file));

/** What means something to YAML, to the schema, or to whoever reads the text afterwards. */
const tokens = [
	...["\n", "\r\n", "\t", " ", "\0", "\ufeff", "\u2028", "\u202e", "\x1b[2J", "é", "🐧", "\xff"],
	...["- ", "? ", ": ", ":", ", ", "[", "]", "{", "}", "#", " #", "&a ", "*a", "!!str ", "!!binary ", "!x ", "|", ">"],
	...["|+2\n", "'", '"', "%YAML 1.1\n", "---\n", "...\n", "<<: *a", "~", "null", "true", ".inf", ".nan", "-0", "1e999"],
	...["0x10", "0o7", "9007199254740993", "__proto__: ", "constructor: ", "extends: quickstart\n", "extends: x\n"],
	...[
		"main",
		"vm: ",
		"source: ",
		"path:",
		"path:/dev",
		"debian:",
		"git:",
		"$(touch /tmp/x)",
		"`id`",
		";",
		"\\",
		"\\x41",
	],
	...[
		"domains:\n",
		"modules: [",
		"gdb: { port: 1234 }",
		"&a [*a, *a]",
		"x".repeat(5000),
		"[".repeat(2000),
		" ".repeat(3000),
	],
].map((token) => Buffer.from(token, token === "\xff" ? "latin1" : "utf8"));

type Edit = (all: Buffer) => Buffer;
const splice = (bytes: Buffer, at: number, length: number, put: Buffer): Buffer => {
	const from = at % (bytes.length + 1);
	return Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + length)]);
};
const place = fc.nat(20000);
const edit: fc.Arbitrary<Edit> = fc.oneof(
	fc.tuple(place, fc.constantFrom(...tokens)).map(
		([at, token]) =>
			(all: Buffer) =>
				splice(all, at, 0, token),
	),
	fc.tuple(place, fc.constantFrom(...tokens)).map(
		([at, token]) =>
			(all: Buffer) =>
				splice(all, at, token.length, token),
	),
	fc.tuple(place, fc.nat(255)).map(
		([at, byte]) =>
			(all: Buffer) =>
				splice(all, at, 1, Buffer.of(byte)),
	),
	fc.tuple(place, fc.nat(60)).map(
		([at, length]) =>
			(all: Buffer) =>
				splice(all, at, length, Buffer.alloc(0)),
	),
	// A part of it once more, somewhere else.
	fc.tuple(place, place, fc.nat(200)).map(([from, at, length]) => (all: Buffer) => {
		const start = from % (all.length + 1);
		return splice(all, at, 0, all.subarray(start, start + length));
	}),
	// A line further in, or out.
	fc.tuple(place, fc.constantFrom(" ", "  ", "\t", "")).map(([at, indent]) => (all: Buffer) => {
		const lines = all.toString("latin1").split("\n");
		const line = at % lines.length;
		lines[line] = indent === "" ? (lines[line] ?? "").trimStart() : indent + lines[line];
		return Buffer.from(lines.join("\n"), "latin1");
	}),
	// As if it were cut off.
	place.map((at) => (all: Buffer) => all.subarray(0, at % (all.length + 1))),
	// Many times over.
	fc.nat(200).map((times) => (all: Buffer) => Buffer.concat(Array<Buffer>(times).fill(all)).subarray(0, 70000)),
);

test("any edits of files that people wrote give a stack or its problems", (t) => {
	const edited = fc
		.tuple(fc.constantFrom(...files), fc.array(edit, { minLength: 1, maxLength: 8 }))
		.map(([file, edits]) => edits.reduce<Buffer>((bytes, change) => change(bytes), file));
	fc.assert(
		fc.property(edited, (file) => expectStackOrProblems(project, file)),
		{ numRuns, seed, includeErrorInReport: true },
	);
	t.pass();
});
