import { chmodSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { ContentHashError, contentHash, treeHash } from "../../spec/content-hash.ts";
import { ScratchProject } from "./scratch-project.ts";

test("the hash of a value is what it has always been", (t) => {
	// Another hash would build everything anew on every host.
	t.is(contentHash({ source: { kind: "debian", package: "qemu" }, targets: ["x86_64-softmmu"] }), "ef8e8e5935754321");
});

test("the order of keys makes no other hash", (t) => {
	fc.assert(
		fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }), (value) => {
			const reversed = Object.fromEntries(Object.entries(value).toReversed());
			return contentHash(value) === contentHash(reversed);
		}),
	);
	t.pass();
});

test("values have one hash exactly when their JSON is the same", (t) => {
	const json = fc.jsonValue({ maxDepth: 2 });
	fc.assert(
		fc.property(json, json, (a, b) => {
			const same = sorted(a) === sorted(b);
			return (contentHash(a) === contentHash(b)) === same;
		}),
	);
	t.pass();
});

test("every hash is 16 hexadecimal digits", (t) => {
	fc.assert(fc.property(fc.jsonValue(), (value) => /^[0-9a-f]{16}$/.test(contentHash(value))));
	t.pass();
});

test("a key without a value counts as absent", (t) => {
	t.is(contentHash({ a: 1, b: undefined }), contentHash({ a: 1 }));
	t.not(contentHash({ a: 1, b: null }), contentHash({ a: 1 }));
});

class Thing {}
const circle: Record<string, unknown> = {};
circle["self"] = circle;

const refused = test.macro({
	title: (_, what: string) => `${what} has no hash`,
	exec(t, _what: string, value: unknown, message: string) {
		const hint = "\n    give plain objects, lists, text, finite numbers, booleans or null";
		t.throws(() => contentHash(value), { instanceOf: ContentHashError, message: message + hint });
	},
});

test(refused, "undefined", undefined, "cannot hash the value: undefined is not JSON");
test(refused, "undefined in a list", { a: [undefined] }, "cannot hash a.0: undefined is not JSON");
test(refused, "NaN", { a: Number.NaN }, "cannot hash a: NaN is not JSON");
test(refused, "a function", { a: { b: () => 1 } }, "cannot hash a.b: () => 1 is not JSON");
test(refused, "a Map", { a: new Map() }, "cannot hash a: it is an object of a class");
test(refused, "an object of a class", [new Thing()], "cannot hash 0: it is an object of a class");
test(refused, "an object that holds itself", circle, "cannot hash self: it holds itself");

function tree(): ScratchProject & { hash: () => string } {
	const project = new ScratchProject();
	project.write("m/Kbuild", "obj-m := m.o\n");
	project.write("m/m.c", "int m;\n");
	project.write("m/sub/data", Buffer.from([0, 255]));
	return Object.assign(project, { hash: () => treeHash(join(project.root, "m")) });
}

const changes = test.macro({
	title: (_, what: string) => `another hash of a tree: ${what}`,
	exec(t, _what: string, change: (root: string, project: ScratchProject) => void) {
		const project = tree();
		t.teardown(() => project.remove());
		const before = project.hash();
		change(join(project.root, "m"), project);
		t.not(project.hash(), before);
	},
});

test(changes, "a file's content", (_, project) => project.write("m/m.c", "int n;\n"));
test(changes, "a byte that is no text", (_, project) => project.write("m/sub/data", Buffer.from([0, 254])));
test(changes, "a file's name", (root) => renameSync(`${root}/m.c`, `${root}/n.c`));
test(changes, "a file more", (_, project) => project.write("m/n.c", ""));
test(changes, "a file less", (root) => rmSync(`${root}/m.c`));
test(changes, "an executable bit", (root) => chmodSync(`${root}/m.c`, 0o755));
test(changes, "a link that leads nowhere", (root) => symlinkSync("nowhere", `${root}/link`));

const noChange = test.macro({
	title: (_, what: string) => `the same hash of a tree: ${what}`,
	exec(t, _what: string, change: (root: string, project: ScratchProject) => void) {
		const project = tree();
		t.teardown(() => project.remove());
		const before = project.hash();
		change(join(project.root, "m"), project);
		t.is(project.hash(), before);
	},
});

test(noChange, "other bits of its mode", (root) => chmodSync(`${root}/m.c`, 0o600));
test(noChange, "what a build leaves behind", (_, project) => {
	const droppings = [
		"m.o",
		"m.ko",
		"m.mod",
		"m.mod.c",
		".m.o.cmd",
		"Module.symvers",
		"modules.order",
		".git/HEAD",
		"sub/x.o",
	];
	for (const name of droppings) project.write(`m/${name}`, "x");
});
test(noChange, "a file instead of a link to one", (root, project) => {
	const outside = project.write("outside.c", "int m;\n");
	rmSync(`${root}/m.c`);
	symlinkSync(outside, `${root}/m.c`);
});

test("a tree has the same hash wherever it is", (t) => {
	const [one, other] = [tree(), tree()];
	t.teardown(() => [one, other].map((project) => project.remove()));
	t.is(one.hash(), other.hash());
});

test("a tree that leads into itself has no hash", (t) => {
	const project = tree();
	t.teardown(() => project.remove());
	const root = join(project.root, "m");
	symlinkSync("..", `${root}/sub/up`);
	t.throws(() => project.hash(), {
		instanceOf: ContentHashError,
		message: `${root}/sub/up leads back to ${root}, which it is in\n    take the symbolic link out`,
	});
});

test("a folder that is not there has no hash", (t) => {
	t.throws(() => treeHash("/nowhere/at/all"), {
		instanceOf: ContentHashError,
		message: /^cannot read the source in \/nowhere\/at\/all: ENOENT.*\n {4}make it readable, or mend the path$/,
	});
});

/** A value's JSON by another road than that of the code under test. */
function sorted(value: unknown): string {
	return JSON.stringify(value, (_, inner) =>
		inner !== null && typeof inner === "object" && !Array.isArray(inner)
			? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
			: inner,
	);
}
