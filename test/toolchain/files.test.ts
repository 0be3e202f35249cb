import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { contentHash, filesBelow, fillFolder, place } from "../../toolchain/files.ts";
import { Scratch } from "./scratch.ts";

test("a program is placed in a folder that is made for it, and can be run", async (t) => {
	const scratch = new Scratch(t);
	const to = join(scratch.root, "deep", "er", "program");
	await place(scratch.write("built", "new", 0o644), to);
	t.is(readFileSync(to, "utf8"), "new");
	t.is(statSync(to).mode & 0o777, 0o755);
});

test("a program is placed by one rename: who runs the old one keeps it, and nothing is left over", async (t) => {
	const scratch = new Scratch(t);
	const to = scratch.write("place/program", "old", 0o755);
	linkSync(to, join(scratch.root, "old"));
	scratch.write(`place/program.part-${process.pid}`, "from a set-up that was killed");
	await place(scratch.write("built", "new"), to);
	t.is(readFileSync(to, "utf8"), "new");
	t.is(scratch.read("old"), "old");
	t.deepEqual(readdirSync(join(scratch.root, "place")), ["program"]);
});

test("a program that is in its place already is there once", async (t) => {
	const scratch = new Scratch(t);
	const built = scratch.write("built", "new");
	const to = join(scratch.root, "place", "program");
	for (const _ of [1, 2]) {
		await place(built, to);
		t.deepEqual(readdirSync(join(scratch.root, "place")), ["program"]);
	}
	t.is(statSync(to).ino, statSync(built).ino);
});

test("a program is placed over a link without touching what it led to", async (t) => {
	const scratch = new Scratch(t);
	const theirs = scratch.write("theirs", "theirs");
	mkdirSync(join(scratch.root, "place"));
	const to = join(scratch.root, "place", "program");
	symlinkSync(theirs, to);
	await place(scratch.write("built", "new"), to);
	t.is(readFileSync(theirs, "utf8"), "theirs");
	t.is(readFileSync(to, "utf8"), "new");
});

test("a program that is not there leaves the old one in place", async (t) => {
	const scratch = new Scratch(t);
	const to = scratch.write("place/program", "old");
	await t.throwsAsync(place(join(scratch.root, "absent"), to), { code: "ENOENT" });
	t.is(readFileSync(to, "utf8"), "old");
	t.deepEqual(readdirSync(join(scratch.root, "place")), ["program"]);
});

test("a folder is filled beside its place and replaces what was there", async (t) => {
	const scratch = new Scratch(t);
	scratch.write("target/old", "");
	const target = join(scratch.root, "target");
	await fillFolder(target, async (folder) => {
		t.true(existsSync(join(target, "old")));
		scratch.write(`${folder.slice(scratch.root.length)}/new`, "");
	});
	t.deepEqual(readdirSync(target), ["new"]);
	t.deepEqual(readdirSync(scratch.root).sort(), ["bin", "target"]);
});

test("a folder that could not be filled leaves what was there, and nothing of its own", async (t) => {
	const scratch = new Scratch(t);
	scratch.write("target/old", "kept");
	const filling = fillFolder(join(scratch.root, "target"), async (folder) => {
		scratch.write(`${folder.slice(scratch.root.length)}/half`, "");
		throw new Error("the disk is full");
	});
	await t.throwsAsync(filling, { message: "the disk is full" });
	t.is(scratch.read("target/old"), "kept");
	t.deepEqual(readdirSync(scratch.root).sort(), ["bin", "target"]);
});

test("a content hash is that of names, contents and texts, in any order of the files", async (t) => {
	const scratch = new Scratch(t);
	const [a, b] = [scratch.write("a", "1"), scratch.write("b", "2")];
	const hash = await contentHash([a, b], "x", "y");
	t.regex(hash, /^[0-9a-f]{16}$/);
	t.is(await contentHash([b, a], "x", "y"), hash);
	t.is(await contentHash([scratch.write("elsewhere/a", "1"), scratch.write("elsewhere/b", "2")], "x", "y"), hash);
	const others = [
		await contentHash([a, b], "xy"),
		await contentHash([a, b], "y", "x"),
		await contentHash([a], "x", "y"),
		await contentHash([a, scratch.write("c", "2")], "x", "y"),
		await contentHash([a, scratch.write("b", "3")], "x", "y"),
	];
	t.is(new Set([hash, ...others]).size, 6);
});

test("the files below a folder are files, not folders", async (t) => {
	const scratch = new Scratch(t);
	const files = [scratch.write("f/one", ""), scratch.write("f/deep/two", "")];
	mkdirSync(join(scratch.root, "f", "empty"));
	t.deepEqual((await filesBelow(join(scratch.root, "f"))).sort(), files.sort());
});
