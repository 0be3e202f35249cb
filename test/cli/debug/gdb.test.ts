import { writeFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { project } from "../../../cli/host.ts";
import { debug, elf, note, notesAddress } from "../elf-file.ts";
import { FakeGuest } from "../fake-guest.ts";
import { ScratchLab } from "../scratch-lab.ts";

// `./lab gdb` as a whole: what it looks at before, and after.

const kernel = "/opt/tracelab/kernel/0123456789abcdef/vmlinux";
const buildId = "ab".repeat(20);
const notes = note("GNU", 3, Buffer.from(buildId, "hex"));
const vmlinux = elf([{ name: ".notes", type: 7, bytes: notes }, debug(8)]);

/** A lab whose vmlinux is `bytes`, with an `ss` that says `listening`, and `established` of connections. */
async function there(t: ExecutionContext, bytes: Buffer | undefined, listening = "", established = "") {
	const lab = await ScratchLab.for(t);
	lab.up();
	if (bytes !== undefined) writeFileSync(lab.write(kernel, ""), bytes);
	lab.fake("ss", `case $1 in -Hltnp) printf %s '${listening}' ;; *) printf %s '${established}' ;; esac`);
	const guest = await FakeGuest.on(lab);
	t.teardown(() => guest.close());
	return { lab, guest };
}

const listening = 'LISTEN 0 1 127.0.0.1:1234 0.0.0.0:* users:(("quickstart-vm",pid=4242,fd=9))';

const refuses = test.macro({
	title: (_, what: string) => `no gdb: ${what}`,
	async exec(t, _what: string, ss: readonly string[], bytes: Buffer | undefined, stderr: string) {
		const { lab } = await there(t, bytes, ...ss);
		lab.write("run/libvirt/qemu/quickstart-vm.pid", "4242");
		t.deepEqual(await lab.lab(["gdb", "vm"]), { code: 1, stdout: "", stderr });
	},
});

test.serial(refuses, "vmlinux is gone", [], undefined, `lab: ${kernel} is gone\n  what to do: ./lab up makes it again`);
test.serial(
	refuses,
	"vmlinux is something else",
	[],
	Buffer.from("text"),
	`lab: ${kernel} cannot be read: it is no 64-bit ELF file\n  what to do: ./lab up makes it again`,
);
test.serial(
	refuses,
	"vmlinux has no debug information",
	[],
	elf([]),
	`lab: ${kernel} has no debug information\n  what to do: ask for CONFIG_DEBUG_INFO_DWARF5=y in the stack file, as the fragment quickstart does`,
);
test.serial(
	refuses,
	"nothing listens",
	[],
	vmlinux,
	"lab: no gdbstub listens on 127.0.0.1:1234\n  what to do: ./lab up starts vm with one",
);
test.serial(
	refuses,
	"somebody else listens",
	[listening.replace("quickstart-vm", "nc").replace("4242", "77")],
	vmlinux,
	'lab: 127.0.0.1:1234 is nc\'s (process 77), not the gdbstub of "vm"\n  what to do: end that process, or give the domain another gdb port in the stack file; then ./lab up',
);
test.serial(
	refuses,
	"another debugger is on it",
	[listening, "0 0 127.0.0.1:1234 127.0.0.1:50000"],
	vmlinux,
	'lab: another debugger is on "vm" (127.0.0.1:50000)\n  what to do: leave that one first: a gdbstub serves one at a time',
);

test.serial("no gdb: the guest runs another kernel than vmlinux is", async (t) => {
	// The guest is this machine, whose kernel has a build-id of its own; another one is in its memory.
	const { lab, guest } = await there(t, vmlinux, listening);
	guest.memory.set(notesAddress, note("GNU", 3, Buffer.alloc(20, 7)));
	const { code, stderr } = await lab.lab(["gdb", "vm"]);
	t.is(code, 1);
	t.regex(
		stderr,
		new RegExp(
			`^lab: "vm" runs a kernel with build-id ([0-9a-f]{40}|unknown), but \\S+/vmlinux has ${buildId}: its symbols would be wrong\n  what to do: \\./lab up starts vm on the kernel that belongs to it$`,
		),
	);
});

/** What libvirt knows of a domain that boots this kernel. */
const boots = (bzImage: string) =>
	`<domain><memory unit='KiB'>1048576</memory><kernel>${bzImage}</kernel><cmdline>rw</cmdline></domain>`;

test.serial("no gdb: a guest that is paused at boot boots another kernel than vmlinux is", async (t) => {
	const { lab, guest } = await there(t, vmlinux, listening);
	guest.state = "paused";
	guest.definition = boots("/opt/other/bzImage");
	const said = (id: string) =>
		`lab: "vm" boots /opt/other/bzImage, a kernel with build-id ${id}, but ${kernel} has ${buildId}: its symbols would be wrong\n  what to do: ./lab up starts vm on the kernel that belongs to it`;
	t.deepEqual(await lab.lab(["gdb", "vm"]), { code: 1, stdout: "", stderr: said("unknown") });
	lab.write("opt/other/build-id", `${"cd".repeat(20)}\n`);
	t.deepEqual(await lab.lab(["gdb", "vm"]), { code: 1, stdout: "", stderr: said("cd".repeat(20)) });
});

test.serial("gdb gets a guest that is paused at boot, and its exit status is ours", async (t) => {
	const { lab, guest } = await there(t, vmlinux, listening);
	guest.state = "paused";
	guest.definition = boots(kernel.replace("vmlinux", "bzImage"));
	lab.write(kernel.replace("vmlinux", "build-id"), `${buildId}\n`);
	lab.fake("gdb", 'printf "%s\\n" "$@"; exit 3');
	const { code, stdout, stderr } = await lab.lab(["gdb", "vm", "--", "--batch", "-ex", "p 1"]);
	t.is(code, 3);
	t.deepEqual(stdout.split("\n").slice(-15), [
		...[
			"-ex",
			"target remote 127.0.0.1:1234",
			"-ex",
			"set breakpoint pending on",
			"-ex",
			`source ${project}/cli/debug/gdb-modules.py`,
		],
		...["-ex", "lx-symbols-later /var/lib/tracelab/domains/quickstart-vm/root/lib/modules"],
		...["-ex", "thbreak start_kernel", "-ex", "continue", "--batch", "-ex", "p 1"],
	]);
	t.is(
		stderr,
		"lab: vm has not begun to boot its kernel: gdb goes on to start_kernel; modules get their symbols as they are loaded",
	);
	t.deepEqual(guest.asked, []);
});

test.serial("a guest whose memory has the kernel of vmlinux is not asked, paused or not", async (t) => {
	const { lab, guest } = await there(t, vmlinux, listening);
	guest.memory.set(notesAddress, notes);
	lab.fake("gdb", 'printf "%s\\n" "$@"');
	for (const state of ["paused", "running"]) {
		guest.state = state;
		const { code, stdout, stderr } = await lab.lab(["gdb", "vm"]);
		t.deepEqual([code, stderr], [0, ""]);
		t.deepEqual(stdout.split("\n").slice(-2), [
			"-ex",
			"lx-symbols /var/lib/tracelab/domains/quickstart-vm/root/lib/modules",
		]);
	}
	t.deepEqual(guest.asked, []);
});

test.serial("a guest that a killed gdb left stopped goes on, and that is said", async (t) => {
	const { lab, guest } = await there(t, vmlinux, listening);
	lab.write("run/libvirt/qemu/quickstart-vm.pid", "4242");
	guest.memory.set(notesAddress, notes);
	guest.states.push("running", "paused");
	lab.fake("gdb", "");
	t.deepEqual(await lab.lab(["gdb", "vm"]), {
		code: 0,
		stdout: "",
		stderr: "lab: gdb left vm stopped: it goes on now",
	});
	t.deepEqual(guest.calls.at(-1), ["resume", "quickstart-vm"]);
});

test.serial("without gdb on the machine, a person learns where it comes from", async (t) => {
	const { lab, guest } = await there(t, vmlinux, listening);
	guest.state = "paused";
	guest.memory.set(notesAddress, notes);
	// Only the fakes that are named, and what bash and Node are.
	lab.fake("gdb", "");
	const { code, stderr } = await lab.lab(["gdb", "vm"], { PATH: lab.pathOf("virsh", "ss", "bash", "cat", "env") });
	t.is(code, 1);
	t.is(stderr, "lab: there is no gdb on this machine\n  what to do: ./lab up installs it, or: apt install gdb");
});
