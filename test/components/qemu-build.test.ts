import test from "ava";
import { QemuBuild } from "../../components/qemu-build.ts";
import { buildPrefix } from "../../spec/build-prefix.ts";
import { qemuPrefix } from "../../spec/build-prefixes.ts";
import type { QemuSpec } from "../../spec/schema.ts";
import { isStep } from "./assert-step.ts";
import { listed, resource, run } from "./mocks.ts";
import { qemu } from "./samples.ts";

const build = (spec: QemuSpec, stack = "t") => run({ stack }, () => new QemuBuild("qemu-main", { qemu: spec }));

const prefix = buildPrefix("qemu", {
	source: { kind: "debian", package: "qemu" },
	targets: ["x86_64-softmmu"],
	traceBackends: ["ust"],
	configure: [],
});

test.serial("a QEMU is one build", async (t) => {
	const up = await build(qemu);
	t.deepEqual(listed(up), ["tracelab:lab:QemuBuild qemu-main", "command:local:Command qemu-main-build"]);
	t.is(resource(up, "qemu-main-build").parent, "qemu-main");
	t.deepEqual(resource(up, "qemu-main-build").dependsOn, []);
});

test.serial("its prefix and emulator are known before it is built", async (t) => {
	const up = await build(qemu);
	t.regex(prefix, /^\/opt\/tracelab\/qemu\/[0-9a-f]{16}$/);
	t.is(up.made.prefix, prefix);
	t.is(up.made.emulator, `${prefix}/bin/qemu-system-x86_64`);
});

test.serial("its step gets the whole specification, and is replaced with the prefix", async (t) => {
	const up = await build({
		...qemu,
		source: { kind: "git", url: "https://example.org/qemu.git", ref: "v9.2.0" },
		targets: ["aarch64-softmmu", "x86_64-softmmu"],
		traceBackends: ["log", "ust"],
		configure: ["--enable-vnc", "--extra-cflags=-O0 -g"],
	});
	isStep(t, up, "qemu-main-build", {
		script: "qemu-build",
		identity: up.made.prefix,
		inputs: {
			prefix: up.made.prefix,
			source: { kind: "git", url: "https://example.org/qemu.git", ref: "v9.2.0" },
			targets: ["aarch64-softmmu", "x86_64-softmmu"],
			trace_backends: ["log", "ust"],
			configure: ["--enable-vnc", "--extra-cflags=-O0 -g"],
		},
	});
});

test.serial("the same QEMU has the same prefix in two stacks", async (t) => {
	t.is((await build(qemu, "one")).made.prefix, (await build({ ...qemu }, "two")).made.prefix);
});

const another = test.macro({
	title: (_, what: string) => `another ${what} is another QEMU`,
	exec(t, _what: string, change: Partial<QemuSpec>) {
		t.not(qemuPrefix({ ...qemu, ...change }), qemuPrefix(qemu));
	},
});

test(another, "source", { source: { kind: "debian", package: "qemu", suite: "bookworm-backports" } });
test(another, "target", { targets: ["aarch64-softmmu", "x86_64-softmmu"] });
test(another, "trace backend", { traceBackends: ["log", "ust"] });
test(another, "configure option", { configure: ["--enable-vnc"] });
