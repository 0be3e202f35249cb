import { existsSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { stepProgram } from "../../components/step-program.ts";
import { droppings } from "../../spec/content-hash.ts";
import { ScratchHost, treeHash } from "./run-step.ts";

const step = "kernel-module";
const prefix = "/opt/tracelab/module/0123456789abcdef";
const kernel = "/opt/tracelab/kernel/fedcba9876543210";

/** A built kernel 6.1.0 and a module's source; the fake make "compiles" it where M= says. */
function host(t: ExecutionContext, vermagic = "6.1.0 SMP mod_unload"): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write(`${kernel}/build/Makefile`, "");
	scratch.write(`${kernel}/release`, "6.1.0\n");
	scratch.write(`${kernel}/build-id`, "aaaaaaaa\n");
	scratch.write("mine/Kbuild", "obj-m := hello.o\n");
	scratch.write("mine/hello.c", "int x;\n");
	scratch.fake(
		"make",
		`for a; do case $a in M=*) cd "\${a#M=}" ;; KCFLAGS=*) maps=$a ;; esac; done
		! grep -q broken hello.c || { echo 'hello.c:1: error: broken'; exit 2; }
		printf '%s\\n%s\\n' "$(cat hello.c)" "\${maps##*=}" >hello.ko; touch hello.o`,
	);
	scratch.fake("modinfo", `echo '${vermagic}'`);
	return scratch;
}

function inputs(scratch: ScratchHost, name = "hello", load = [name]) {
	return {
		prefix,
		name,
		load,
		make: ["CONFIG_HELLO=m"],
		source: { kind: "path", path: `${scratch.root}/mine` },
		kernel_prefix: kernel,
	};
}

test("a module is built in a copy of its source, and the second apply changes nothing", async (t) => {
	const scratch = host(t);
	const mine = treeHash(`${scratch.root}/mine`);
	t.is(
		(await scratch.step(step, "probe", inputs(scratch))).stdout["drift"],
		`module hello is not built (${prefix} is absent)`,
	);
	const first = await scratch.step(step, "apply", inputs(scratch));
	t.regex(first.stderr, /^module hello built in \d+ s$/);
	t.is(treeHash(`${scratch.root}/mine`), mine);
	const files = Object.keys(scratch.tree()).filter((path) => path.startsWith(`${prefix.slice(1)}/`));
	t.deepEqual(
		files.map((path) => path.slice(prefix.length)),
		[
			...[".tracelab-build", ".tracelab-build-record"],
			...["build", "kernel", "result", "tools", "tree"].map((fact) => `.tracelab-build-record/${fact}`),
			...["hello.ko", "kernel", "source", "source/Kbuild", "source/hello.c"],
		],
	);
	t.is(scratch.read(`${prefix}/kernel`), "fedcba9876543210\n");
	t.is(scratch.read(`${prefix}/hello.ko`), `int x;\n${prefix}/source\n`);
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", inputs(scratch));
	t.is(second.stderr, "module hello is up to date");
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
});

test("KCFLAGS of the stack file come on top of the lab's", async (t) => {
	const scratch = host(t);
	scratch.fake("make", 'printf "%s\\n" "$@" >"${3#M=}/hello.ko"');
	await scratch.step(step, "apply", { ...inputs(scratch), make: ["KCFLAGS=-g0", "CONFIG_HELLO=m"] });
	const given = scratch.read(`${prefix}/hello.ko`).split("\n");
	const map = `KCFLAGS=-ffile-prefix-map=${scratch.root}${prefix}.work/objects=${prefix}/source`;
	t.deepEqual(given.slice(5), [map, `${map} -g0`, "CONFIG_HELLO=m", "modules", ""]);
});

test("a build that was killed is undone by the next, where its source was edited meanwhile", async (t) => {
	const scratch = host(t);
	const other = "/opt/tracelab/module/00000000000000ff";
	scratch.write("mine/hello.c", "broken\n");
	t.is((await scratch.step(step, "apply", { ...inputs(scratch), prefix: other })).code, 1);
	// What a kill leaves of it.
	scratch.write(`${other}.work/part`, "");
	scratch.write("var/lib/tracelab/builds/module/00000000000000ff/quick", "");
	scratch.write("mine/hello.c", "int x;\n");
	const { stderr } = await scratch.step(step, "apply", inputs(scratch));
	t.regex(stderr, new RegExp(`^kernel-module: undoing what was begun in ${other}\nmodule hello built in \\d+ s$`));
	t.deepEqual(
		Object.keys(scratch.tree()).filter((path) => path.includes("00000000000000ff") && !path.startsWith("run/")),
		[],
	);
	t.is((await scratch.step(step, "apply", inputs(scratch))).stderr, "module hello is up to date");
});

test("a build that was killed goes with the one that it was to replace", async (t) => {
	const scratch = host(t);
	const edited = { ...inputs(scratch), prefix: "/opt/tracelab/module/00000000000000ff", generation: "h" };
	await scratch.step(step, "apply", inputs(scratch));
	scratch.fake("make", "kill -9 $PPID");
	t.not((await scratch.step(step, "apply", edited)).code, 0);
	t.true(`${edited.prefix.slice(1)}.work` in scratch.tree());
	const { stderr } = await scratch.step(step, "remove", inputs(scratch));
	t.is(stderr, `kernel-module: undoing what was begun in ${edited.prefix}`);
	for (const folder of ["opt/tracelab/module", "var/lib/tracelab"]) t.is(scratch.tree()[folder], undefined);
});

test("a build that several steps of a stack have stays until the last of them goes, and then other stacks have it", async (t) => {
	const scratch = host(t);
	const run = async (verb: "apply" | "remove", name: string, more = {}) =>
		(await scratch.step(step, verb, { ...inputs(scratch), step: `module-${name}-build`, ...more })).stderr;
	const there = () => `${prefix.slice(1)}/hello.ko` in scratch.tree();
	const other = { stack: "other" };
	await run("apply", "old");
	t.is(await run("apply", "new"), "module hello is up to date");
	await run("apply", "old", other);
	t.is(await run("remove", "old"), "module hello is kept: another step uses it");
	t.is(await run("remove", "new"), "module hello is kept: another stack uses it");
	t.is(await run("apply", "new", other), "module hello is up to date");
	// A replaced step is removed after its successor was applied, whose text is on the host by then.
	const edited = { ...other, prefix: "/opt/tracelab/module/00000000000000ff", generation: "h" };
	await run("apply", "old", edited);
	t.is(await run("remove", "old", other), "module hello is kept: another step uses it");
	t.true(there());
	t.is(await run("remove", "new", other), "");
	t.false(there());
	t.is(await run("remove", "old", edited), "");
	t.is(scratch.tree()["opt/tracelab/module"], undefined);
});

test("steps of one build that are removed at the same time leave nothing of it", async (t) => {
	const scratch = host(t);
	const steps = ["one", "two", "three"].map((name) => ({ ...inputs(scratch), step: `module-${name}-build` }));
	for (const given of steps) await scratch.step(step, "apply", given);
	await Promise.all(steps.map((given) => scratch.step(step, "remove", given)));
	t.is(scratch.tree()["opt/tracelab/module"], undefined);
	t.is(scratch.tree()["var/lib/tracelab"], undefined);
});

test("a module whose source is gone is drift, and is built again", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	await scratch.bash(`rm -r '${scratch.root}${prefix}/source'`);
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], `${prefix}/source is not as it was built`);
	t.is((await scratch.step(step, "apply", inputs(scratch))).code, 0);
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
});

test("a module that does not compile is an error with the compiler's words", async (t) => {
	const scratch = host(t);
	scratch.write("mine/hello.c", "broken\n");
	const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
	t.is(code, 1);
	t.regex(
		stderr,
		/^tracelab: kernel-module: building module hello failed \(exit 2\); the last lines of .*\n {2}\| hello\.c:1: error: broken\n/,
	);
	t.false(prefix.slice(1) in scratch.tree());
});

test("a module for another kernel is an error with both releases", async (t) => {
	const { code, stderr } = await ((scratch) => scratch.step(step, "apply", inputs(scratch)))(host(t, "6.5.0 SMP"));
	t.is(code, 1);
	t.is(stderr.split("\n")[0], "tracelab: kernel-module: module hello was made for kernel 6.5.0, not for 6.1.0");
});

test("a source that makes no module of that name is an error", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await scratch.step(step, "apply", inputs(scratch, "goodbye"));
	t.is(code, 1);
	t.is(
		stderr,
		"tracelab: kernel-module: the source of module goodbye made no goodbye.ko\n  what to do: its Kbuild must say: obj-m := goodbye.o",
	);
});

test("a set of modules is all that its source makes, loaded or not", async (t) => {
	const scratch = host(t);
	const { code } = await scratch.step(step, "apply", inputs(scratch, "tracers", []));
	t.is(code, 0);
	t.true(`${prefix.slice(1)}/hello.ko` in scratch.tree());
});

test("make gets the variables of the stack file", async (t) => {
	const scratch = host(t);
	const { calls } = await scratch.step(step, "apply", inputs(scratch));
	t.regex(calls.find((call) => call.startsWith("make ")) ?? "", / CONFIG_HELLO=m modules$/);
});

test("a build sees nothing of its caller's environment but what makes no difference", async (t) => {
	const scratch = host(t);
	scratch.fake(
		"make",
		'env | cut -d = -f 1 | sort >"$root/seen"; for a; do case $a in M=*) : >"${a#M=}/hello.ko" ;; esac; done',
	);
	const passed = ["GIT_SSH_COMMAND", "SSL_CERT_FILE", "TMPDIR", "TZ", "https_proxy"];
	const others = ["ARCH", "CFLAGS", "INSTALL_MOD_STRIP", "MAKEFLAGS", "name", "stack"];
	const caller = `export ${[...passed, ...others].map((variable) => `${variable}=/tmp`).join(" ")}\n`;
	const given = { stack: "quick", step, generation: "g", ...inputs(scratch) };
	const { code, stderr } = await scratch.bash(caller + stepProgram(step, given), "apply");
	t.is(code, 0, stderr);
	const own = ["CCACHE_DEPEND", "CCACHE_DIR", "CCACHE_NOHASHDIR", "HOME", "LC_ALL", "PATH", "PWD"];
	// The last two are bash's, of which the fake is made.
	const seen = [...own, "TRACELAB_ROOT", ...passed, "SHLVL", "_"].sort();
	t.deepEqual(scratch.read("seen").trimEnd().split("\n").sort(), seen);
});

test("a source that makes no module at all is an error", async (t) => {
	const scratch = host(t);
	scratch.fake("make", ":");
	const { code, stderr } = await scratch.step(step, "apply", inputs(scratch, "tracers", []));
	t.is(code, 1);
	t.is(
		stderr,
		"tracelab: kernel-module: the source of tracers made no module\n  what to do: its Kbuild must say what to make: obj-m := NAME.o",
	);
});

test("the copy of a source has what its links lead to, and none that leads nowhere", async (t) => {
	const scratch = host(t);
	scratch.write("mine/run.sh", "", 0o755);
	scratch.write("mine/.git/config", "");
	scratch.write("theirs/-a [b]\n.h", "int y;\n");
	// The last is Emacs' lock.
	await scratch.bash(
		`cd '${scratch.root}/mine'; mkdir empty; ln -s ../theirs include; ln -s hello.c too.c; ln -s me@host.1 .#hello.c`,
	);
	const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
	t.is(code, 0, stderr);
	const copied = Object.entries(scratch.tree()).filter(([path]) => path.startsWith(`${prefix.slice(1)}/source/`));
	t.deepEqual(
		copied.map(([path, text]) => [path.slice(`${prefix}/source`.length), ...text.split(" ").slice(0, 2)].join(" ")),
		[
			...["Kbuild file 644", "empty folder 755", "hello.c file 644"],
			...["include folder 755", "include/-a [b]\n.h file 644", "run.sh file 755", "too.c file 644"],
		],
	);
	t.is(scratch.read(`${prefix}/source/too.c`), "int x;\n");
});

test("what git and builds left in a working tree is not in the copy of it, nor in the result", async (t) => {
	const left = ["hello.o", "old.ko", "hello.mod", "hello.mod.c", ".hello.o.cmd", "Module.symvers", "modules.order"];
	const stays = ["hello.oo", "hello.cmd", "hello.mod.cc", "my-modules.order", ".gitignore", "o"];
	const names = [...left, ".git/HEAD"].flatMap((name) => [name, `sub/${name}`]);
	for (const name of names) t.true(name.split("/").some((part) => droppings.test(part)));
	for (const name of stays) t.false(droppings.test(name));

	const result = async (more: readonly string[]) => {
		const scratch = host(t);
		for (const name of ["sub/x.h", ...stays]) scratch.write(`mine/${name}`, "");
		await scratch.bash(`mkdir '${scratch.root}/mine/made'`);
		for (const name of more) scratch.write(`mine/${name}`, "left\n");
		const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
		t.is(code, 0, stderr);
		const copied = Object.keys(scratch.tree()).filter((path) => path.startsWith(`${prefix.slice(1)}/source/`));
		return [scratch.read(`${prefix}/.tracelab-build-record/result`), ...copied];
	};
	const clean = await result([]);
	t.is(clean.length, 1 + 2 + 2 + 1 + stays.length);
	t.deepEqual(await result([...names, "made/x.o"]), clean);
});

test("a file that was only touched does not make a module again", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	scratch.write("mine/hello.c", "int x;\n");
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
});

test("a module is made again for a kernel that was", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	scratch.write(`${kernel}/build-id`, "bbbbbbbb\n");
	const drift = `module hello is for a kernel with build-id aaaaaaaa, and ${kernel} has bbbbbbbb`;
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], drift);
	const again = await scratch.step(step, "apply", inputs(scratch));
	t.is(again.code, 0);
	t.is(again.stderr.split("\n")[0], `module hello: ${drift}: building it again`);
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
});

test("with a lock, a module is held to the kernel that is pinned", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	scratch.write(`${kernel}/build-id`, "bbbbbbbb\n");
	const build = "module/0123456789abcdef";
	const held = await scratch.step(step, "apply", { ...inputs(scratch), pin: { build, kernel: "aaaaaaaa" } });
	t.is(held.code, 1);
	t.is(held.stderr.split("\n")[1], "tracelab: kernel-module: the lock pins kernel aaaaaaaa, and here it is bbbbbbbb");
	t.is((await scratch.step(step, "apply", { ...inputs(scratch), pin: { build } })).code, 0);
	t.is((await scratch.step(step, "probe", { ...inputs(scratch), pin: { build } })).stdout["drift"], "");
});

test("a folder of any name is a source, and its name is read by no shell", async (t) => {
	const scratch = host(t);
	const name = "-rf $(touch canary); `touch canary` '\"&<é>%s\\";
	for (const file of ["Kbuild", "hello.c"]) scratch.write(`${name}/${file}`, scratch.read(`mine/${file}`));
	const source = { kind: "path", path: `${scratch.root}/${name}` };
	const given = { ...inputs(scratch), source };
	const first = await scratch.step(step, "apply", given);
	t.is(first.code, 0, first.stderr);
	t.is(scratch.read(`${prefix}/source/hello.c`), "int x;\n");
	t.is((await scratch.step(step, "probe", given)).stdout["drift"], "");
	t.deepEqual(
		Object.keys(scratch.tree([])).filter((path) => path.endsWith("/canary") || path === "canary"),
		[],
	);
	t.false(existsSync("canary"));
});
