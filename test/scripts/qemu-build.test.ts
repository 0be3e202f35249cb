import { statSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { ScratchHost, treeHash } from "./run-step.ts";

const step = "qemu-build";
const prefix = "/opt/tracelab/qemu/0123456789abcdef";
const objects = "var/cache/tracelab/work/qemu/0123456789abcdef";

/**
 * A person's QEMU tree whose fake configure and ninja make emulators that print their version; ninja configures again where
 * the tree has a file `touched`, and leaves in the tree what Python does if it may.
 */
function host(t: ExecutionContext, linked = "liblttng-ust.so.1 => /usr/lib/liblttng-ust.so.1"): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write(
		"mine/configure",
		`#!/bin/sh
# --cxx= --meson= --with-git-submodules
printf '%s\\n' "$@" >"${scratch.root}/configured"
printf '#define CONFIG_%s\\n' USTDIO VALGRIND_H ZLIB >config-host.h
echo rules >build.ninja
`,
		0o755,
	);
	scratch.write("mine/vl.c", "int main;\n");
	scratch.fake(
		"ninja",
		`cd "$2"; shift 2
		[ -n "\${PYTHONDONTWRITEBYTECODE:-}" ] || touch "$root/mine/cache.pyc"
		if [ "$1" = build.ninja ]; then
			[ ! -e "$root/mine/touched" ] || printf '#define CONFIG_%s\\n' USTDIO VALGRIND_H ZLIB >config-host.h
			exit
		fi
		[ ! -e "$root/broken" ] || { echo 'vl.c:1: error'; exit 1; }
		git -C "$root/mine" rev-parse HEAD >described 2>/dev/null || :
		shift
		for name; do printf '#!/bin/sh\\necho "QEMU emulator version 7.2.22 (Debian 1:7.2)"\\n' >$name; done`,
	);
	scratch.fake("nproc", `echo 5`);
	scratch.fake("ldd", `echo '${linked}'`);
	return scratch;
}

function inputs(scratch: ScratchHost, more: Record<string, string[]> = {}) {
	const source = { kind: "path", path: `${scratch.root}/mine` };
	return { prefix, source, targets: ["x86_64-softmmu"], trace_backends: ["ust"], configure: [], ...more };
}

const features = [
	...["--without-default-features", "--disable-docs", "--disable-install-blobs", "--disable-debug-info"],
	...["--enable-system", "--enable-kvm", "--enable-tcg", "--enable-fdt=system", "--enable-seccomp", "--enable-cap-ng"],
	...["--enable-vhost-net", "--enable-vhost-kernel", "--enable-vhost-user", "--enable-virtfs", "--enable-attr"],
	"--enable-slirp",
];

test("QEMU is configured with what was asked for, and only its emulators are built", async (t) => {
	const scratch = host(t);
	const asked = inputs(scratch, {
		targets: ["x86_64-softmmu", "aarch64-softmmu"],
		trace_backends: ["ust", "log"],
		configure: ["--enable-vnc", "--extra-cflags=-O1 -g"],
	});
	const { stderr, calls, stdout } = await scratch.step(step, "apply", asked);
	t.regex(stderr, /^qemu-build: fetching QEMU's source\nQEMU built in \d+ s$/);
	const result = scratch.read(`${prefix}/.tracelab-build-record/result`).trimEnd();
	t.deepEqual(stdout, { prefix, result, version: "7.2.22" });
	t.deepEqual(scratch.read("configured").trimEnd().split("\n"), [
		"--prefix=/opt/tracelab/qemu",
		"--cc=ccache gcc",
		"--target-list=x86_64-softmmu,aarch64-softmmu",
		"--enable-trace-backends=ust,log",
		"--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu",
		...features,
		"--cxx=false",
		`--extra-cflags=-fmacro-prefix-map=${scratch.root}/mine/=`,
		"--meson=/usr/bin/meson",
		"--with-git-submodules=ignore",
		"--enable-vnc",
		"--extra-cflags=-O1 -g",
	]);
	t.is(scratch.read(`${objects}/config-host.h`), "#define CONFIG_USTDIO\n#define CONFIG_ZLIB\n");
	t.deepEqual(
		calls.filter((call) => call.startsWith("ninja")),
		[`ninja -C ${scratch.root}/${objects} -j5 qemu-system-x86_64 qemu-system-aarch64`],
	);
	const files = Object.keys(scratch.tree()).filter((path) => path.startsWith(`${prefix.slice(1)}/`));
	t.deepEqual(
		files.map((path) => path.slice(prefix.length)),
		[
			...[".tracelab-build", ".tracelab-build-record"],
			...["build", "result", "tools", "tree"].map((fact) => `.tracelab-build-record/${fact}`),
			...["bin", "bin/qemu-system-aarch64", "bin/qemu-system-x86_64"],
			...["source-version", "version"],
		],
	);
	t.is(scratch.read(`${prefix}/version`), "7.2.22\n");
});

test("a second apply changes nothing, and remove leaves only caches", async (t) => {
	const scratch = host(t);
	scratch.write("opt/other", "");
	const before = scratch.hostTree();
	await scratch.step(step, "apply", inputs(scratch));
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", inputs(scratch));
	t.is(second.stderr, "QEMU is up to date");
	t.deepEqual(second.calls, []);
	t.deepEqual(scratch.tree(), applied);
	await scratch.step(step, "remove", inputs(scratch));
	await scratch.bash(`rm "${scratch.root}/configured"`);
	t.deepEqual(scratch.hostTree(), before);
});

test("a change in a person's own tree is drift, and only what changed is built again", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	scratch.write("mine/vl.c", "int main(void);\n");
	const tree = treeHash(`${scratch.root}/mine`);
	const sentence = `the tree ${scratch.root}/mine changed since it was built`;
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], sentence);
	await scratch.bash(`rm "${scratch.root}/configured"`);
	const { stderr } = await scratch.step(step, "apply", inputs(scratch));
	t.regex(stderr, new RegExp(`^QEMU: ${sentence}: building it again\n.*\nQEMU built in \\d+ s$`));
	t.false("configured" in scratch.tree());
	t.is((await scratch.step(step, "probe", inputs(scratch))).stdout["drift"], "");
	t.is(treeHash(`${scratch.root}/mine`), tree);
});

test("a person's own tree is configured from nothing where the defaults of options may have changed", async (t) => {
	const scratch = host(t);
	const configured = async (): Promise<boolean> => {
		await scratch.bash(`rm -f "${scratch.root}/configured"`);
		const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
		t.is(code, 0, stderr);
		return "configured" in scratch.tree();
	};
	t.true(await configured());
	for (const file of ["configure", "meson.build", "meson_options.txt", "scripts/meson-buildoptions.sh"]) {
		const before = file === "configure" ? scratch.read("mine/configure") : "";
		scratch.write(`${objects}/remains`, "");
		scratch.write(`mine/${file}`, `${before}# another\n`, 0o755);
		t.true(await configured(), file);
		t.false(`${objects}/remains` in scratch.tree(), file);
	}
	scratch.write("mine/hw/meson.build", "");
	t.false(await configured());
});

test("valgrind's headers are not used, also where a person's own tree is configured again, and else its objects stay as new", async (t) => {
	const scratch = host(t);
	const built = async (edited: string): Promise<number> => {
		scratch.write(`mine/${edited}`, "");
		const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
		t.is(code, 0, stderr);
		t.is(scratch.read(`${objects}/config-host.h`), "#define CONFIG_USTDIO\n#define CONFIG_ZLIB\n");
		return statSync(`${scratch.root}/${objects}/config-host.h`).mtimeMs;
	};
	const first = await built("one.c");
	t.is(await built("two.c"), first);
	t.true((await built("touched")) > first);
});

test("a person's own tree is built without its git, and nothing is written into it", async (t) => {
	const scratch = host(t);
	await scratch.bash(
		`cd '${scratch.root}/mine'; git init -q; git add .; git -c user.name=a -c user.email=a@b commit -qm one`,
	);
	for (const edit of ["one.c", "two.c"]) {
		scratch.write(`mine/${edit}`, "");
		const tree = treeHash(`${scratch.root}/mine`);
		t.is((await scratch.step(step, "apply", inputs(scratch))).code, 0);
		t.is(treeHash(`${scratch.root}/mine`), tree);
		t.is(scratch.read(`${objects}/described`), "");
	}
});

test("a tree that does not compile leaves the last QEMU in place, and its error shows", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	scratch.write("mine/vl.c", "int main(void\n");
	scratch.write("broken", "");
	const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
	t.is(code, 1);
	t.regex(
		stderr,
		/\ntracelab: qemu-build: building QEMU failed \(exit 1\); the last lines of .*\n {2}\| vl\.c:1: error\n/,
	);
	t.is(scratch.read(`${prefix}/version`), "7.2.22\n");
});

test("a QEMU without the tracepoints that were asked for is never installed", async (t) => {
	const scratch = host(t, "libc.so.6");
	const { code, stderr } = await scratch.step(step, "apply", inputs(scratch));
	t.is(code, 1);
	t.true(stderr.includes("tracelab: qemu-build: the new qemu-system-x86_64 is not linked with LTTng-UST\n"), stderr);
	t.false(prefix.slice(1) in scratch.tree());
	t.is((await scratch.step(step, "apply", inputs(scratch, { trace_backends: ["log"] }))).code, 0);
});

test("a tree that is not what the lock pins is an error of the probe, and of apply before anything is configured", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs(scratch));
	const tree = scratch.read(`${prefix}/.tracelab-build-record/tree`).trimEnd();
	const locked = { ...inputs(scratch), pin: { tree } };
	t.is((await scratch.step(step, "probe", locked)).stdout["drift"], "");
	scratch.write("mine/vl.c", "int other;\n");
	for (const verb of ["probe", "apply"] as const) {
		await scratch.bash(`rm -f "${scratch.root}/configured"`);
		const { code, stderr } = await scratch.step(step, verb, locked);
		t.is(code, 1);
		t.true(stderr.includes(`tracelab: qemu-build: the lock pins tree ${tree}, and here it is `), stderr);
		t.false("configured" in scratch.tree());
	}
});
