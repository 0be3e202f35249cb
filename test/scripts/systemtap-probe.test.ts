import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ScratchHost } from "./run-step.ts";

const step = "systemtap-probe";
const [prefix, another] = ["/opt/tracelab/probe/0123456789abcdef", "/opt/tracelab/probe/00000000000000ed"];
const kernel = "/opt/tracelab/kernel/fedcba9876543210";
const module = "/opt/tracelab/module/0123456789abcdef";
const folder = "/var/lib/tracelab/domains/quick-vm";
const installed = `${folder}/root/probes/stap_mine.ko`;
const sha = (digit: string) => digit.repeat(64);
const text = 'probe module("hello").function("greet") { println(1) }\n';

/**
 * A built kernel 6.1.0, a guest's tree with the module hello, and a runtime of SystemTap's. The fake stap "compiles" a
 * script to what it was given; where the file `said` is there, that is its error.
 */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write(`${kernel}/release`, "6.1.0\n");
	scratch.write(`${kernel}/build-id`, "aaaa\n");
	scratch.write(`${kernel}/build/Makefile`, "");
	scratch.write(`${module}/.tracelab-build-record/result`, `${sha("1")}\n`);
	scratch.write(`${kernel}/source/include/linux/work.h`, "void *renamed_func(void); bool renamed(void);\n");
	scratch.write(`${folder}/root/lib/modules/6.1.0/extra/hello.ko`, "hello");
	scratch.write("/usr/share/systemtap/runtime/work.c", "x = renamed(y); /* stp_renamed */\n");
	scratch.write("/usr/share/systemtap/runtime/linux/other.c", "renamed\n");
	scratch.fake(
		"stap",
		`[ "$1" != --version ] || { echo "Systemtap translator/driver (version 4.8/0.188, Debian version 4.8-2)"; exit; }
		! [ -e "$root/said" ] || { cat "$root/said" >&2; exit 1; }
		pass='' tree='' runtime='(its own)' name=''
		while [ $# -gt 1 ]; do
			case $1 in
			-p?) pass=$1 ;;
			--sysroot=*) tree=\${1#*=}/lib/modules/$release ;;
			-r) release=$2 ;;
			-m) name=$2 ;;
			-R) runtime=$2 ;;
			esac
			shift
		done
		ls "$tree/build/Makefile" "$tree/extra/hello.ko" >/dev/null || exit 9
		if [ "$pass" = -p2 ]; then
			echo '# functions'
			echo 'f:long ()'
			echo '# probes'
			echo 'begin /* <- begin */'
			echo 'module("hello").function("greet@/src/hello.c:3")? /* pc=<hello:greet+0> */ /* <- module("hello").function("greet@/src/hello.c:3")? */'
			echo 'kprobe.function("__x64_sys_openat")? /*  name = x*/ /* <- a = b! <- syscall.openat */'
		else
			printf '%s\\n' "$(cat "$1")" "$tree" "$runtime" >"$name.ko"
		fi`,
	);
	return scratch;
}

const inputs = {
	prefix,
	name: "mine",
	module: "stap_mine",
	script: "/home/me/mine.stp",
	text,
	kernel_prefix: kernel,
	folder,
	domain: "quick-vm",
	modules: "hello",
	probed: { hello: module },
	corrections: "work.c renamed renamed_func include/linux/work.h",
};

/** The last lines of a compiled probe: its tree, and the runtime that it was compiled with. */
const runtimeOf = (scratch: ScratchHost) => scratch.read(installed).trimEnd().split("\n").at(-1) ?? "";

const driftOf = async (scratch: ScratchHost, given = inputs) =>
	(await scratch.step(step, "probe", given)).stdout["drift"];

test("a probe is compiled and installed for its guest, and the second apply changes nothing", async (t) => {
	const scratch = host(t);
	t.is(await driftOf(scratch), `probe mine is not built (${prefix} is absent)`);
	const first = await scratch.step(step, "apply", inputs);
	t.is(first.code, 0, first.stderr);
	t.regex(first.stderr, /\nprobe mine built in \d+ s$/);
	const files = Object.keys(scratch.tree()).filter((path) => path.startsWith(`${prefix.slice(1)}/`));
	t.deepEqual(
		files.map((path) => path.slice(prefix.length)),
		[
			...[".tracelab-build", ".tracelab-build-record"],
			...["build", "kernel", "modules", "result", "tools"].map((fact) => `.tracelab-build-record/${fact}`),
			...["kernel", "mine.stp", "points", "stap_mine.ko"],
		],
	);
	t.is(scratch.read(`${prefix}/mine.stp`), text);
	t.is(scratch.read(`${prefix}/kernel`), "aaaa\n");
	t.is(scratch.read(`${prefix}/.tracelab-build-record/modules`), `hello ${sha("1")}\n`);
	t.is(
		scratch.read(`${prefix}/points`),
		`begin	begin
module("hello").function("greet@/src/hello.c:3")?	module("hello").function("greet")?
kprobe.function("__x64_sys_openat")?	syscall.openat
`,
	);
	t.is(scratch.read(installed), scratch.read(`${prefix}/stap_mine.ko`));
	t.true(scratch.read(installed).startsWith(text));
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", inputs);
	t.is(second.stderr, "probe mine is up to date");
	t.deepEqual(scratch.tree(), applied);
	t.deepEqual(second.calls, []);
	t.is(await driftOf(scratch), "");
});

test("an edited probe takes the place of the first, whose removal leaves it there", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	const next = { ...inputs, prefix: another, text: text.replace("1", "2") };
	const program = (generation: string, given: typeof inputs) => ({ ...given, generation });
	await scratch.step(step, "apply", program("g2", next));
	const removed = await scratch.step(step, "remove", inputs);
	t.is(removed.code, 0, removed.stderr);
	t.true(scratch.read(installed).startsWith(next.text));
	t.false(existsSync(join(scratch.root, prefix)));
	t.is(await driftOf(scratch, next), "");
	await scratch.step(step, "remove", program("g2", next));
	t.false(existsSync(join(scratch.root, folder, "root/probes")));
	t.deepEqual(
		Object.keys(scratch.hostTree()).filter((path) => path.startsWith("opt/tracelab/probe")),
		[],
	);
});

test("a compiled probe that was changed or taken away by hand is drift, and comes back", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write(installed, "other");
	t.is(await driftOf(scratch), `probe mine in ${folder} is not the one that was compiled`);
	t.is((await scratch.step(step, "apply", inputs)).stderr, "probe mine is up to date");
	t.true(scratch.read(installed).startsWith(text));
	scratch.write(`${prefix}/stap_mine.ko`, "other");
	t.is(await driftOf(scratch), `${prefix}/stap_mine.ko is not as it was built`);
});

test("a kernel that was made again in its place is drift by its build-id, and the probe is compiled for it", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write(`${kernel}/build-id`, "bbbb\n");
	t.is(await driftOf(scratch), `probe mine is for a kernel with build-id aaaa, and ${kernel} has bbbb`);
	const { stderr } = await scratch.step(step, "apply", inputs);
	t.regex(stderr, /^probe mine: probe mine is for a kernel with build-id aaaa, and .* has bbbb: building it again\n/);
	t.is(scratch.read(`${prefix}/kernel`), "bbbb\n");
	t.is(await driftOf(scratch), "");
});

test("a module that was made again in its place and came to something else is drift, and the probe is compiled for it", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	const result = `${module}/.tracelab-build-record/result`;
	rmSync(join(scratch.root, result));
	t.is(await driftOf(scratch), "", "it is not there, as its own step says");
	scratch.write(result, `${sha("2")}\n`);
	const drift = `probe mine is for module hello that came to 111111111111, and ${module} came to 222222222222`;
	t.is(await driftOf(scratch), drift);
	const { stderr } = await scratch.step(step, "apply", inputs);
	t.is(stderr.split("\n")[0], `probe mine: ${drift}: building it again`);
	t.is(scratch.read(`${prefix}/.tracelab-build-record/modules`), `hello ${sha("2")}\n`);
	t.is(await driftOf(scratch), "");
});

test("a probe is held to the modules that the lock pins, and one that notes none is of an older tracelab, and as it should be", async (t) => {
	const scratch = host(t);
	const pinned = { ...inputs, pin: { modules: `hello ${sha("2")}` } };
	const { code, stderr } = await scratch.step(step, "apply", pinned);
	t.is(code, 1);
	t.is(
		stderr,
		`tracelab: systemtap-probe: the lock pins modules hello ${sha("2")}, and here it is hello ${sha("1")}
  what to do: go back to what the lock pins, or: ./lab lock --update systemtap-probe -s quick`,
	);
	t.deepEqual((await scratch.step(step, "inputs", inputs)).stdout, {
		build: prefix.replace("/opt/tracelab/", ""),
		kernel: "aaaa",
		modules: `hello ${sha("1")}`,
		tools: "",
	});
	await scratch.step(step, "apply", { ...inputs, probed: {} });
	t.false(existsSync(join(scratch.root, prefix, ".tracelab-build-record/modules")));
	t.is(await driftOf(scratch), "");
});

test("a word that the kernel has given another meaning is corrected in a copy of the runtime", async (t) => {
	const scratch = host(t);
	const { stderr } = await scratch.step(step, "apply", inputs);
	t.is(
		stderr.split("\n")[0],
		"systemtap-probe: SystemTap's runtime corrected for this kernel: renamed is renamed_func",
	);
	const runtime = runtimeOf(scratch).slice(scratch.root.length);
	t.regex(runtime, /^\/var\/cache\/tracelab\/systemtap\/runtime-[0-9a-f]{16}$/);
	t.is(scratch.read(`${runtime}/work.c`), "x = renamed_func(y); /* stp_renamed */\n");
	t.is(scratch.read(`${runtime}/linux/other.c`), "renamed\n");
	t.is(scratch.read("/usr/share/systemtap/runtime/work.c"), "x = renamed(y); /* stp_renamed */\n");
	// The second probe finds the copy there.
	await scratch.step(step, "apply", { ...inputs, prefix: another, name: "b", module: "stap_b" });
	const copies = Object.keys(scratch.tree()).filter((path) => /systemtap\/runtime-[^/]*$/.test(path));
	t.deepEqual(copies, [runtime.slice(1)]);
});

const uncorrected = test.macro({
	title: (_, who: string) => `nothing is corrected once ${who}`,
	async exec(t, _who: string, path: string, content: string) {
		const scratch = host(t);
		scratch.write(path, content);
		const { stderr } = await scratch.step(step, "apply", inputs);
		t.regex(stderr, /^probe mine built in \d+ s$/);
		t.is(runtimeOf(scratch), "(its own)");
	},
});

test(
	uncorrected,
	"SystemTap itself knows the new word",
	"/usr/share/systemtap/runtime/work.c",
	"#define F renamed_func\n",
);
test(
	uncorrected,
	"the kernel has the word as it was",
	`${kernel}/source/include/linux/work.h`,
	"void *renamed(void);\n",
);

test("a correction that has nothing to correct is an error that names its row", async (t) => {
	const scratch = host(t);
	scratch.write("/usr/share/systemtap/runtime/work.c", "other\n");
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.is(
		stderr,
		`tracelab: systemtap-probe: SystemTap's runtime has no renamed in work.c, which this kernel calls renamed_func
  what to do: its row in spec/systemtap-corrections.ts is not for this SystemTap: 4.8/0.188`,
	);
});

const noMatch = `semantic error: while resolving probe point: identifier 'module' at script.stp:1:7
        source: probe module("hello").function("greet") { println(1) }
                      ^

semantic error: no match`;

const refused = test.macro({
	title: (_, what: string) => `a script that does not compile: ${what}`,
	async exec(t, _what: string, said: string, todo: string, prepare: (scratch: ScratchHost) => void = () => {}) {
		const scratch = host(t);
		scratch.write("said", `${said}\nTip: /usr/share/doc/systemtap/README.Debian should help you get started.\n`);
		scratch.fake("virsh", "exit 1");
		prepare(scratch);
		const { code, stderr } = await scratch.step(step, "apply", { ...inputs, corrections: "" });
		t.is(code, 1);
		const lines = said.replaceAll(" at script.stp:", " at /home/me/mine.stp:").split("\n");
		t.is(
			stderr,
			`tracelab: systemtap-probe: stap does not compile /home/me/mine.stp:
${lines.map((line) => `  | ${line}`).join("\n")}
  what to do: ${todo}`,
		);
		t.false(existsSync(join(scratch.root, prefix)));
		t.false(existsSync(join(scratch.root, installed)));
	},
});

test(
	refused,
	"a function that is not there",
	noMatch.replace(/no match$/, "no match (similar functions: great, greet_all, init_module)"),
	'did you mean "great"? It is the nearest of the functions there',
);
test(
	refused,
	"a function that is not there, and none like it",
	noMatch,
	"see that the function is there and was not merged into its callers: noinline keeps it (nm NAME.ko, or System.map of the kernel)",
);
test(
	refused,
	"a syntax error",
	`parse error: expected '('
        saw: string 'x' at script.stp:1:8
Pass 1: parse failed.  [man error::pass1]`,
	"mend the script at that place; man stap has the language, stap --dump-probe-types the points",
);
test(
	refused,
	"a kernel that SystemTap does not know",
	`/usr/share/systemtap/runtime/work.c:107:40: error: passing argument 2 of 'f'
Pass 4: compilation failed.  [man error::pass4]`,
	"SystemTap 4.8/0.188 does not know this kernel, as the lines above show; what a runtime lacks is corrected by a row in spec/systemtap-corrections.ts",
);
test(
	refused,
	"a kernel without debug information",
	"semantic error: missing x86_64 kernel/module debuginfo [man warning::debuginfo] under '/lib'",
	"ask for CONFIG_DEBUG_INFO_DWARF5=y in the stack file, as the fragment quickstart does",
);

const away = (scratch: ScratchHost) => {
	rmSync(join(scratch.root, folder, "root/lib/modules/6.1.0/extra/hello.ko"));
};

test(
	refused,
	"a module of the domain's whose file was taken away",
	noMatch,
	"module hello is not installed: SystemTap looks for it below /lib/modules/6.1.0 of vm. Its file was taken away by hand: up installs it again",
	away,
);

const notInstalled = test.macro({
	title: (_, how: string) => `a module that is ${how}, and not installed, is explained`,
	async exec(t, _how: string, loaded: boolean, words: string) {
		const scratch = host(t);
		scratch.write("said", noMatch.replace('"hello"', '"by-hand"'));
		scratch.fake(
			"virsh",
			`case "$*" in
			*guest-ping*) echo '{"return":{}}' ;;
			*guest-exec-status*) echo '{"return":{"exited":true,"exitcode":${loaded ? 0 : 1}}}' ;;
			*guest-exec*by_hand*) echo '{"return":{"pid":7}}' ;;
			esac`,
		);
		const { stderr } = await scratch.step(step, "apply", {
			...inputs,
			text: text.replace("hello", "by-hand"),
			corrections: "",
		});
		t.is(
			stderr.split("\n").at(-1),
			`  what to do: module by-hand is ${words} SystemTap looks for it below /lib/modules/6.1.0 of vm. Name it in modules: of domain vm in the stack file, and up installs it; there now: hello`,
		);
	},
});

test(notInstalled, "loaded by hand", true, "loaded, but not installed:");
test(notInstalled, "not loaded either", false, "not installed:");

test("a kernel that is not built, and a guest without its tree, are errors", async (t) => {
	const scratch = host(t);
	const bare = await scratch.step(step, "apply", { ...inputs, folder: "/nowhere" });
	t.is(
		bare.stderr,
		`tracelab: systemtap-probe: /nowhere does not hold the modules of the kernel ${kernel}\n  what to do: run up again: it installs them`,
	);
	const unbuilt = await scratch.step(step, "apply", { ...inputs, kernel_prefix: "/opt/tracelab/kernel/none" });
	t.is(
		unbuilt.stderr,
		"tracelab: systemtap-probe: the kernel /opt/tracelab/kernel/none is not built\n  what to do: run up again: it builds it",
	);
});

test("a script's file may have any name, which is read by no shell", async (t) => {
	const scratch = host(t);
	const name = "-rf $(touch canary); `touch canary` '\"&<é>%s\\.stp";
	const given = { ...inputs, script: `/home/me/${name}` };
	const first = await scratch.step(step, "apply", given);
	t.is(first.code, 0, first.stderr);
	t.is(scratch.read(`${prefix}/${name}`), text);
	t.is(await driftOf(scratch, given), "");
	t.is((await scratch.step(step, "apply", given)).stderr.split("\n").at(-1), "probe mine is up to date");
	t.is((await scratch.step(step, "remove", given)).code, 0);
	t.false(existsSync("canary"));
	t.deepEqual(
		Object.keys(scratch.tree([])).filter((path) => path.endsWith("canary")),
		[],
	);
});
