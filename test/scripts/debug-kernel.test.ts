import { statSync, utimesSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { ScratchHost, treeHash } from "./run-step.ts";

const step = "debug-kernel";
const prefix = "/opt/tracelab/kernel/0123456789abcdef";
const buildId = "ab".repeat(20);

/**
 * A person's kernel tree with a fake make: olddefconfig keeps the last value of each symbol, gives DRIVER, if it has none, the
 * tree's default, turns IMPOSSIBLE off and FORCED on; building it fills the objects folder.
 */
function host(t: ExecutionContext, module = "drivers/x.ko"): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("mine/Makefile", "VERSION = 6\n");
	scratch.write("mine/Kconfig", kconfig);
	scratch.write("mine/default", "n\n");
	scratch.write("mine/scripts/gdb/vmlinux-gdb.py", "import linux\n");
	scratch.write("mine/scripts/gdb/linux/utils.py", "");
	scratch.fake(
		"make",
		`for a; do case $a in O=*) cd "\${a#O=}" ;; INSTALL_MOD_PATH=*) into=\${a#*=}/lib/modules/6.1.9 ;; KCFLAGS=*) maps=$a ;; esac; done
		tree=$2
		case $* in
		*config) [ "\${*: -1}" = olddefconfig ] || { echo CONFIG_TINY=y >.config; echo "\${*: -1}" >base; exit; }
			grep -q DRIVER .config || echo "CONFIG_DRIVER=$(cat "$tree/default")" >>.config
			{ tac .config | sort -u -t= -k1,1 | grep -v '=n$\\|IMPOSSIBLE\\|FORCED'; echo CONFIG_FORCED=y; echo CONFIG_FORCING=y; } >new; mv new .config ;;
		*modules_install) mkdir -p "$into/kernel"; ln -s / "$into/build"; printf '%s' "\${maps##*=}" >"$into/kernel/x.ko" ;;
		*)	mkdir -p arch/x86/boot include/config scripts/gdb/linux kernel
			echo bz >arch/x86/boot/bzImage; printf '%s' "\${maps##*=}" >vmlinux; echo map >System.map
			echo 6.1.9 >include/config/kernel.release; echo constants >scripts/gdb/linux/constants.py
			[ ! -e "$tree/objtool" ] || { mkdir -p tools/objtool; cp "$tree/objtool" tools/objtool; }
			echo lds >scripts/module.lds; echo o >kernel/fork.o; echo "include $tree/Makefile" >Makefile
			: >modules.order; : >include/config/NET; echo $(($(cat .version 2>/dev/null) + 1)) >.version
			! grep -q '^CONFIG_DRIVER=m' .config || { mkdir -p drivers; cd drivers; : >../include/config/DRIVER
				touch x.mod x.mod.c x.ko; echo ${module} | tee modules.order >../modules.order; } ;;
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
			...["build/include/config/kernel.release", "build/modules.order", "build/scripts/module.lds"],
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

const compiling = (calls: readonly string[]): string =>
	calls.find((call) => call.endsWith("bzImage modules vmlinux scripts_gdb")) ?? "";

test("make is told all that makes a build the same anywhere", async (t) => {
	const scratch = host(t);
	const { calls } = await scratch.step(step, "apply", inputs(scratch));
	const compiled = compiling(calls);
	for (const option of [
		...["LOCALVERSION=", "KBUILD_BUILD_USER=tracelab", "KBUILD_BUILD_HOST=tracelab", "KBUILD_BUILD_VERSION=1"],
		"KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
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

test("objtool, which modules are built with, is the same wherever it was compiled", async (t) => {
	const scratch = host(t);
	const installed = `${prefix}/build/tools/objtool/objtool`;
	const seen = [];
	for (const folder of ["one", "elsewhere"]) {
		const source = scratch.write(`${folder}/main.c`, "int main(void) { return 0; }\n");
		await scratch.bash(`gcc -g -Wl,--build-id -o '${scratch.root}/mine/objtool' '${source}'`);
		const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
		t.is(code, 0, stderr);
		seen.push({ made: scratch.read("mine/objtool"), installed: scratch.read(installed) });
	}
	const [one, other] = seen;
	t.not(one?.made, other?.made);
	t.is(one?.installed, other?.installed);
});

test("a kernel that is no person's own tree is of the time of its source", async (t) => {
	const scratch = host(t);
	for (const driver of ["drivers/net/net.c", "sound/core/core.c"]) scratch.write(`mine/${driver}`, "");
	const { stdout } =
		await scratch.bash(`cd '${scratch.root}'; touch -d '2020-01-02 03:04:05 UTC' mine/Makefile; tar -cf t.tar mine
		printf '{"sha256":"%s"}' "$(sha256sum <t.tar | cut -c 1-64)"`);
	const source = { kind: "tarball", url: `file://${scratch.root}/t.tar`, sha256: stdout["sha256"] ?? "" };
	const { calls, code, stderr } = await scratch.step(step, "apply", { ...inputs(scratch), source });
	t.is(code, 0, stderr);
	t.true(compiling(calls).includes(" KBUILD_BUILD_TIMESTAMP=Thu Jan  2 03:04:05 UTC 2020 "), compiling(calls));
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
	const kept = `${scratch.root}/var/cache/tracelab/work/${prefix.replace("/opt/tracelab/", "")}`;
	t.true(compiling(calls).includes(` O=${kept} `), compiling(calls));
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
});

test("a person's own tree has its configuration made from nothing each time, and one that comes out the same keeps its time", async (t) => {
	const scratch = host(t);
	const kept = `${scratch.root}/var/cache/tracelab/work/${prefix.replace("/opt/tracelab/", "")}`;
	const built = async (text: string, config: string[] = []): Promise<string> => {
		scratch.write("mine/default", text);
		const { code, stderr } = await scratch.step(step, "apply", inputs(scratch, config));
		t.is(code, 0, stderr);
		return scratch.read(`${prefix}/config`);
	};
	const first = await built("m\n");
	t.true(first.includes("CONFIG_DRIVER=m\n"), first);
	utimesSync(`${kept}/.config`, 1, 1);
	t.is(await built("m\n\n"), first);
	t.is(statSync(`${kept}/.config`).mtimeMs, 1000);
	t.is(await built("y\n"), first.replace("DRIVER=m", "DRIVER=y"));
	t.true(statSync(`${kept}/.config`).mtimeMs > 1000);
	t.is(scratch.tree()[`${prefix.slice(1)}/build/tracelab.config`], undefined);
});

test("a person's own tree comes to the same, whatever was built of it before and however old its files are", async (t) => {
	const scratch = host(t);
	const built = async (text: string): Promise<string> => {
		scratch.write("mine/default", text);
		const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
		t.is(code, 0, stderr);
		return scratch.read(`${prefix}/.tracelab-build-record/result`);
	};
	const modules = (): string[] =>
		Object.keys(scratch.tree()).filter((path) => path.startsWith(`${prefix.slice(1)}/build/drivers/`));
	const first = await built("n\n");
	t.not(await built("m\n"), first);
	t.deepEqual(
		modules().map((path) => path.slice(`${prefix}/build/drivers`.length)),
		["x.ko", "x.mod", "x.mod.c"],
	);
	await scratch.bash(`touch -d '2020-01-02 03:04:05 UTC' '${scratch.root}/mine/Makefile'`);
	t.is(await built("n\n"), first);
	t.deepEqual(modules(), []);
});

for (const line of ["kernel/drivers/x.ko", "drivers/x.o"]) {
	test(`a module of a person's own tree is in its build where modules.order calls it ${line}`, async (t) => {
		const scratch = host(t, line);
		scratch.write("mine/default", "m\n");
		await scratch.step(step, "apply", inputs(scratch));
		t.true(`${prefix.slice(1)}/build/drivers/x.ko` in scratch.tree());
	});
}

test("an edit after the clock was set back is compiled: objects of a time to come are dropped", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	const kept = `${scratch.root}/var/cache/tracelab/work/${prefix.replace("/opt/tracelab/", "")}`;
	const later = Date.now() / 1000 + 3600;
	scratch.write("var/cache/tracelab/work/kernel/0123456789abcdef/mark", "");
	utimesSync(`${kept}/.config`, later, later);
	scratch.write("mine/fork.c", "int fork;\n");
	const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
	t.is(code, 0, stderr);
	t.true(
		stderr.includes(`debug-kernel: the clock was set back since ${kept} was compiled: all of it is compiled again\n`),
		stderr,
	);
	t.false("var/cache/tracelab/work/kernel/0123456789abcdef/mark" in scratch.tree());
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
