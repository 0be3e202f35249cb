import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { DebugKernel } from "../../components/debug-kernel.ts";
import { KernelModule } from "../../components/kernel-module.ts";
import { ContentHashError } from "../../spec/content-hash.ts";
import type { KernelSpec, Source } from "../../spec/schema.ts";
import { isStep } from "./assert-step.ts";
import { listed, resource, run } from "./mocks.ts";
import { kernel } from "./samples.ts";

interface Given {
	moduleName?: string;
	source: Source;
	kernelSpec?: KernelSpec;
	stack?: string;
	make?: string[];
	load?: string[];
}

function build(given: Given) {
	const { moduleName = "hello", source, kernelSpec = kernel, stack = "t", make = [], load = [moduleName] } = given;
	return run({ stack }, () => {
		const built = new DebugKernel("kernel-main", { kernel: kernelSpec });
		const module = new KernelModule(`module-${moduleName}`, {
			moduleName,
			module: { source, kernel: "main", make, load },
			kernel: built,
		});
		return { prefix: module.prefix, kernelPrefix: built.prefix };
	});
}

const prefix = async (given: Given) => (await build(given)).made.prefix;

/** A module's source in a folder of its own. */
function folder(t: ExecutionContext): Extract<Source, { kind: "path" }> {
	const path = mkdtempSync(join(tmpdir(), "tracelab-module-"));
	t.teardown(() => rmSync(path, { recursive: true }));
	writeFileSync(join(path, "Kbuild"), "obj-m := hello.o\n");
	writeFileSync(join(path, "hello.c"), "int x;\n");
	return { kind: "path", path };
}

const git: Source = { kind: "git", url: "https://example.org/hello.git", ref: "v1" };

test.serial("a module is one build, after its kernel's", async (t) => {
	const up = await build({ source: git });
	t.deepEqual(listed(up), [
		"tracelab:lab:DebugKernel kernel-main",
		"command:local:Command kernel-main-build",
		"tracelab:lab:KernelModule module-hello",
		"command:local:Command module-hello-build",
	]);
	const { parent, dependsOn } = resource(up, "module-hello-build");
	t.is(parent, "module-hello");
	t.deepEqual(dependsOn, ["kernel-main-build"]);
	t.true(up.events.indexOf("make kernel-main-build") < up.events.lastIndexOf("look at module-hello-build"));
});

test.serial("its step gets its name, its source and its kernel, and is replaced with the prefix", async (t) => {
	const source = folder(t);
	const up = await build({ source });
	t.regex(up.made.prefix, /^\/opt\/tracelab\/module\/[0-9a-f]{16}$/);
	isStep(t, up, "module-hello-build", {
		script: "kernel-module",
		identity: up.made.prefix,
		inputs: {
			prefix: up.made.prefix,
			name: "hello",
			load: ["hello"],
			make: [],
			source: { kind: "path", path: source.path },
			kernel_prefix: up.made.kernelPrefix,
		},
	});
});

test.serial("an edit of its text is another module, and the edit undone is the first one again", async (t) => {
	const source = folder(t);
	const first = await prefix({ source });
	writeFileSync(join(source.path, "hello.c"), "int y;\n");
	t.not(await prefix({ source }), first);
	writeFileSync(join(source.path, "hello.c"), "int x;\n");
	t.is(await prefix({ source }), first);
});

test.serial("what a build leaves behind in its folder makes no other module", async (t) => {
	const source = folder(t);
	const first = await prefix({ source });
	for (const file of ["hello.o", "hello.ko", "Module.symvers"]) writeFileSync(join(source.path, file), "left");
	t.is(await prefix({ source }), first);
});

test.serial("where its folder is makes no other module", async (t) => {
	t.is(await prefix({ source: folder(t) }), await prefix({ source: folder(t) }));
});

test.serial("the same module is the same build in two stacks", async (t) => {
	t.is(await prefix({ source: git, stack: "one" }), await prefix({ source: git, stack: "two" }));
});

const another = test.macro({
	title: (_, what: string) => `another ${what} is another module`,
	async exec(t, _what: string, change: Partial<Given>) {
		t.not(await prefix({ source: git, ...change }), await prefix({ source: git }));
	},
});

test.serial(another, "kernel", { kernelSpec: { ...kernel, config: ["CONFIG_PREEMPT=y"] } });
test.serial(another, "name", { moduleName: "goodbye" });
test.serial(another, "variable of make", { make: ["CONFIG_HELLO=m"] });
test.serial(another, "list of what is loaded", { load: [] });
test.serial(another, "ref", { source: { ...git, ref: "v2" } });

test.serial("a folder that is not there is an error before anything is built", async (t) => {
	const source: Source = { kind: "path", path: "/nowhere/hello" };
	await t.throwsAsync(build({ source }), {
		instanceOf: ContentHashError,
		message: /^cannot read the source in \/nowhere\/hello: ENOENT/,
	});
});
