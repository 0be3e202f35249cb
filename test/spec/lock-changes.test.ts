import test from "ava";
import type { Lock } from "../../spec/lock.ts";
import { completed, isOpen, updated } from "../../spec/lock-changes.ts";

const sha = (digit: string) => digit.repeat(64);
const built: Lock = {
	"image-main": { packages: { kmod: `30 ${sha("a")}`, zlib: `1 ${sha("b")}` }, result: sha("1") },
	"kernel-main": { version: "6.1.192-2", result: sha("2") },
	"module-mine": { kernel: "aaaaaaaa", tree: sha("4"), result: sha("3") },
	"probe-mine-vm": {
		build: "probe/0123456789abcdef",
		kernel: "aaaaaaaa",
		modules: { mine: sha("3") },
		tools: { systemtap: "4.8" },
		result: sha("6"),
	},
};
const names = Object.keys(built);
const asked = {
	"module-mine": { build: "module/0123456789abcdef", madeFor: ["kernel-main"] },
	"probe-mine-vm": { build: "probe/0123456789abcdef", madeFor: ["kernel-main", "module-mine"] },
};
const openProbe = { build: "probe/0123456789abcdef", tools: { systemtap: "4.8" } };

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
		added: ["kernel-main", "module-mine", "probe-mine-vm"],
	});
	t.deepEqual(completed(built, built), { lock: built, differences: [], added: [] });
});

test("an update has what there is now, and says of each value what it was", (t) => {
	const now = { "image-main": { packages: { kmod: `31 ${sha("d")}` }, result: sha("5") } };
	t.deepEqual(updated(built, now, names, asked), {
		lock: { ...built, ...now },
		differences: [
			"image-main packages kmod: 30 aaaaaaaaaaaa → 31 dddddddddddd",
			"image-main packages zlib: 1 bbbbbbbbbbbb → not pinned",
			"image-main result: 111111111111 → 555555555555",
		],
		added: [],
	});
});

test("with a kernel that is to be built anew, what its modules and its probes come to is open", (t) => {
	const { lock, differences } = updated(built, { "kernel-main": { version: "6.1.193-1" } }, names, asked);
	t.deepEqual(lock["module-mine"], { tree: sha("4") });
	t.deepEqual(lock["probe-mine-vm"], openProbe);
	t.deepEqual(differences, [
		"kernel-main version: 6.1.192-2 → 6.1.193-1",
		"kernel-main result: 222222222222 → not pinned",
		"module-mine kernel: aaaaaaaa → not pinned",
		"module-mine result: 333333333333 → not pinned",
		"probe-mine-vm kernel: aaaaaaaa → not pinned",
		"probe-mine-vm modules mine: 333333333333 → not pinned",
		"probe-mine-vm result: 666666666666 → not pinned",
	]);
});

test("with a module that is to be built anew, what its probes come to is open, and no more", (t) => {
	const open = { kernel: "aaaaaaaa", tree: sha("7") };
	const { lock, differences } = updated(built, { "module-mine": open }, names, asked);
	t.deepEqual(lock, { ...built, "module-mine": open, "probe-mine-vm": openProbe });
	t.deepEqual(differences, [
		"module-mine tree: 444444444444 → 777777777777",
		"module-mine result: 333333333333 → not pinned",
		"probe-mine-vm kernel: aaaaaaaa → not pinned",
		"probe-mine-vm modules mine: 333333333333 → not pinned",
		"probe-mine-vm result: 666666666666 → not pinned",
	]);
});

test("a module that came to something else by now opens its probes, but for those that are given with it", (t) => {
	const module = { ...built["module-mine"], result: sha("8") };
	const probe = { ...built["probe-mine-vm"], modules: { mine: sha("8") }, result: sha("9") };
	t.deepEqual(updated(built, { "module-mine": module }, names, asked).lock["probe-mine-vm"], openProbe);
	const all = { "module-mine": module, "probe-mine-vm": probe };
	t.deepEqual(updated(built, all, names, asked).lock, { ...built, ...all });
	// As before: so is what was compiled for it.
	t.deepEqual(updated(built, { "module-mine": built["module-mine"] ?? {} }, names, asked).lock, built);
});

test("what is made for a build that the stack file asks otherwise for is pinned as the stack file asks for it now", (t) => {
	const build = "probe/fedcba9876543210";
	const changed = { ...asked, "probe-mine-vm": { ...asked["probe-mine-vm"], build } };
	const now = { "module-mine": { build: "module/fedcba9876543210" } };
	t.deepEqual(updated(built, now, names, changed).lock["probe-mine-vm"], { ...openProbe, build });
	t.deepEqual(updated({ ...built, "probe-mine-vm": {} }, now, names, changed).lock["probe-mine-vm"], {});
});

test("a kernel that is held to nothing is not to be built anew for that", (t) => {
	const old = { ...built, "kernel-main": {} };
	t.deepEqual(updated(old, { "module-mine": built["module-mine"] ?? {} }, names, asked).lock, old);
	t.deepEqual([{}, { build: "kernel/0123456789abcdef" }, { result: sha("1") }].map(isOpen), [false, true, false]);
});

test("an update of all takes out builds that the stack has no more", (t) => {
	const { lock, differences } = updated(built, {}, ["image-main", "kernel-main"], {});
	t.deepEqual(Object.keys(lock), ["image-main", "kernel-main"]);
	t.deepEqual(
		differences.map((line) => line.split(":")[0]),
		[
			...["module-mine kernel", "module-mine tree", "module-mine result"],
			...["build", "kernel", "modules mine", "tools systemtap", "result"].map((fact) => `probe-mine-vm ${fact}`),
		],
	);
});
