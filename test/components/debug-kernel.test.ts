import test from "ava";
import { DebugKernel } from "../../components/debug-kernel.ts";
import { buildPrefix } from "../../spec/build-prefix.ts";
import { fragmentTexts } from "../../spec/kconfig.ts";
import type { KernelSpec } from "../../spec/schema.ts";
import { givenTo, isStep } from "./assert-step.ts";
import { listed, resource, run } from "./mocks.ts";
import { kernel } from "./samples.ts";

const build = (spec: KernelSpec, stack = "t", name = "kernel-main") =>
	run({ stack }, () => new DebugKernel(name, { kernel: spec }));
const prefix = async (spec: KernelSpec, stack?: string, name?: string) => (await build(spec, stack, name)).made.prefix;

test.serial("a kernel is one build", async (t) => {
	const up = await build(kernel);
	t.deepEqual(listed(up), ["tracelab:lab:DebugKernel kernel-main", "command:local:Command kernel-main-build"]);
	t.is(resource(up, "kernel-main-build").parent, "kernel-main");
	t.deepEqual(resource(up, "kernel-main-build").dependsOn, []);
});

test.serial("its prefix is the hash of its source, of what its fragments ask for, and of its own lines", async (t) => {
	const config = ["CONFIG_PREEMPT=y"];
	t.is(
		await prefix({ ...kernel, config }),
		buildPrefix("kernel", { source: kernel.source, texts: fragmentTexts(["quickstart"]), config }),
	);
});

test.serial(
	"its step gets the fragments' texts in their order, so that the host needs none of this project's files",
	async (t) => {
		const up = await build({
			source: { kind: "tarball", url: "https://example.org/linux.tar.xz", sha256: "0".repeat(64) },
			fragments: ["sched-debug", "quickstart"],
			config: ["CONFIG_PREEMPT=y", "# CONFIG_MODULES is not set"],
		});
		const texts = fragmentTexts(["sched-debug", "quickstart"]);
		t.regex(texts[1] ?? "", /^CONFIG_DEBUG_INFO/m);
		isStep(t, up, "kernel-main-build", {
			script: "debug-kernel",
			identity: up.made.prefix,
			inputs: {
				prefix: up.made.prefix,
				source: { kind: "tarball", url: "https://example.org/linux.tar.xz", sha256: "0".repeat(64) },
				fragments: texts,
				config: ["CONFIG_PREEMPT=y", "# CONFIG_MODULES is not set"],
			},
		});
	},
);

test.serial("the comments in a fragment do not reach the build", async (t) => {
	t.notRegex(givenTo(resource(await build(kernel), "kernel-main-build")), /# (?!CONFIG_\S+ is not set$)/m);
});

const same = test.macro({
	title: (_, what: string) => `${what} is the same kernel`,
	async exec(t, _what: string, spec: KernelSpec, stack: string, name: string) {
		t.is(await prefix(spec, stack, name), await prefix(kernel));
	},
});

test.serial(same, "the same specification in another stack", { ...kernel }, "another", "kernel-main");
test.serial(same, "the same specification by another name", { ...kernel }, "t", "kernel-other");

const another = test.macro({
	title: (_, what: string) => `another ${what} is another kernel`,
	async exec(t, _what: string, change: Partial<KernelSpec>) {
		t.not(await prefix({ ...kernel, ...change }), await prefix(kernel));
	},
});

test.serial(another, "source", { source: { kind: "debian", package: "linux-source-6.5" } });
test.serial(another, "fragment", { fragments: ["quickstart", "lockdep"] });

test.serial("another order of the fragments, of which the last to ask wins, is another kernel", async (t) => {
	const fragments = ["quickstart", "lockdep"];
	t.not(await prefix({ ...kernel, fragments }), await prefix({ ...kernel, fragments: fragments.toReversed() }));
});

test.serial(another, "line of its own", { config: ["CONFIG_PREEMPT=y"] });
