import test, { type ExecutionContext } from "ava";
import { ScratchHost, treeHash } from "./run-step.ts";

const step = "qemu-build";
const prefix = "/opt/tracelab/qemu/0123456789abcdef";

/** A person's QEMU tree whose fake configure and ninja make emulators that print their version. */
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
		`[ ! -e "$root/broken" ] || { echo 'vl.c:1: error'; exit 1; }
		cd "$2"; shift 3
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
	const objects = `${scratch.root}/var/cache/tracelab/work/qemu/0123456789abcdef`;
	t.is(
		scratch.read("var/cache/tracelab/work/qemu/0123456789abcdef/config-host.h"),
		"#define CONFIG_USTDIO\n#define CONFIG_ZLIB\n",
	);
	t.deepEqual(
		calls.filter((call) => call.startsWith("ninja")),
		[`ninja -C ${objects} -j5 qemu-system-x86_64 qemu-system-aarch64`],
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
