import test, { type ExecutionContext } from "ava";
import { stringify } from "yaml";
import { LockFileError, lockHash, lockText, type Pin, pinInput, pinOf, readLock } from "../../spec/lock.ts";
import { ScratchProject } from "./scratch-project.ts";

const sha = (digit: string) => digit.repeat(64);
const kernel: Pin = {
	build: "kernel/0123456789abcdef",
	version: "6.1.192-2",
	sha256: sha("1"),
	tools: { "gcc-12": "12.2.0-14", binutils: "2.40-2" },
	config: sha("2"),
	result: sha("3"),
};
const image: Pin = {
	build: "image/0123456789abcdef",
	packages: { libc6: `2.36-9 ${sha("4")}`, "libstdc++6": `12.2 ${sha("5")}`, kmod: `30 ${sha("6")}` },
};
const builds = () => ({
	"image-main": "/opt/tracelab/image/0123456789abcdef",
	"kernel-main": "/opt/tracelab/kernel/0123456789abcdef",
});

function written(t: ExecutionContext, text?: string): ScratchProject {
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	if (text !== undefined) project.write("stacks/quick.lock.yaml", text);
	return project;
}

test("a stack without a lock has none", (t) => {
	t.is(readLock("quick", builds, written(t).root), undefined);
});

test("what is written is read again, sorted, with the words that say what it is", (t) => {
	const lock = { "kernel-main": kernel, "image-main": image };
	const text = lockText("quick", lock);
	const lines = text.split("\n");
	t.regex(lines[0] ?? "", /^# What the builds of stack quick are made of/);
	t.is(lines[1], "image-main:");
	t.true(text.includes(`    kmod: 30 ${sha("6")}\n`));
	t.deepEqual(readLock("quick", builds, written(t, text).root), lock);
});

test("the hash of a lock is that of its file, as a person wrote it", (t) => {
	// printf '# mine\nimage-main: {}\n' | sha256sum
	const sum = "fa5a2f75d94a8b0e683829c480c763e21b44b75efb0c4d669e03287a84ac5c6a";
	t.is(lockHash("quick", written(t, "# mine\nimage-main: {}\n").root), sum);
	t.is(lockHash("quick", written(t).root), undefined);
});

test("a step gets each fact as one text, which is what a build notes", (t) => {
	const modules = { "of-two": sha("7"), of: sha("8") };
	const { pin = {} } = pinInput({ ...kernel, ...image, modules });
	t.is(pin["tools"], "binutils 2.40-2\ngcc-12 12.2.0-14");
	t.is(pin["packages"], `kmod 30 ${sha("6")}\nlibc6 2.36-9 ${sha("4")}\nlibstdc++6 12.2 ${sha("5")}`);
	t.is(pin["version"], "6.1.192-2");
	t.is(pin["modules"], `of ${sha("8")}\nof-two ${sha("7")}`);
	t.deepEqual(pinOf(pin), { ...kernel, ...image, modules });
	for (const nothing of [undefined, {}]) t.deepEqual(pinInput(nothing), {});
});

const file = "stacks/quick.lock.yaml";
const facts = "build, version, commit, tree, kernel, modules, sha256, tools, packages, config, result";

const refused = test.macro({
	title: (_, what: string) => `${what} is an error with its place`,
	exec(t, _what: string, text: string, expected: string) {
		const error = t.throws(() => readLock("quick", builds, written(t, text).root), { instanceOf: LockFileError });
		t.is(error?.message, expected);
	},
});

test(
	refused,
	"a build that the stack has not",
	stringify({ "kernel-mian": kernel, "kernel-main": {}, "image-main": {} }),
	`${file}:1:1: kernel-mian: the stack has no such build (did you mean "kernel-main"?)\n    its builds are: image-main, kernel-main; ./lab lock --update -s quick takes out what is no more`,
);
test(
	refused,
	"another build than the stack file asks for",
	"kernel-main:\n  build: kernel/ffffffffffffffff\nimage-main: {}\n",
	`${file}:2:10: kernel-main.build: the stack file asks for another build: kernel/0123456789abcdef\n    go back to what it asked for, or to the tracelab that wrote the lock, if that was another; or pin the new one: ./lab lock --update kernel-main -s quick`,
);
test(
	refused,
	"a build that the lock does not name",
	"# mine\nimage-main: {}\n",
	`${file}:2:1: the lock does not name kernel-main, which the stack has\n    take into it what there is now: ./lab lock --update kernel-main -s quick`,
);
test(
	refused,
	"a misspelled fact",
	"kernel-main:\n  verison: 6.1.192-2\n",
	`${file}:2:3: kernel-main.verison: unknown key "verison" (did you mean "version"?)\n    the keys here are: ${facts}`,
);
test(
	refused,
	"a sum that is none",
	"kernel-main:\n  result: 12ab\n",
	`${file}:2:11: kernel-main.result: "12ab" is not a sha256\n    A sha256: 64 digits of 0-9 and a-f.`,
);
test(
	refused,
	"a version that YAML takes for a number",
	"kernel-main:\n  tools: { meson: 30 }\n",
	`${file}:2:19: kernel-main.tools.meson: must be text, not the number 30\n    put it in quotes if it is meant: YAML takes it for a number`,
);
test(
	refused,
	"a package's version without a sum, as locks once had it",
	'image-main:\n  packages: { kmod: "30" }\n',
	`${file}:2:21: image-main.packages.kmod: "30" is not a version with a sha256\n    A version, and the sha256 of its .deb; a lock of versions alone is of an older tracelab: remove it, then: ./lab up, ./lab lock`,
);
test(
	refused,
	"a file that is no map",
	"",
	`${file}:1:1: a lock is a map of builds\n    remove the file, and write it again: ./lab lock`,
);
