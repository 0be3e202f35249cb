import { writeFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { debug, elf } from "./elf-file.ts";
import { FakeGuest } from "./fake-guest.ts";
import { ScratchLab } from "./scratch-lab.ts";

// `./lab gdb` as a whole: what it looks at before, and after.

const kernel = "/opt/tracelab/kernel/0123456789abcdef/vmlinux";
const vmlinux = elf([debug(8)]);

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
	// The guest is this machine, whose kernel has a build-id of its own; the file has none.
	const { lab } = await there(t, vmlinux, listening);
	const { code, stderr } = await lab.lab(["gdb", "vm"]);
	t.is(code, 1);
	t.regex(
		stderr,
		/^lab: "vm" runs a kernel with build-id ([0-9a-f]{40}|unknown), but \S+\/vmlinux has none: its symbols would be wrong\n {2}what to do: \.\/lab up starts vm on the kernel that belongs to it$/,
	);
});

test.serial("gdb gets a paused guest as it is, and its exit status is ours", async (t) => {
	const { lab, guest } = await there(t, vmlinux, listening);
	guest.state = "paused";
	lab.fake("gdb", 'printf "%s\\n" "$@"; exit 3');
	const { code, stdout, stderr } = await lab.lab(["gdb", "vm", "--", "--batch", "-ex", "p 1"]);
	t.is(code, 3);
	t.deepEqual(stdout.split("\n").slice(-5), ["-ex", "target remote 127.0.0.1:1234", "--batch", "-ex", "p 1"]);
	t.is(
		stderr,
		"lab: vm: it is paused, so its kernel is taken to be the one of this lab, and modules get their symbols by: lx-symbols /opt/tracelab/module/0123456789abcdef",
	);
	t.deepEqual(guest.asked, []);
});

const silent =
	"its agent does not answer, so its kernel is taken to be the one of this lab, and modules get their symbols by";

test.serial("a guest that a killed gdb left stopped goes on, and that is said", async (t) => {
	const { lab, guest } = await there(t, vmlinux, listening);
	lab.write("run/libvirt/qemu/quickstart-vm.pid", "4242");
	guest.fault = "error: Guest agent is not responding: QEMU guest agent is not connected";
	guest.states.push("running", "paused");
	lab.fake("gdb", "");
	t.deepEqual(await lab.lab(["gdb", "vm"]), {
		code: 0,
		stdout: "",
		stderr: `lab: vm: ${silent}: lx-symbols /opt/tracelab/module/0123456789abcdef\nlab: gdb left vm stopped: it goes on now`,
	});
	t.deepEqual(guest.calls.at(-1), ["resume", "quickstart-vm"]);
});

test.serial("without gdb on the machine, a person learns where it comes from", async (t) => {
	const { lab, guest } = await there(t, vmlinux, listening);
	guest.state = "paused";
	// Only the fakes that are named, and what bash and Node are.
	lab.fake("gdb", "");
	const { code, stderr } = await lab.lab(["gdb", "vm"], { PATH: lab.pathOf("virsh", "ss", "bash", "cat", "env") });
	t.is(code, 1);
	t.is(
		stderr.split("\n").slice(1).join("\n"),
		"lab: there is no gdb on this machine\n  what to do: ./lab up installs it, or: apt install gdb",
	);
});
