import { existsSync } from "node:fs";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import { stepProgram } from "../../components/step-program.ts";
import { domain, fakeGuest, folder, installModule } from "./fake-guest.ts";
import { ScratchHost, type StepRun } from "./run-step.ts";

// One after the other: each starts a good many processes.
const test = anyTest.serial;

const step = "module-load";
const hello = "/opt/tracelab/module/0123456789abcdef";
const other = "/opt/tracelab/module/1111111111111111";
const [first, second] = ["11".repeat(20), "22".repeat(20)];
const inputs = { domain, folder, modules: { hello }, paused: "0" };
const lookThere = "see the guest's log: ./lab -s quick exec vm -- dmesg";

/** A running guest in whose tree two modules are installed. */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	fakeGuest(scratch);
	scratch.write("virt/state", "running\n");
	installModule(scratch, "hello", first, hello);
	installModule(scratch, "other", first, other);
	return scratch;
}

async function drift(scratch: ScratchHost, given: object = {}): Promise<string | undefined> {
	return (await scratch.step(step, "probe", { ...inputs, ...given })).stdout["drift"];
}

/** What was done in the guest. */
function done({ calls }: StepRun): string[] {
	return calls.filter((call) => /^(modprobe|rmmod)/.test(call));
}

function isLoaded(scratch: ScratchHost, name: string): boolean {
	return existsSync(join(scratch.root, "guest/sys/module", name));
}

test("a module is loaded once, and the record of it goes", async (t) => {
	const scratch = host(t);
	const before = scratch.hostTree();
	t.is(await drift(scratch), "module hello is not loaded in quick-vm");
	const run = await scratch.step(step, "apply", inputs);
	t.is(run.stderr, "module-load: loaded module hello in quick-vm");
	t.deepEqual(done(run), ["modprobe hello"]);
	t.is(scratch.read(`${folder}/loaded`), "hello\n");
	t.is(await drift(scratch), "");
	const applied = scratch.tree();
	const again = await scratch.step(step, "apply", inputs);
	t.is(again.stderr, "module-load: the modules of quick-vm are up to date");
	t.deepEqual(done(again), []);
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "remove", inputs)).code, 0);
	t.false(existsSync(join(scratch.root, folder, "loaded")));
	await scratch.bash(`rm -r '${scratch.root}/guest'`);
	t.deepEqual(scratch.hostTree(), before);
});

test("a guest without modules has nothing to do", async (t) => {
	const scratch = host(t);
	t.is(await drift(scratch, { modules: {} }), "");
	const run = await scratch.step(step, "apply", { ...inputs, modules: {} });
	t.is(run.stderr, "module-load: the modules of quick-vm are up to date");
	t.false(run.calls.some((call) => call.includes("guest-exec")));
});

test("modules are loaded in the order of their names, and one that is there stays", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", { ...inputs, modules: { other } });
	const both = { modules: { other, hello } };
	t.is(await drift(scratch, both), "module hello is not loaded in quick-vm");
	t.deepEqual(done(await scratch.step(step, "apply", { ...inputs, ...both })), ["modprobe hello"]);
	t.is(scratch.read(`${folder}/loaded`), "hello\nother\n");
});

test("a module that was built again is loaded again", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	installModule(scratch, "hello", second, hello);
	t.is(await drift(scratch), "module hello in quick-vm is not the build that is installed");
	t.deepEqual(done(await scratch.step(step, "apply", inputs)), ["rmmod hello", "modprobe hello"]);
	t.is(await drift(scratch), "");
});

test("a module that the stack file has no more is unloaded", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", { ...inputs, modules: { hello, other } });
	t.is(await drift(scratch), "module other of quick-vm is not one of this domain's any more");
	t.deepEqual(done(await scratch.step(step, "apply", inputs)), ["rmmod other"]);
	t.deepEqual([isLoaded(scratch, "hello"), isLoaded(scratch, "other")], [true, false]);
	t.is(await drift(scratch), "");
	await scratch.step(step, "apply", { ...inputs, modules: {} });
	t.false(isLoaded(scratch, "hello"));
	t.is(await drift(scratch, { modules: {} }), "");
});

test("a module with a dash in its name is known by its underscore in the guest", async (t) => {
	const scratch = host(t);
	const modules = { "my-module": "/opt/tracelab/module/2222222222222222" };
	installModule(scratch, "my-module", first, modules["my-module"]);
	t.deepEqual(done(await scratch.step(step, "apply", { ...inputs, modules })), ["modprobe my-module"]);
	t.true(isLoaded(scratch, "my_module"));
	t.is(await drift(scratch, { modules }), "");
	t.deepEqual(done(await scratch.step(step, "apply", { ...inputs, modules: {} })), ["rmmod my-module"]);
});

test("a module whose build is gone for now is no drift of the guest", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	await scratch.bash(`rm '${scratch.root}${hello}/hello.ko'`);
	t.is(await drift(scratch), "");
});

const failing = anyTest.macro({
	exec: async (t: ExecutionContext, harm: (scratch: ScratchHost) => unknown, words: string[]) => {
		const scratch = host(t);
		await scratch.step(step, "apply", { ...inputs, modules: { other } });
		await harm(scratch);
		const { code, stderr } = await scratch.step(step, "apply", inputs);
		t.is(code, 1);
		t.deepEqual(stderr.split("\n"), words);
	},
	title: (title = "") => `${title} is an error`,
});

test(
	"a module that the guest cannot load",
	failing,
	(scratch: ScratchHost) => scratch.bash(`rm '${scratch.root}${folder}/root/lib/modules/6.1.9/extra/hello.ko'`),
	[
		"  | modprobe: FATAL: Module hello not found in directory /lib/modules/6.1.9",
		"tracelab: module-load: the guest quick-vm cannot load module hello",
		`  what to do: ${lookThere}`,
	],
);
test("a module that is in use", failing, (scratch: ScratchHost) => scratch.write("virt/busy/other", ""), [
	"  | rmmod: ERROR: Module other is in use",
	"tracelab: module-load: the guest quick-vm cannot unload module other",
	"  what to do: stop what uses it (./lab -s quick exec vm -- lsmod), then run up again",
]);
test(
	"a module that comes up as another build",
	failing,
	(scratch: ScratchHost) => scratch.write(`${hello}/hello.ko`, `${second}\n`),
	[
		"module-load: loaded module hello in quick-vm",
		"tracelab: module-load: module hello in quick-vm is not the build that is installed",
		`  what to do: ${lookThere}`,
	],
);
test("a guest that is off", failing, (scratch: ScratchHost) => scratch.write("virt/state", "shut off\n"), [
	"tracelab: module-load: the guest of quick-vm does not answer; libvirt calls it shut off",
	"  what to do: see the guest's console: sudo ./lab -s quick logs console-vm",
]);
test("a guest whose agent is gone", failing, (scratch: ScratchHost) => scratch.write("virt/silent", ""), [
	"tracelab: module-load: the guest of quick-vm does not answer; libvirt calls it running",
	"  what to do: see the guest's console: sudo ./lab -s quick logs console-vm",
]);

for (const [paused, why] of [
	["1", "is paused: its modules are loaded when it boots"],
	["0", "is held by a debugger: its modules wait for the next up"],
] as const) {
	test(`a guest that ${why.split(":")[0]} is let be, and that is said`, async (t) => {
		const scratch = host(t);
		scratch.write("virt/state", "paused\n");
		t.is(await drift(scratch, { paused }), "");
		const run = await scratch.step(step, "apply", { ...inputs, paused });
		t.is(run.code, 0);
		t.is(run.stderr, `module-load: quick-vm ${why}`);
		t.deepEqual(done(run), []);
	});
}

test("a guest that is off or undefined is no drift of its modules", async (t) => {
	const scratch = host(t);
	scratch.write("virt/state", "shut off\n");
	t.is(await drift(scratch), "");
	await scratch.bash(`rm '${scratch.root}/virt/defined'`);
	t.is(await drift(scratch), "");
});

test("an agent that stops answering is drift, and no probe without an answer", async (t) => {
	const scratch = host(t);
	scratch.write("virt/deaf", "");
	const { code, stdout } = await scratch.step(step, "probe", inputs);
	t.is(code, 0);
	t.is(stdout["drift"], "the guest agent of quick-vm does not say what is loaded");
});

test("a module whose step was killed while it was loaded is known, and is unloaded by a later one", async (t) => {
	const scratch = host(t);
	const killing = `mkdir -p "$root/guest/sys/module/$1/notes"; kill -9 "$(cat "$root/step.pid")"; sleep 0.2`;
	scratch.fake("modprobe", killing);
	const noting = `echo $$ >"$TRACELAB_ROOT/step.pid"`;
	const given = { ...inputs, stack: "quick", step, generation: "g" };
	t.is((await scratch.bash(`${noting}\n${stepProgram(step, given)}`, "apply")).code, undefined);
	await scratch.bash(`rm '${scratch.root}/step.pid'`);
	t.true(isLoaded(scratch, "hello"));
	t.deepEqual(done(await scratch.step(step, "apply", { ...inputs, modules: {} })), ["rmmod hello"]);
	t.false(isLoaded(scratch, "hello"));
});
