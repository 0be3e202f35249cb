import test from "ava";
import { buildPrefix } from "../../spec/build-prefix.ts";

const identity = { source: { kind: "debian", package: "qemu" }, targets: ["x86_64-softmmu"] };

test("a build is a folder of its kind, named after the hash of what it is made of", (t) => {
	for (const kind of ["qemu", "kernel", "image", "module"] as const)
		t.regex(buildPrefix(kind, identity), new RegExp(`^/opt/tracelab/${kind}/[0-9a-f]{16}$`));
});

test("the same specification is the same folder, whatever the order of its keys", (t) => {
	const { source, targets } = identity;
	t.is(buildPrefix("qemu", { targets, source }), buildPrefix("qemu", identity));
});

test("another specification is another folder", (t) => {
	t.not(buildPrefix("qemu", { ...identity, targets: [] }), buildPrefix("qemu", identity));
});
