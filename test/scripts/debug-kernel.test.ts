import { utimesSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { ScratchHost, treeHash } from "./run-step.ts";

const step = "debug-kernel";
const prefix = "/opt/tracelab/kernel/0123456789abcdef";
const buildId = "ab".repeat(20);

/**
 * A person's kernel tree with a fake make: olddefconfig keeps the last value of each symbol, turns IMPOSSIBLE off and
 * FORCED on; building it fills the objects folder.
 */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("mine/Makefile", "VERSION = 6\n");
	scratch.write("mine/Kconfig", kconfig);
	scratch.write("mine/scripts/gdb/vmlinux-gdb.py", "import linux\n");
	scratch.write("mine/scripts/gdb/linux/utils.py", "");
	scratch.fake(
		"make",
		`for a; do case $a in O=*) cd "\${a#O=}" ;; INSTALL_MOD_PATH=*) into=\${a#*=}/lib/modules/6.1.9 ;; KCFLAGS=*) maps=$a ;; esac; done
		tree=$2
		case $* in
		*config) [ "\${*: -1}" = olddefconfig ] || { echo CONFIG_TINY=y >.config; echo "\${*: -1}" >base; exit; }
			{ tac .config | sort -u -t= -k1,1 | grep -v '=n$\\|IMPOSSIBLE\\|FORCED'; echo CONFIG_FORCED=y; echo CONFIG_FORCING=y; } >new; mv new .config ;;
		*modules_install) mkdir -p "$into/kernel"; ln -s / "$into/build"; printf '%s' "\${maps##*=}" >"$into/kernel/x.ko" ;;
		*)	mkdir -p arch/x86/boot include/config scripts/gdb/linux kernel
			echo bz >arch/x86/boot/bzImage; printf '%s' "\${maps##*=}" >vmlinux; echo map >System.map
			echo 6.1.9 >include/config/kernel.release; echo constants >scripts/gdb/linux/constants.py
			echo lds >scripts/module.lds; echo o >kernel/fork.o; echo "include $tree/Makefile" >Makefile ;;
		esac`,
	);
	scratch.fake("readelf", `echo '    Build ID: ${buildId}'`);
	return scratch;
}

const kconfig = `
menuconfig NET
	bool "Networking"
if NET
config IMPOSSIBLE
	bool "Not to be had"
	depends on UNICORNS && \\
		!HORSES
	help
	  select FORCED is only said here.
endif
config FORCED
	bool "Always there"
config FORCING
	bool "Wants it"
	select FORCED
config HIDDEN
	bool
`;

function inputs(scratch: ScratchHost, config: string[] = [], fragments: string[] = []) {
	const source = { kind: "path", path: `${scratch.root}/mine` };
	return { prefix, source, config, fragments: ["CONFIG_DEBUG_INFO=y\nCONFIG_NET=y", ...fragments] };
}

test("a kernel is laid out for those who boot, debug and build modules for it", async (t) => {
	const scratch = host(t);
	const mine = treeHash(`${scratch.root}/mine`);
	const { stderr, stdout } = await scratch.step(step, "apply", inputs(scratch));
	t.regex(stderr, /^debug-kernel: fetching the kernel's source\nthe kernel built in \d+ s$/);
	const result = scratch.read(`${prefix}/.tracelab-build-record/result`).trimEnd();
	t.deepEqual(stdout, { prefix, result, release: "6.1.9", buildId });
	t.is(treeHash(`${scratch.root}/mine`), mine);
	const tree = scratch.tree();
	const files = Object.keys(tree).filter(
		(path) => path.startsWith(`${prefix.slice(1)}/`) && !tree[path]?.startsWith("folder"),
	);
	t.deepEqual(
		files.map((path) => path.slice(prefix.length)),
		[
			".tracelab-build",
			...["build", "config", "result", "tools", "tree"].map((fact) => `.tracelab-build-record/${fact}`),
			...["System.map", "build/.config", "build/Makefile", "build/System.map", "build/base"],
			...["build/include/config/kernel.release", "build/scripts/module.lds"],
			...["build/source", "build/vmlinux", "build-id", "bzImage", "config", "modules/lib/modules/6.1.9/kernel/x.ko"],
			...["release", "scripts/gdb/linux/constants.py", "scripts/gdb/linux/utils.py", "source", "source-version"],
			...["vmlinux", "vmlinux-gdb.py"],
		],
	);
	t.is(scratch.read(`${prefix}/release`), "6.1.9\n");
	t.is(scratch.read(`${prefix}/build-id`), `${buildId}\n`);
	t.is(tree[`${prefix.slice(1)}/source`], `link ${scratch.root}/mine`);
	// Debug information names the prefix.
	t.is(scratch.read(`${prefix}/vmlinux`), `${prefix}/build`);
	t.is(scratch.read(`${prefix}/modules/lib/modules/6.1.9/kernel/x.ko`), `${prefix}/build`);
});

test("a second apply changes nothing, and probe agrees", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", inputs(scratch));
	t.is(second.stderr, "the kernel is up to date");
	t.deepEqual(second.calls, []);
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
});

test("make is told all that makes a build the same anywhere", async (t) => {
	const scratch = host(t);
	await scratch.bash(`touch -d '2020-01-02 03:04:05 UTC' '${scratch.root}/mine/Makefile'`);
	const { calls } = await scratch.step(step, "apply", inputs(scratch));
	const compiled = calls.find((call) => call.endsWith("bzImage modules vmlinux scripts_gdb")) ?? "";
	for (const option of [
		...["LOCALVERSION=", "KBUILD_BUILD_USER=tracelab", "KBUILD_BUILD_HOST=tracelab", "KBUILD_BUILD_VERSION=1"],
		"KBUILD_BUILD_TIMESTAMP=Thu Jan  2 03:04:05 UTC 2020",
	])
		t.true(compiled.includes(` ${option} `), option);
	// The kernel's debug information, and the programs that modules are built with, name one place: none.
	for (const [variable, map] of [
		["KCFLAGS", "debug"],
		["KAFLAGS", "debug"],
		["HOSTCFLAGS", "file"],
	])
		t.true(
			compiled.includes(` ${variable}=-f${map}-prefix-map=${scratch.root}/mine=/opt/tracelab/kernel/0000000000000000/`),
			compiled,
		);
});

test("later fragments and then literal lines win", async (t) => {
	const scratch = host(t);
	const fragments = ["CONFIG_HZ=100\nCONFIG_TWO=2", 'CONFIG_HZ=300\nCONFIG_NAME="a b"'];
	await scratch.step(step, "apply", { ...inputs(scratch, ["CONFIG_TWO=22"], fragments), base: "allnoconfig" });
	const config = scratch.read(`${prefix}/config`).split("\n");
	for (const line of ["CONFIG_HZ=300", "CONFIG_TWO=22", 'CONFIG_NAME="a b"']) t.true(config.includes(line), line);
	t.is(scratch.read(`${prefix}/build/base`), "allnoconfig\n");
});

for (const [line, reason] of [
	[
		"CONFIG_IMPOSSIBLE=y",
		"CONFIG_IMPOSSIBLE=y came out as n: it needs NET; it needs UNICORNS && !HORSES (UNICORNS is off)",
	],
	["CONFIG_FORCED=n", "CONFIG_FORCED=n came out as y: it is selected by FORCING"],
	["# CONFIG_FORCED is not set", "CONFIG_FORCED=n came out as y: it is selected by FORCING"],
] as const) {
	test(`before anything is compiled, ${line} is an error that says why`, async (t) => {
		const scratch = host(t);
		const { code, stderr, calls } = await scratch.step(step, "apply", inputs(scratch, [line]));
		t.is(code, 1);
		t.is(
			stderr,
			[
				"debug-kernel: fetching the kernel's source",
				`tracelab: debug-kernel: ${reason}`,
				"  what to do: ask for what stands in the way as well, in the kernel's fragments or its config:, or drop the symbol",
			].join("\n"),
		);
		t.false(calls.some((call) => call.includes("bzImage")));
		t.false(prefix.slice(1) in scratch.tree());
	});
}

test("a kernel without what modules are built against is drift, and is built again", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	for (const gone of ["build/.config", "build/include", "build"]) {
		await scratch.bash(`rm -r '${scratch.root}${prefix}/${gone}'`);
		const { drift } = (await scratch.step(step, "probe", inputs(scratch))).stdout;
		t.regex(drift ?? "", new RegExp(`^${prefix}/${gone}\\S* is not as it was built$`));
		t.is((await scratch.step(step, "apply", inputs(scratch))).code, 0);
		t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
	}
});

test("a configuration that is not what the lock pins is an error before anything is compiled", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	const config = scratch.read(`${prefix}/.tracelab-build-record/config`).trimEnd();
	t.is((await scratch.step(step, "apply", { ...inputs(scratch), pin: { config } })).stderr, "the kernel is up to date");
	await scratch.step(step, "remove", inputs(scratch));
	await scratch.bash(`rm -r "${scratch.root}/var/cache/tracelab"`);
	const other = "ab".repeat(32);
	const { code, stderr, calls } = await scratch.step(step, "apply", { ...inputs(scratch), pin: { config: other } });
	t.is(code, 1);
	t.is(
		stderr.split("\n").slice(-2).join("\n"),
		[
			`tracelab: debug-kernel: the lock pins config ${other}, and here it is ${config}`,
			"  what to do: go back to what the lock pins, or: ./lab lock --update debug-kernel -s quick",
		].join("\n"),
	);
	t.is(calls.at(-1)?.split(" ").at(-1), "olddefconfig");
	t.false(calls.some((call) => call.includes("bzImage")));
	t.false(prefix.slice(1) in scratch.tree());
});

test("a kernel that signs its modules with a key made at random is said to come out otherwise each time", async (t) => {
	const scratch = host(t);
	const sentence =
		"debug-kernel: it signs its modules with a key made at random, so it comes out otherwise each time: its result cannot be pinned (drop CONFIG_MODULE_SIG, or give a CONFIG_MODULE_SIG_KEY of your own)";
	for (const [key, said] of [
		["certs/signing_key.pem", true],
		["/home/me/key.pem", false],
	] as const) {
		const { code, stderr } = await scratch.step(step, "apply", inputs(scratch, [`CONFIG_MODULE_SIG_KEY="${key}"`]));
		t.is(code, 0, stderr);
		t.is(stderr.split("\n").includes(sentence), said, stderr);
		await scratch.step(step, "remove", inputs(scratch));
		await scratch.bash(`rm -r "${scratch.root}/var/cache/tracelab"`);
	}
});

test("an edited source is drift and built again where its objects are", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	scratch.write("mine/fork.c", "int fork;\n");
	const sentence = `the tree ${scratch.root}/mine changed since it was built`;
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], sentence);
	const { code, calls } = await scratch.step(step, "apply", inputs(scratch));
	t.is(code, 0);
	t.false(calls.some((call) => call.endsWith("tinyconfig")));
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
});

test("an edit after the clock was set back is compiled: objects of a time to come are dropped", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	const kept = `${scratch.root}/var/cache/tracelab/work/${prefix.replace("/opt/tracelab/", "")}`;
	const later = Date.now() / 1000 + 3600;
	utimesSync(`${kept}/.config`, later, later);
	scratch.write("mine/fork.c", "int fork;\n");
	const { code, calls, stderr } = await scratch.step(step, "apply", inputs(scratch));
	t.is(code, 0, stderr);
	t.true(
		stderr.includes(`debug-kernel: the clock was set back since ${kept} was compiled: all of it is compiled again\n`),
		stderr,
	);
	t.true(calls.some((call) => call.endsWith("tinyconfig")));
});

test("a tree that was built in place is an error before anything is done to it", async (t) => {
	const scratch = host(t);
	scratch.write("mine/.config", "CONFIG_MINE=y\n");
	const { code, stderr, calls } = await scratch.step(step, "apply", inputs(scratch));
	t.is(code, 1);
	t.is(
		stderr.split("\n")[1],
		`tracelab: debug-kernel: the tree ${scratch.root}/mine was built in place, so it cannot be built elsewhere`,
	);
	t.false(calls.some((call) => call.startsWith("make")));
});

test("a kernel without debug information is an error", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await scratch.step(step, "apply", {
		...inputs(scratch),
		fragments: ["CONFIG_NET=y"],
	});
	t.is(code, 1);
	t.true(stderr.includes("tracelab: debug-kernel: this kernel has no debug information\n"), stderr);
	t.false(prefix.slice(1) in scratch.tree());
});
