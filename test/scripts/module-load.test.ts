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
/** Of a source that makes several modules. */
const set = "/opt/tracelab/module/3333333333333333";
const inputs = { domain, folder, installed: { hello, other, set }, modules: { hello }, paused: "0" };
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
	const none = { installed: {}, modules: {} };
	t.is(await drift(scratch, none), "");
	const run = await scratch.step(step, "apply", { ...inputs, ...none });
	t.is(run.stderr, "module-load: the modules of quick-vm are up to date");
	t.false(run.calls.some((call) => /guest-(?:exec|file)/.test(call)));
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
	t.deepEqual(done(await scratch.step(step, "apply", { ...inputs, modules })), ["modprobe my_module"]);
	t.true(isLoaded(scratch, "my_module"));
	t.is(await drift(scratch, { modules }), "");
	t.deepEqual(done(await scratch.step(step, "apply", { ...inputs, modules: {} })), ["rmmod my_module"]);
});

/** A guest in whose tree are mine_a and mine_b, which needs it. */
function hostOfTwo(t: ExecutionContext): ScratchHost {
	const scratch = host(t);
	for (const name of ["mine_a", "mine_b"]) installModule(scratch, name, first, set);
	scratch.write("virt/needs/mine_b", "mine_a\n");
	return scratch;
}

test("a module that another one needs is loaded again as well where it was built again, with that one", async (t) => {
	const scratch = hostOfTwo(t);
	const modules = { mine_b: set };
	t.deepEqual(done(await scratch.step(step, "apply", { ...inputs, modules })), ["modprobe mine_b"]);
	t.true(isLoaded(scratch, "mine_a"));
	t.is(await drift(scratch, { modules }), "");
	installModule(scratch, "mine_a", second, set);
	t.is(await drift(scratch, { modules }), "module mine_a in quick-vm is not the build that is installed");
	const run = await scratch.step(step, "apply", { ...inputs, modules });
	t.deepEqual(done(run), ["rmmod mine_b", "rmmod mine_a", "modprobe mine_b"]);
	t.is(run.stderr, "module-load: loaded module mine_b in quick-vm\nmodule-load: loaded module mine_a in quick-vm");
	t.is(scratch.read(`${folder}/loaded`), "mine_b\n");
	t.is(await drift(scratch, { modules }), "");
});

test("modules that need each other are loaded again, and unloaded, in an order that the kernel allows", async (t) => {
	const scratch = hostOfTwo(t);
	const modules = { mine_a: set, mine_b: set };
	await scratch.step(step, "apply", { ...inputs, modules });
	installModule(scratch, "mine_a", second, set);
	const run = await scratch.step(step, "apply", { ...inputs, modules });
	t.deepEqual([run.code, done(run)], [0, ["rmmod mine_b", "rmmod mine_a", "modprobe mine_b"]]);
	t.is(await drift(scratch, { modules }), "");
	const removed = await scratch.step(step, "apply", { ...inputs, installed: {}, modules: {} });
	t.deepEqual([removed.code, done(removed)], [0, ["rmmod mine_b", "rmmod mine_a"]]);
	t.false(existsSync(join(scratch.root, folder, "loaded")));
});

test("a module that stays only as another one needs it is loaded with that one", async (t) => {
	const scratch = hostOfTwo(t);
	await scratch.step(step, "apply", { ...inputs, modules: { mine_a: set, mine_b: set } });
	const modules = { mine_b: set };
	t.is((await scratch.step(step, "apply", { ...inputs, modules })).code, 0);
	t.deepEqual([isLoaded(scratch, "mine_a"), isLoaded(scratch, "mine_b")], [true, true]);
	t.is(await drift(scratch, { modules }), "");
});

/** As of LTTng: none is loaded by the lab. */
const tracers = ["t_one", "t_two", "t_three", "t_four"];

/** A guest that has loaded some modules of the lab's by itself, and not all. */
async function hostOfTracers(t: ExecutionContext): Promise<ScratchHost> {
	const scratch = host(t);
	for (const name of [...tracers, "t_five"]) installModule(scratch, name, first, set);
	await scratch.step(step, "apply", inputs);
	for (const name of tracers) await scratch.bash(`modprobe ${name}`);
	return scratch;
}

test("modules that the guest loaded by itself stay as they are, and one look at all of them shows that", async (t) => {
	const scratch = await hostOfTracers(t);
	scratch.write("virt/used/t_one", "");
	installModule(scratch, "t_five", second, set);
	const looked = await scratch.step(step, "probe", inputs);
	t.is(looked.stdout["drift"], "");
	t.is(looked.calls.filter((call) => call.includes('"guest-exec"')).length, 1);
	installModule(scratch, "hello", second, hello);
	t.deepEqual(done(await scratch.step(step, "apply", inputs)), ["rmmod hello", "modprobe hello"]);
	t.is(await drift(scratch), "");
});

test("many modules that show no build-id are not what is installed", async (t) => {
	const scratch = await hostOfTracers(t);
	await scratch.bash(`rm -r '${scratch.root}'/guest/sys/module/*/notes`);
	const said = ["hello", ...tracers.toSorted()].map(
		(name) => `module ${name} in quick-vm is not the build that is installed`,
	);
	t.is(await drift(scratch), said.join("; "));
});

test("one of them that was built again is loaded again where nothing uses it", async (t) => {
	const scratch = await hostOfTracers(t);
	installModule(scratch, "t_two", second, set);
	t.is(await drift(scratch), "module t_two in quick-vm is not the build that is installed");
	t.deepEqual(done(await scratch.step(step, "apply", inputs)), ["rmmod t_two", "modprobe t_two"]);
	t.is(await drift(scratch), "");
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
		scratch.write("var/lib/tracelab/labs/quick.json", "{}");
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
const stopIt =
	"  what to do: stop what uses it (./lab -s quick exec vm -- lsmod), or end the guest (./lab -s quick exec vm -- poweroff), then run up again";
test("a module that is in use", failing, (scratch: ScratchHost) => scratch.write("virt/used/other", ""), [
	"tracelab: module-load: the guest quick-vm cannot unload module other",
	stopIt,
]);
test("a module that comes into use", failing, (scratch: ScratchHost) => scratch.write("virt/busy/other", ""), [
	"  | rmmod: ERROR: Module other is in use",
	"tracelab: module-load: the guest quick-vm cannot unload module other",
	stopIt,
]);
test(
	"a module that one uses which is not the lab's",
	failing,
	(scratch: ScratchHost) => scratch.write("guest/sys/module/other/holders/strange", ""),
	[
		"tracelab: module-load: the guest quick-vm cannot unload module other, which module strange uses",
		"  what to do: unload that one (./lab -s quick exec vm -- rmmod strange), then run up again",
	],
);

test("nothing is unloaded where a module that is to be loaded again is in use", async (t) => {
	const scratch = hostOfTwo(t);
	const modules = { mine_a: set, mine_b: set };
	await scratch.step(step, "apply", { ...inputs, modules });
	installModule(scratch, "mine_a", second, set);
	scratch.write("virt/used/mine_b", "");
	const { stderr, ...run } = await scratch.step(step, "apply", { ...inputs, modules });
	t.is(stderr.split("\n")[0], "tracelab: module-load: the guest quick-vm cannot unload module mine_b");
	t.deepEqual(done({ stderr, ...run }), []);
	t.is(scratch.read(`${folder}/loaded`), "mine_a\nmine_b\n");
});
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
test("before the first up has ended, the console has what the guest says of a module that it cannot load", async (t) => {
	const scratch = host(t);
	await scratch.bash(`rm '${scratch.root}${folder}/root/lib/modules/6.1.9/extra/hello.ko'`);
	const { stderr } = await scratch.step(step, "apply", inputs);
	t.is(stderr.split("\n").at(-1), "  what to do: see the guest's console: sudo ./lab -s quick logs console-vm");
});

test("one module that cannot be loaded keeps no other from it", async (t) => {
	const scratch = host(t);
	await scratch.bash(`rm '${scratch.root}${folder}/root/lib/modules/6.1.9/extra/hello.ko'`);
	const { code } = await scratch.step(step, "apply", { ...inputs, modules: { hello, other } });
	t.is(code, 1);
	t.true(isLoaded(scratch, "other"));
});

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
