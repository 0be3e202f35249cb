import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { elf, note } from "../elf-file.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import { kernel as buildOf } from "../scratch-probe.ts";
import { buildId } from "../scratch-trace.ts";
import { enter, evidenceOf, fails } from "./claim-fails.ts";
import {
	elfOf,
	facts,
	fires,
	inProcModules,
	installedModule,
	listening,
	listens,
	loads,
	moduleFile,
	vmlinux,
	wholeLab,
} from "./whole-lab.ts";

// Each failure that a claim on a guest's kernel can come to.

const kernel = "the guest runs the kernel of gdb's vmlinux";
const modules = "its modules are installed, and loaded as built";
const gdb = "gdb stops the kernel at a source line";
const hypervisor = "it sees the hypervisor that is expected";
const systemtap = "SystemTap resolves its modules, and a probe fires";

/** The guest's modules on the host. */
const installed = "var/lib/tracelab/domains/quickstart-vm/root/lib/modules/6.1.0/extra";

test.serial(
	fails,
	kernel,
	"where vmlinux is gone",
	({ root }) => rmSync(join(root, vmlinux)),
	`${vmlinux} is gone`,
	"./lab up makes it again",
);
test.serial(
	fails,
	kernel,
	"where the guest runs another",
	(lab) => writeFileSync(lab.write("sys/kernel/notes", ""), note("GNU", 3, Buffer.alloc(20, 7))),
	`the guest's kernel has build-id ${"07".repeat(20)}, ${vmlinux} has ${buildId}`,
	"./lab up starts it on its kernel",
);
test.serial(
	fails,
	kernel,
	"where the guest's has no build-id",
	(lab) => lab.write("sys/kernel/notes", ""),
	`the guest's kernel has build-id unknown, ${vmlinux} has ${buildId}`,
	"./lab up starts it on its kernel",
);
for (const claim of [kernel, modules, hypervisor]) {
	test.serial(
		fails,
		claim,
		"where the guest cannot be asked",
		(_, guest) => {
			guest.fault = "error: Guest agent is not responding: QEMU guest agent is not connected";
		},
		'the guest agent of "vm" does not answer',
		"it may still be booting, or stand in a debugger; see its console: ./lab console --log vm",
	);
}

test.serial(
	fails,
	modules,
	"where one is not installed",
	(lab) => lab.fake("modinfo", `[ "$2" = first ] && echo ${installedModule("first")}`),
	"module second is not installed in the guest",
	"./lab up installs it",
);
test.serial(
	fails,
	modules,
	"where one is not loaded",
	({ root }) => rmSync(join(root, "sys/module/second"), { recursive: true }),
	"module second is not loaded",
	"./lab up loads it",
);
test.serial(
	fails,
	modules,
	"where one was built again since",
	(lab) => {
		loads(lab, "second", "33".repeat(20));
		writeFileSync(join(lab.root, moduleFile("second")), elf([]));
	},
	`module second is loaded with build-id ${"33".repeat(20)}, ${moduleFile("second")} has none`,
	"./lab up loads the one that is built",
);
test.serial(
	fails,
	modules,
	"where the installed one is another",
	(lab) => lab.write(`guest${installedModule("second")}`, "another"),
	`${installedModule("second")} in the guest is not ${moduleFile("second")}`,
	"./lab up installs the one that is built",
);
test.serial(
	fails,
	modules,
	"where one that another needs was built again since",
	(lab) => {
		const [needed, own] = ["a-needed", "also"].map((name) => {
			loads(lab, name.replace("-", "_"), "33".repeat(20));
			lab.write(`${installed}/${name}.ko`, "");
			return join(lab.root, installed, `${name}.ko`);
		});
		writeFileSync(String(own), elfOf("33".repeat(20)));
		writeFileSync(String(needed), elfOf("44".repeat(20)));
		// One that is not loaded.
		lab.write(`${installed}/third.ko`, "");
		lab.write("guest/proc/modules", ["also", "first", "second", "a_needed"].map(inProcModules).join(""));
	},
	`module a-needed is loaded with build-id ${"33".repeat(20)}, /${installed}/a-needed.ko has ${"44".repeat(20)}`,
	"./lab up loads the one that is built",
);
test.serial(
	fails,
	modules,
	"where the build is gone",
	({ root }) => rmSync(join(root, moduleFile("first"))),
	`${moduleFile("first")} is gone`,
	"./lab up makes it again",
);

const stopped = "gdb did not stop at tick_do_update_jiffies64";
test.serial(
	fails,
	gdb,
	"where vmlinux has no debug information",
	(lab) => writeFileSync(join(lab.root, vmlinux), elf([])),
	`${vmlinux} has no debug information`,
	"ask for CONFIG_DEBUG_INFO_DWARF5=y in the stack file, as the fragment quickstart does",
);
test.serial(
	fails,
	gdb,
	"where no gdbstub listens",
	(lab) => lab.fake("ss", ""),
	"no gdbstub listens on 127.0.0.1:1234",
	"./lab up starts vm with one",
);
test.serial(
	fails,
	gdb,
	"where another process has the gdbstub's port",
	(lab) => listens(lab, 'LISTEN 0 1 127.0.0.1:1234 0.0.0.0:* users:(("nc",pid=7,fd=3))'),
	'127.0.0.1:1234 is nc\'s (process 7), not the gdbstub of "vm"',
	"end that process, or give the domain another gdb port in the stack file; then ./lab up",
);
test.serial(
	fails,
	gdb,
	"where another debugger is on it",
	(lab) =>
		lab.fake(
			"ss",
			`case $1 in -Hl*) echo '${listening("127.0.0.1:1234")}' ;; *) echo '0 0 127.0.0.1:1234 127.0.0.1:50000' ;; esac`,
		),
	'another debugger is on "vm" (127.0.0.1:50000)',
	"leave that one first: a gdbstub serves one at a time",
);
test.serial(
	fails,
	gdb,
	"where gdb does not come to it, of whose errors the first is the cause",
	(lab) => {
		const said = ["warning: x", "127.0.0.1:1234: Connection timed out.", "The program is not being run."];
		lab.fake("gdb", `printf '%s\\n' ${said.map((line) => `'${line}'`).join(" ")} >&2; exit 1`);
	},
	`${stopped}: 127.0.0.1:1234: Connection timed out.`,
	"try it by hand: ./lab gdb vm",
);
test.serial(
	fails,
	gdb,
	"where the guest never comes by",
	(lab) => lab.fake("timeout", '[ "$1 $2" = "60 gdb" ] && exit 124'),
	`${stopped} within 60 s`,
	"see whether the guest still does anything: ./lab console --log vm; then by hand: ./lab gdb vm",
);
test.serial(
	fails,
	gdb,
	"where there is no gdb",
	(lab) => lab.fake("timeout", "exit 127"),
	"there is no gdb on this machine",
	"./lab up installs it",
);
test.serial(
	fails,
	gdb,
	"where the symbols have no lines",
	(lab) => lab.fake("gdb", "echo '#0  0xffffffff810a0000 in tick_do_update_jiffies64 ()'"),
	"gdb stopped at tick_do_update_jiffies64 and has no source line of it: #0  0xffffffff810a0000 in tick_do_update_jiffies64 ()",
	"try it by hand: ./lab gdb vm",
);

test.serial("a guest that gdb left stopped goes on", async (t) => {
	const { lab, guest } = await wholeLab(t);
	enter(t, lab);
	lab.fake("gdb", "exit 1");
	guest.state = "paused";
	await t.throwsAsync(evidenceOf(gdb), { message: `${stopped}: ` });
	t.deepEqual(guest.calls.at(-1), ["resume", "quickstart-vm"]);
});

const says = (lab: { write: (path: string, text: string, mode: number) => unknown }, body: string) =>
	lab.write("lab/bin/hypervisor-facts", `#!/bin/sh\n${body}\n`, 0o755);
const mend = "mend hypervisor: or expect: of domain vm in the stack file";
test.serial(
	fails,
	hypervisor,
	"where the guest lacks the program that tells",
	({ root }) => rmSync(join(root, "lab/bin/hypervisor-facts")),
	'"vm" has no /lab/bin/hypervisor-facts',
	"./lab up builds it and shows it to the guest",
);
test.serial(
	fails,
	hypervisor,
	"where that program fails",
	(lab) => says(lab, "echo 'hypervisor-facts: no log' >&2; exit 1"),
	'/lab/bin/hypervisor-facts in "vm": hypervisor-facts: no log',
	"run it by hand: ./lab exec vm -- /lab/bin/hypervisor-facts",
);
test.serial(
	fails,
	hypervisor,
	"where it is run in another way than the card says",
	(lab) => says(lab, "echo signature=KVMKVMKVM"),
	"signature is KVMKVMKVM, and TCGTCGTCGTCG is expected",
	mend,
);
test.serial(
	fails,
	hypervisor,
	"where the stack file expects something else",
	(lab) => {
		const { vm } = card.domains;
		lab.up({ ...card, domains: { vm: { ...vm, hypervisor: { facts: {}, expected: { clocksource: "acpi_pm" } } } } });
	},
	"clocksource is tsc, and acpi_pm is expected",
	mend,
);
test.serial(
	"what the kernel's log does not say any more is no other hypervisor, and the evidence says why",
	async (t) => {
		const { lab } = await wholeLab(t);
		enter(t, lab);
		const { vm } = card.domains;
		lab.up({ ...card, domains: { vm: { ...vm, hypervisor: { facts: {}, expected: { kernelDetects: "none" } } } } });
		const seen = Object.entries({ ...facts, kernelDetects: "unknown" });
		says(lab, seen.map(([name, value]) => `echo '${name}=${value}'`).join("\n"));
		t.regex(
			await evidenceOf(hypervisor),
			/, kernelDetects unknown \(the start of its dmesg was overwritten\), detectVirt qemu, /,
		);
	},
);

const noMatch = `semantic error: while resolving probe point: identifier 'module' at verify.stp:1:7

semantic error: no match

Pass 2: analysis failed.  [man error::pass2]`;
test.serial(
	fails,
	systemtap,
	"where a module is not installed",
	(lab) => {
		lab.write(`${installed}/second.ko`, "");
		lab.write("said", noMatch);
		lab.fake("stap", 'cat "$root/said" >&2; exit 1');
	},
	`stap does not compile verify.stp:\n${noMatch.replaceAll(/^/gm, "  | ")}`,
	"module first is not installed: SystemTap looks for it below /lib/modules/6.1.0 of vm. Its file was taken away by hand: up installs it again",
);
test.serial(
	fails,
	systemtap,
	"where it finds nothing in one of them",
	(lab) => lab.write("stap-points", '# probes\nmodule("first").function("f@/first.c:3") /* <- x */\n'),
	"stap finds no function of module second to probe",
	"build it with debug information (CONFIG_DEBUG_INFO_DWARF5=y of its kernel), and ./lab up installs it",
);
test.serial(
	fails,
	systemtap,
	"where stap fails",
	(lab) =>
		lab.fake(
			"stap",
			`[ "$1" != --version ] || { echo "Systemtap translator/driver (version 4.8/0.188, Debian version 4.8-2)"; exit; }
			printf '%s\\n' 'x.c:1: error: y' 'Pass 4: compilation failed.  [man error::pass4]' >&2; exit 1`,
		),
	"stap does not compile verify.stp:\n  | x.c:1: error: y\n  | Pass 4: compilation failed.  [man error::pass4]",
	"SystemTap 4.8/0.188 does not know this kernel, as the lines above show; what a runtime lacks is corrected by a row in spec/systemtap-corrections.ts",
);
test.serial(
	fails,
	systemtap,
	"where there is no stap",
	(lab) => {
		const programs = ["bash", "env", "virsh", "cat", "date", "flock", "mkdir", "mktemp", "mv", "rm", "rmdir", "tail"];
		process.env["PATH"] = lab.pathOf(...programs);
	},
	"there is no stap on this machine",
	"run up again: it installs systemtap",
);
for (const [where, gone, message, todo] of [
	["where the kernel is not built", `${buildOf}/build-id`, `the kernel ${buildOf} is not built`, "it builds it"],
	[
		"where the guest's modules are gone",
		"var/lib/tracelab/domains/quickstart-vm/root/lib",
		`/var/lib/tracelab/domains/quickstart-vm does not hold the modules of the kernel ${buildOf}`,
		"it installs them",
	],
] as const) {
	const harm = ({ root }: ScratchLab) => rmSync(join(root, gone), { recursive: true });
	test.serial(fails, systemtap, where, harm, message, `run up again: ${todo}`);
}
test.serial(
	fails,
	systemtap,
	"where the runtime has another word than its correction",
	(lab) => {
		lab.write(`${buildOf}/source/include/linux/task_work.h`, "task_work_cancel_func\n");
		lab.write("usr/share/systemtap/runtime/stp_task_work.c", "task_work_end(work);\n");
		lab.fake("stap", 'echo "Systemtap translator/driver (version 4.8/0.188, Debian version 4.8-2)"');
	},
	"SystemTap's runtime has no task_work_cancel in stp_task_work.c, which this kernel calls task_work_cancel_func",
	"its row in spec/systemtap-corrections.ts is not for this SystemTap: 4.8/0.188",
);
test.serial(
	fails,
	systemtap,
	"where the guest runs another kernel",
	(lab) => writeFileSync(lab.write("sys/kernel/notes", ""), note("GNU", 3, Buffer.alloc(20, 7))),
	`probe "verify" is for a kernel with build-id ${buildId}, and "vm" runs one with ${"07".repeat(20)}`,
	"./lab up starts vm on the kernel that belongs to it",
);
test.serial(
	fails,
	systemtap,
	"where the probe is not loaded",
	(lab) => lab.write("guest-bin/staprun", "#!/bin/sh\necho 'ERROR: Couldn'\\''t insert module' >&2; exit 1\n", 0o755),
	`the probe never fired in the guest, not even at kernel.function("vfs_read"): ERROR: Couldn't insert module`,
	"see what the kernel says of it: ./lab exec vm -- dmesg",
);
test.serial(
	fails,
	systemtap,
	"where nothing of it fires",
	(lab) => fires(lab, {}),
	`the probe never fired in the guest, not even at kernel.function("vfs_read"): staprun ended with 0`,
	"see what the kernel says of it: ./lab exec vm -- dmesg",
);

test.serial("a probe that fires in the kernel alone is one that fires", async (t) => {
	const { lab } = await wholeLab(t);
	enter(t, lab);
	fires(lab, { 'kernel.function("vfs_read@/fs/read_write.c:450")': 40 });
	t.is(
		await evidenceOf(systemtap),
		'2 points, such as module("first").function("f"); in the guest 40 hits of kernel.function("vfs_read")',
	);
});
