import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { loadStack, StackFileError, stackNames, UnknownStackError } from "../../spec/load-stack.ts";
import { ScratchProject, smallest } from "./scratch-project.ts";

/** Loads a stack of the given files, by name. */
function load(files: Record<string, string | Buffer>, name = "x") {
	const project = new ScratchProject();
	try {
		for (const [stack, content] of Object.entries(files)) project.write(`stacks/${stack}.yaml`, content);
		return loadStack(name, { projectRoot: project.root });
	} finally {
		project.remove();
	}
}

const ownStacks = stackNames(join(import.meta.dirname, "../../stacks"));

test("the project ships four stacks", (t) => {
	t.deepEqual(ownStacks, ["debug", "probes", "quickstart", "versions"]);
});

for (const name of ownStacks) {
	test(`stacks/${name}.yaml has no fault, and says what it is for`, (t) => {
		const stack = loadStack(name);
		t.is(stack.name, name);
		t.regex(stack.description, /^[A-Z].{20,}\.$/);
	});
}

test("the stack file that README shows has no fault beside the quickstart", (t) => {
	const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
	const shown = /^```yaml\n([\s\S]*?)^```$/m.exec(readme)?.[1] ?? "";
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	for (const file of ["linux/Kconfig", "linux/Makefile", "mymodule/Kbuild"]) project.write(file, "");
	project.write("stacks/mine.yaml", shown.replaceAll("/home/me", project.root));
	project.write("kconfig/lockdep.config", "");
	project.write("stacks/quickstart.yaml", readFileSync(join(import.meta.dirname, "../../stacks/quickstart.yaml")));
	const { domains, modules } = loadStack("mine", { projectRoot: project.root });
	t.like(domains["vm"], { kernel: "mine", processName: "mine-vm", modules: ["lttng", "mymodule"] });
	t.is(modules["lttng"]?.kernel, "mine");
});

test("two kernels may each have a module of one name, by whatever names the kernel takes", (t) => {
	const longest = `8${"aA_-0".repeat(10)}bbbb`;
	t.is(longest.length, 55);
	const stack = smallest
		.replace("kernels: { ", "kernels: { other: { config: [CONFIG_PREEMPT=y] }, ")
		.replace(
			/vm: \{(.*)main \} \}/,
			"vm: {$1main, modules: [mine] }, second: { qemu: main, kernel: other, image: main, modules: [mine-too] } }",
		);
	const source = "path:examples/mymodule";
	const modules = `modules:
  mine: { source: ${source}, kernel: main }
  mine-too: { source: ${source}, kernel: other, load: [mine, ${longest}] }
`;
	const loaded = load({ x: stack + modules });
	t.deepEqual(loaded.modules["mine-too"]?.load, [longest, "mine"]);
	t.deepEqual(loaded.domains["second"]?.modules, ["mine-too"]);
});

test("what a stack file leaves out is filled in", (t) => {
	t.deepEqual(load({ x: smallest }), {
		name: "x",
		description: "",
		qemu: {
			main: {
				source: { kind: "debian", package: "qemu" },
				targets: ["x86_64-softmmu"],
				traceBackends: ["ust"],
				configure: [],
			},
		},
		kernels: {
			main: { source: { kind: "debian", package: "linux-source-6.1" }, fragments: ["quickstart"], config: [] },
		},
		images: { main: { suite: "bookworm", packages: [] } },
		modules: {},
		domains: {
			vm: {
				qemu: "main",
				kernel: "main",
				image: "main",
				modules: [],
				cpus: 2,
				memory: 1024,
				acceleration: "auto",
				processName: "x-vm",
				gdb: { paused: false },
				kernelArguments: [],
				hypervisor: { hidden: false },
				expect: {},
			},
		},
		probes: {},
		traces: {},
	});
});

test("a QEMU and a kernel without a source are Debian's", (t) => {
	const without = smallest.replace("source: debian:qemu", "").replace("source: debian:linux-source-6.1", "");
	t.deepEqual(load({ x: without }), load({ x: smallest }));
});

test("a default is no value over that of the base", (t) => {
	const { qemu, kernels } = load({
		base: smallest.replace("debian:qemu", "debian:qemu/sid").replace("linux-source-6.1", "linux-source-6.12"),
		x: "extends: base\nqemu: { main: { traceBackends: [log] } }\nkernels: { main: { config: [CONFIG_KASAN=y] } }\n",
	});
	t.like(qemu["main"], { source: { kind: "debian", package: "qemu", suite: "sid" }, traceBackends: ["log"] });
	t.like(kernels["main"], { source: { kind: "debian", package: "linux-source-6.12" }, config: ["CONFIG_KASAN=y"] });
});

test("a stack extends another: maps merge by key, lists and scalars replace", (t) => {
	const stack = load({
		base: `${smallest}description: base\n`.replace("main: {}", "main: { packages: [strace, gdb] }"),
		middle: "extends: base\ndescription: middle\ndomains: { vm: { cpus: 4, gdb: { port: 4000 } } }\n",
		x: "extends: middle\nimages: { main: { packages: [] }, other: {} }\ndomains: { vm: { gdb: { paused: true } } }\n",
	});
	t.is(stack.description, "middle");
	t.deepEqual(stack.images, {
		main: { suite: "bookworm", packages: [] },
		other: { suite: "bookworm", packages: [] },
	});
	t.is(stack.domains["vm"]?.cpus, 4);
	t.deepEqual(stack.domains["vm"]?.gdb, { port: 4000, paused: true });
});

test("the order in a file makes no other stack", (t) => {
	const lines = smallest.trimEnd().split("\n").toReversed().join("\n");
	t.is(JSON.stringify(load({ x: lines })), JSON.stringify(load({ x: smallest })));
	const lists = (backends: string, packages: string) =>
		load({
			x: smallest.replace("qemu }", `qemu, traceBackends: ${backends} }`).replace("{}", `{ packages: ${packages} }`),
		});
	t.deepEqual(lists("[ust, log]", "[gdb, strace]"), lists("[log, ust]", "[strace, gdb]"));
});

test("anchors and aliases stand for what they are", (t) => {
	const stack = load({
		x: smallest.replace("debian:qemu", "&source debian:qemu").replace("debian:linux-source-6.1", "*source"),
	});
	t.deepEqual(stack.kernels["main"]?.source, { kind: "debian", package: "qemu" });
});

test("path: starts from the project's root, or is absolute", (t) => {
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	const modules = `modules:
  relative: { source: path:examples/mymodule, kernel: main }
  absolute: { source: path:${project.root}/examples/mymodule/, kernel: main }
`;
	project.write("stacks/x.yaml", smallest + modules);
	const source = { kind: "path", path: join(project.root, "examples/mymodule") };
	const stack = loadStack("x", { projectRoot: project.root });
	t.deepEqual([stack.modules["relative"]?.source, stack.modules["absolute"]?.source], [source, source] as never);
});

test("the script of a probe starts from the project's root, or is absolute", (t) => {
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	const script = project.write("examples/a.stp", "probe begin { exit() }\n");
	const probes = `probes:\n  b: { script: examples/a.stp, domain: vm }\n  a: { script: ${script}, domain: vm }\n`;
	project.write("stacks/x.yaml", smallest + probes);
	const { probes: read } = loadStack("x", { projectRoot: project.root });
	t.deepEqual(read, { a: { script, domain: "vm" }, b: { script, domain: "vm" } });
	t.deepEqual(Object.keys(read), ["a", "b"]);
});

const processName = test.macro({
	title: (_, stack: string, domain: string, expected: string) =>
		`the process of domain ${domain} in stack ${stack} is ${expected} by default`,
	exec(t, stack: string, domain: string, expected: string) {
		t.is(load({ [stack]: smallest.replace("vm", domain) }, stack).domains[domain]?.processName, expected);
	},
});

test(processName, "debug", "vm", "debug-vm");
test(processName, "quickstart", "fast", "quickstart-fast");
test(processName, "quickstart", "first", "first");
test(processName, "quickstart", "a-domain-with-a-name", "a-domain-with-a");

test("an unknown stack is told with the stacks there are, of which Pulumi's own files are none", (t) => {
	const error = t.throws(() => load({ quickstart: smallest, debug: smallest, "Pulumi.quickstart": "" }, "quickstrat"), {
		instanceOf: UnknownStackError,
	});
	t.is(
		error?.message,
		`stacks/quickstrat.yaml: there is no stack "quickstrat" (did you mean "quickstart"?)
    the stacks there are: debug, quickstart`,
	);
});

test("a stack whose name is none is unknown, wherever it leads", (t) => {
	const error = t.throws(() => load({ x: smallest }, "../stacks/x"), { instanceOf: UnknownStackError });
	t.is(
		error?.message,
		`stacks: there is no stack "../stacks/x"
    a stack's name has at most 31 of a-z, 0-9 and -, first a letter, last no dash`,
	);
});

test("a stack file that ends in .yml is named", (t) => {
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	project.write("stacks/x.yml", smallest);
	const error = t.throws(() => loadStack("x", { projectRoot: project.root }), { instanceOf: UnknownStackError });
	t.is(error?.message, 'stacks/x.yaml: there is no stack "x"\n    name the file x.yaml: x.yml is not read');
});

test("a project without stacks says so", (t) => {
	const error = t.throws(() => load({}), { instanceOf: UnknownStackError });
	t.is(error?.message, 'stacks/x.yaml: there is no stack "x"\n    there are no stacks at all');
});

test("a folder is no stack file", (t) => {
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	mkdirSync(join(project.root, "stacks/x.yaml"), { recursive: true });
	const error = t.throws(() => loadStack("x", { projectRoot: project.root }), { instanceOf: StackFileError });
	t.is(error?.message, "stacks/x.yaml: is a folder, not a file\n    move the folder away, and write the file");
});

test("a device is no stack file, and is not read", (t) => {
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	mkdirSync(join(project.root, "stacks"));
	symlinkSync("/dev/zero", join(project.root, "stacks/x.yaml"));
	const error = t.throws(() => loadStack("x", { projectRoot: project.root }), { instanceOf: StackFileError });
	t.is(
		error?.message,
		"stacks/x.yaml: is a device, a pipe or a socket, not a file\n    see what the name leads to: ls -lL",
	);
});

test("a pipe is no fragment and no script, and is not waited for", (t) => {
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	for (const pipe of ["kconfig/pipe.config", "examples/pipe.stp"]) {
		execFileSync("mkfifo", [join(project.root, pipe)]);
	}
	const kernels = "main: { source: debian:linux-source-6.1, fragments: [pipe] }";
	const probes = "probes: { pipe: { script: examples/pipe.stp, domain: vm } }\n";
	project.write("stacks/x.yaml", smallest.replace(/main: .*linux.*(?= )/, kernels) + probes);
	const error = t.throws(() => loadStack("x", { projectRoot: project.root }), { instanceOf: StackFileError });
	t.deepEqual(
		error?.problems.map(({ message }) => message),
		[
			"kconfig/pipe.config is a device, a pipe or a socket, not a file",
			'"examples/pipe.stp" is a device, a pipe or a socket, not a file',
		],
	);
});

for (const odd of [" ", ";", "$", "`", "'", '"', ":", "(", "=", "\\", "#", "&", "*"]) {
	test(`no kernel and no QEMU is built in a folder with ${odd === " " ? "a space" : odd} in its name, and a module is`, (t) => {
		const project = new ScratchProject();
		t.teardown(() => project.remove());
		const folder = `${project.root}/my${odd}tree`;
		for (const file of ["Kconfig", "Kbuild", "configure"]) project.write(`my${odd}tree/${file}`, "");
		// What counts is where the build ends up, by whatever name.
		symlinkSync(folder, join(project.root, "linked"));
		const tree = JSON.stringify(`path:${folder}`);
		project.write(
			"stacks/x.yaml",
			`qemu: { main: { source: ${tree} } }
kernels: { main: { source: path:linked } }
modules: { mine: { source: ${tree}, kernel: main } }
images: { main: {} }
domains: { vm: { qemu: main, kernel: main, image: main } }
`,
		);
		const error = t.throws(() => loadStack("x", { projectRoot: project.root }), { instanceOf: StackFileError });
		const message = `nothing can be built in ${JSON.stringify(folder)}: make, or a shell, would take ${JSON.stringify(odd)} for its own`;
		t.deepEqual(
			error?.problems.map((problem) => [problem.path, problem.message]),
			[
				["qemu.main.source", message],
				["kernels.main.source", message],
			],
		);
	});
}

test("a file without read permission is told", (t) => {
	if (process.getuid?.() === 0) {
		t.log("skipped: root may read every file");
		t.pass();
		return;
	}
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	chmodSync(project.write("stacks/x.yaml", smallest), 0);
	const error = t.throws(() => loadStack("x", { projectRoot: project.root }), { instanceOf: StackFileError });
	t.is(error?.message, "stacks/x.yaml: cannot be read: no permission\n    make it readable for yourself: chmod u+r");
});

test("a file that is far too long is not parsed", (t) => {
	const error = t.throws(() => load({ x: `# ${"x".repeat(70000)}\n${smallest}` }), { instanceOf: StackFileError });
	t.regex(error?.message ?? "", /^stacks\/x\.yaml: is 70\d+ bytes long, and at most 65536 are read\n/);
});

test("values nested too deeply for the parser are told, not thrown", (t) => {
	const error = t.throws(() => load({ x: "[".repeat(60000) }), { instanceOf: StackFileError });
	t.regex(
		error?.message ?? "",
		/^stacks\/x\.yaml:1:\d+: values are nested too deeply\n {4}is it a stack file at all\?/,
	);
});

test("the problems come as data as well", (t) => {
	const error = t.throws(() => load({ x: smallest.replace("kernel: main", "kernel: mian") }), {
		instanceOf: StackFileError,
	});
	t.deepEqual(error?.problems, [
		{
			file: "stacks/x.yaml",
			line: 4,
			column: 38,
			path: "domains.vm.kernel",
			message: 'no kernel named "mian" (did you mean "main"?)',
			hint: 'kernels has: main; name what is there, or add "mian" to kernels',
		},
	]);
});

test("a BOM and Windows line ends are fine", (t) => {
	t.deepEqual(load({ x: `\ufeff${smallest.replaceAll("\n", "\r\n")}` }), load({ x: smallest }));
});
