import test from "ava";
import type { Lock } from "../../spec/lock.ts";
import { completed, isOpen, updated } from "../../spec/lock-changes.ts";

const sha = (digit: string) => digit.repeat(64);
const built: Lock = {
	"image-main": { packages: { kmod: `30 ${sha("a")}`, zlib: `1 ${sha("b")}` }, result: sha("1") },
	"kernel-main": { version: "6.1.192-2", result: sha("2") },
	"module-mine": { kernel: "aaaaaaaa", tree: sha("4"), result: sha("3") },
};
const names = Object.keys(built);
const kernelOf = { "module-mine": "kernel-main" };

test("a lock that is not there yet is all that was built", (t) => {
	t.deepEqual(completed({}, built), { lock: built, differences: [], added: names });
});

test("what a lock lacks is added, and nothing of it is changed", (t) => {
	const old = { "kernel-main": { version: "6.1.192-2" }, "image-main": { packages: { kmod: `29 ${sha("c")}` } } };
	t.deepEqual(completed(old, built), {
		lock: { ...built, "image-main": { packages: { kmod: `29 ${sha("c")}` } } },
		differences: [
			"image-main packages kmod: 29 cccccccccccc → 30 aaaaaaaaaaaa",
			"image-main packages zlib: not pinned → 1 bbbbbbbbbbbb",
		],
		added: ["kernel-main", "module-mine"],
	});
	t.deepEqual(completed(built, built), { lock: built, differences: [], added: [] });
});

test("an update has what there is now, and says of each value what it was", (t) => {
	const now = { "image-main": { packages: { kmod: `31 ${sha("d")}` }, result: sha("5") } };
	t.deepEqual(updated(built, now, names, kernelOf), {
		lock: { ...built, ...now },
		differences: [
			"image-main packages kmod: 30 aaaaaaaaaaaa → 31 dddddddddddd",
			"image-main packages zlib: 1 bbbbbbbbbbbb → not pinned",
			"image-main result: 111111111111 → 555555555555",
		],
		added: [],
	});
});

test("with a kernel that is to be built anew, what its modules come to is open", (t) => {
	const { lock, differences } = updated(built, { "kernel-main": { version: "6.1.193-1" } }, names, kernelOf);
	t.deepEqual(lock["module-mine"], { tree: sha("4") });
	t.deepEqual(differences, [
		"kernel-main version: 6.1.192-2 → 6.1.193-1",
		"kernel-main result: 222222222222 → not pinned",
		"module-mine kernel: aaaaaaaa → not pinned",
		"module-mine result: 333333333333 → not pinned",
	]);
});

test("a kernel that is held to nothing is not to be built anew for that", (t) => {
	const old = { ...built, "kernel-main": {} };
	t.deepEqual(updated(old, { "module-mine": built["module-mine"] ?? {} }, names, kernelOf).lock, old);
	t.deepEqual([{}, { build: "kernel/0123456789abcdef" }, { result: sha("1") }].map(isOpen), [false, true, false]);
});

test("an update of all takes out builds that the stack has no more", (t) => {
	const { lock, differences } = updated(built, {}, ["image-main", "kernel-main"], {});
	t.deepEqual(Object.keys(lock), ["image-main", "kernel-main"]);
	t.deepEqual(
		differences.map((line) => line.split(":")[0]),
		["module-mine kernel", "module-mine tree", "module-mine result"],
	);
});
