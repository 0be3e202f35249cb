import { statSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ScratchHost } from "./run-step.ts";

const step = "guest-share";
const folder = "/var/lib/tracelab/domains/quick-vm";
const tree = `${folder}/root/lib/modules`;
const kernel = "/opt/tracelab/kernel/fedcba9876543210";
const module = "/opt/tracelab/module/0123456789abcdef";
const other = "/opt/tracelab/module/1111111111111111";
const tools = "/opt/tracelab/guest-tools/3333333333333333";
const inputs = {
	folder,
	kernel_prefix: kernel,
	modules: { hello: module },
	load: ["hello"],
	tools_prefix: tools,
};
const both = { ...inputs, modules: { hello: module, other }, load: ["other", "hello"] };

/** A kernel 6.1.9, two modules and a program; the fake depmod lists what is there. */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	makeKernel(scratch, kernel, "6.1.9");
	build(scratch, module, { "hello.ko": "hello, first\n" });
	build(scratch, other, { "other.ko": "other\n" });
	build(scratch, tools, { "bin/beacon": "program\n" });
	fakeDepmod(scratch);
	return scratch;
}

/** A finished build with these files, and their manifest. */
function build(scratch: ScratchHost, prefix: string, files: Readonly<Record<string, string>>): void {
	for (const [name, text] of Object.entries(files)) scratch.write(`${prefix}/${name}`, text);
	const manifest = Object.keys(files).map((name) => {
		const { mtimeMs, size } = statSync(join(scratch.root, prefix, name));
		return `${Math.floor(mtimeMs / 1000)} ${size} ${name}\n`;
	});
	scratch.write(`${prefix}/.tracelab-build`, manifest.sort().join(""));
}

function makeKernel(scratch: ScratchHost, prefix: string, release: string): void {
	scratch.write(`${prefix}/release`, `${release}\n`);
	scratch.write(`${prefix}/modules/lib/modules/${release}/kernel/x.ko`, `x of ${release}\n`);
}

function fakeDepmod(scratch: ScratchHost, before = ""): void {
	scratch.fake("depmod", `${before}\ncd "$2/lib/modules/$3"; find * -name '*.ko' | sort | sed 's/$/:/' >modules.dep`);
}

function files(scratch: ScratchHost): string[] {
	const all = scratch.tree();
	return Object.keys(all)
		.filter((path) => path.startsWith(`${tree.slice(1)}/`) && !all[path]?.startsWith("folder"))
		.map((path) => path.slice(tree.length));
}

async function drift(scratch: ScratchHost, given: typeof inputs | object = inputs): Promise<string | undefined> {
	return (await scratch.step(step, "probe", { ...inputs, ...given })).stdout["drift"];
}

const notKernels = (prefix = kernel) => `${folder} does not hold the modules of the kernel ${prefix}`;
const installed = `guest-share: installed the modules and programs of ${folder}`;
const upToDate = `guest-share: what ${folder} shows its guest is up to date`;

test("the kernel's modules and the lab's are installed once, and go", async (t) => {
	const scratch = host(t);
	const before = scratch.tree();
	t.is(await drift(scratch), notKernels());
	const first = await scratch.step(step, "apply", inputs);
	t.is(first.stderr, installed);
	t.deepEqual(first.stdout, {});
	t.deepEqual(first.calls, [`depmod -b ${scratch.root}${folder}/root 6.1.9`]);
	t.deepEqual(files(scratch), ["6.1.9/extra/hello.ko", "6.1.9/kernel/x.ko", "6.1.9/modules.dep", "kernel", "load"]);
	t.is(scratch.read(`${tree}/6.1.9/extra/hello.ko`), "hello, first\n");
	t.is(scratch.read(`${tree}/6.1.9/modules.dep`), "extra/hello.ko:\nkernel/x.ko:\n");
	t.is(scratch.read(`${tree}/load`), "hello\n");
	t.is(await drift(scratch), "");
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", inputs);
	t.is(second.stderr, upToDate);
	t.deepEqual(second.stdout, first.stdout);
	t.deepEqual(second.calls, []);
	t.deepEqual(scratch.tree(), applied);
	// What runs of `./lab probe` leave that were killed.
	scratch.write(`${folder}/root/probes/stap_once_4242.ko`, "");
	scratch.write(`${folder}/root/probes/.stap_once_4243.tracelab-part`, "");
	// What the guest step leaves, as long as there is a disk.
	scratch.write(`${folder}/image-of-quick-vm-0123456789abcdef.qcow2`, "");
	t.is((await scratch.step(step, "remove", inputs)).code, 0);
	t.deepEqual(scratch.tree(), before);
});

test("a domain without modules has its kernel's alone", async (t) => {
	const scratch = host(t);
	const none = { ...inputs, modules: {}, load: [] };
	await scratch.step(step, "apply", none);
	t.deepEqual(files(scratch), ["6.1.9/kernel/x.ko", "6.1.9/modules.dep", "kernel", "load"]);
	t.is(scratch.read(`${tree}/load`), "");
	t.is(await drift(scratch, none), "");
	t.is((await scratch.step(step, "apply", none)).stderr, upToDate);
});

test("the modules to load are in the order of their names", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", both);
	t.is(scratch.read(`${tree}/load`), "hello\nother\n");
});

const repaired = test.macro({
	exec: async (t: ExecutionContext, harm: (scratch: ScratchHost) => unknown, sentence: string) => {
		const scratch = host(t);
		await scratch.step(step, "apply", inputs);
		const applied = files(scratch);
		await harm(scratch);
		t.is(await drift(scratch), sentence);
		t.is((await scratch.step(step, "apply", inputs)).stderr, installed);
		t.is(await drift(scratch), "");
		t.deepEqual(files(scratch), applied);
	},
	title: (title = "") => `${title} is drift, and one apply mends it`,
});
const without = (path: string) => (scratch: ScratchHost) => scratch.bash(`rm '${scratch.root}${tree}/${path}'`);
const notBuilt = `module hello in ${folder} is not the one that was built`;

test("a build that was changed by hand is its own step's to say", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write(`${module}/hello.ko`, "");
	t.is(await drift(scratch), "");
});

test("a build of the programs that is gone is its own step's to say", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	await scratch.bash(`rm -r '${scratch.root}${tools}'`);
	t.is(await drift(scratch), "");
	build(scratch, tools, { "bin/beacon": "program\n", "bin/facts": "new\n", "bin/second": "new\n" });
	t.regex((await drift(scratch)) ?? "", /root\/bin, not as built: .*facts second$/);
	t.is((await scratch.step(step, "apply", inputs)).stderr, installed);
	t.is(await drift(scratch), "");
});

test(
	"a module that was built again",
	repaired,
	(scratch) => build(scratch, module, { "hello.ko": "second\n" }),
	notBuilt,
);
test("a module that is gone", repaired, without("6.1.9/extra/hello.ko"), notBuilt);
test(
	"a module of nobody's",
	repaired,
	(scratch) => scratch.write(`${tree}/6.1.9/extra/stray.ko`, ""),
	`module stray in ${folder} is not one of this domain's`,
);
test(
	"a program that somebody changed",
	repaired,
	(scratch) => scratch.write(`${folder}/root/bin/beacon`, "other\n"),
	`in ${folder}/root/bin, not as built: beacon`,
);
test("a missing index", repaired, without("6.1.9/modules.dep"), `the modules in ${folder} are not indexed`);
test("a missing list of what to load", repaired, without("load"), `${folder} does not say which modules to load`);
test("a missing mark of the kernel", repaired, without("kernel"), notKernels());

test("a set of modules is installed as a whole, and the programs beside it", async (t) => {
	const scratch = host(t);
	build(scratch, other, { "one.ko": "1\n", "two.ko": "2\n" });
	await scratch.step(step, "apply", { ...inputs, modules: { tracers: other }, load: [] });
	t.deepEqual(
		files(scratch).filter((path) => path.includes("extra")),
		["6.1.9/extra/one.ko", "6.1.9/extra/two.ko"],
	);
	t.is(scratch.read(`${folder}/root/bin/beacon`), "program\n");
});

test("a module that the stack file has no more goes out of the tree", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", both);
	t.is(
		await drift(scratch),
		`module other in ${folder} is not one of this domain's; ${folder} does not say which modules to load`,
	);
	await scratch.step(step, "apply", inputs);
	t.is(scratch.read(`${tree}/6.1.9/modules.dep`), "extra/hello.ko:\nkernel/x.ko:\n");
	t.is(scratch.read(`${tree}/load`), "hello\n");
});

test("another kernel's modules take the place of the old ones, in the folder that the guest holds", async (t) => {
	const scratch = host(t);
	const next = "/opt/tracelab/kernel/2222222222222222";
	makeKernel(scratch, next, "6.5.0");
	await scratch.step(step, "apply", inputs);
	const { ino } = statSync(join(scratch.root, tree));
	t.is(await drift(scratch, { kernel_prefix: next }), notKernels(next));
	await scratch.step(step, "apply", { ...inputs, kernel_prefix: next });
	t.deepEqual(files(scratch), ["6.5.0/extra/hello.ko", "6.5.0/kernel/x.ko", "6.5.0/modules.dep", "kernel", "load"]);
	t.is(statSync(join(scratch.root, tree)).ino, ino);
	t.is(await drift(scratch, { kernel_prefix: next }), "");
});

test("the modules of a kernel that was made again in its place take the place of the old ones", async (t) => {
	const scratch = host(t);
	const result = (text: string) => scratch.write(`${kernel}/.tracelab-build-record/result`, `${text}\n`);
	result("first");
	await scratch.step(step, "apply", inputs);
	t.is(await drift(scratch), "");
	scratch.write(`${kernel}/modules/lib/modules/6.1.9/kernel/x.ko`, "x, edited\n");
	result("second");
	t.is(await drift(scratch), notKernels());
	await scratch.step(step, "apply", inputs);
	t.is(scratch.read(`${tree}/6.1.9/kernel/x.ko`), "x, edited\n");
	makeKernel(scratch, kernel, "6.1.10");
	result("third");
	t.is(await drift(scratch), notKernels());
	await scratch.step(step, "apply", inputs);
	t.deepEqual(files(scratch), ["6.1.10/extra/hello.ko", "6.1.10/kernel/x.ko", "6.1.10/modules.dep", "kernel", "load"]);
	t.is(await drift(scratch), "");
});

test("a step that is killed while it copies the kernel's modules starts over", async (t) => {
	const scratch = host(t);
	scratch.fake("cp", `mkdir -p "\${*: -1}/6.1.9/kernel"; echo half >"\${*: -1}/6.1.9/kernel/half.ko"; kill -9 $PPID`);
	t.not((await scratch.step(step, "apply", inputs)).code, 0);
	t.is(await drift(scratch), notKernels());
	scratch.fake("cp", 'exec /bin/cp "$@"');
	t.is((await scratch.step(step, "apply", inputs)).stderr, installed);
	t.deepEqual(files(scratch), ["6.1.9/extra/hello.ko", "6.1.9/kernel/x.ko", "6.1.9/modules.dep", "kernel", "load"]);
});

test("a step that is killed before the index is made makes it the next time", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	fakeDepmod(scratch, "kill -9 $PPID; exit");
	t.not((await scratch.step(step, "apply", both)).code, 0);
	t.is(await drift(scratch, both), `${folder} does not say which modules to load`);
	fakeDepmod(scratch);
	t.is((await scratch.step(step, "apply", both)).stderr, installed);
	t.is(
		scratch.read(`${tree}/6.1.9/modules.dep`),
		"extra/hello.ko\nextra/other.ko\nkernel/x.ko\n".replaceAll("\n", ":\n"),
	);
});

test("a depmod that fails is an error with its words", async (t) => {
	const scratch = host(t);
	fakeDepmod(scratch, "echo 'depmod: ERROR: no room'; exit 3");
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.is(
		stderr,
		[
			`tracelab: guest-share: indexing the modules failed (exit 3); the last lines of ${scratch.root}/var/log/tracelab/quick/guest-share.log:`,
			"  | depmod: ERROR: no room",
			"  what to do: mend what the log shows, then run up again: it carries on from what was built",
		].join("\n"),
	);
	t.is(await drift(scratch), `the modules in ${folder} are not indexed; ${folder} does not say which modules to load`);
});

test("two builds that have made a module of one name are an error", async (t) => {
	const scratch = host(t);
	build(scratch, module, { "hello.ko": "hello\n", "my-own.ko": "one\n" });
	build(scratch, other, { "other.ko": "other\n", "my_own.ko": "another\n" });
	const { code, stderr } = await scratch.step(step, "apply", both);
	t.is(code, 1);
	t.deepEqual(stderr.split("\n"), [
		"tracelab: guest-share: two of this domain's modules have made my_own.ko, of which a guest can have one",
		"  what to do: take one of the two out of modules: of the domain in the stack file, or give it another name in its Kbuild",
	]);
});

test("a kernel whose build is gone is drift in a preview, and an error in an up", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	await scratch.bash(`rm -r '${scratch.root}${kernel}'`);
	t.is(await drift(scratch), `the kernel ${kernel} is not built`);
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.is(stderr, `tracelab: guest-share: the kernel ${kernel} is not built\n  what to do: run up again: it builds it`);
});

test("a module whose build is gone is an error", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	await scratch.bash(`rm -r '${scratch.root}${module}' '${scratch.root}${tree}/load'`);
	t.is(await drift(scratch), `${folder} does not say which modules to load`);
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.is(
		stderr,
		`tracelab: guest-share: module hello is not built (${module} is absent)\n  what to do: run up again: it builds it`,
	);
});
