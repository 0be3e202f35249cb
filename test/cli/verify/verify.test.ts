import { symlinkSync, writeFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import type { Verdict } from "../../../cli/verify/verify.ts";
import { debug, elf } from "../elf-file.ts";
import { FakeGuest } from "../fake-guest.ts";
import { card, ScratchLab } from "../scratch-lab.ts";

const { vm } = card.domains;
if (vm === undefined) throw new Error("the card has no vm");
const lttng =
	"UST events:\n\nPID: 4242 - Name: qemu\n      qemu:a (loglevel: X (1)) (type: tracepoint)\n      qemu:b (loglevel: X (1)) (type: tracepoint)\n";

/** A lab with `vm` alone, all of whose programs on the host say what they should. */
async function there(t: ExecutionContext): Promise<{ lab: ScratchLab; guest: FakeGuest }> {
	const lab = await ScratchLab.for(t);
	lab.up({ ...card, domains: { vm } });
	lab.write("run/libvirt/qemu/quickstart-vm.pid", "4242");
	lab.write("proc/4242/comm", "");
	symlinkSync(vm?.emulator ?? "", `${lab.root}/proc/4242/exe`);
	lab.fake("pgrep", "echo 4242");
	lab.fake("readelf", "echo ' 0x01 (NEEDED)  Shared library: [liblttng-ust.so.1]'");
	lab.fake("lttng", `printf %s '${lttng}'`);
	lab.fake("ss", `echo 'tcp LISTEN 0 1 127.0.0.1:1234 0.0.0.0:* users:(("qemu",pid=4242,fd=9))'`);
	lab.fake("gdb", "echo '#0  tick_do_update_jiffies64 (now=1) at /src/kernel/time/tick-sched.c:58'");
	writeFileSync(lab.write("/opt/tracelab/kernel/0123456789abcdef/vmlinux", ""), elf([debug(8)]));
	const guest = await FakeGuest.on(lab);
	t.teardown(() => guest.close());
	return { lab, guest };
}

async function verdicts(lab: ScratchLab): Promise<{ code: number | undefined; found: Record<string, Verdict> }> {
	const { code, stdout } = await lab.lab(["verify", "--json"]);
	return { code, found: Object.fromEntries((JSON.parse(stdout) as Verdict[]).map((row) => [row.claim, row])) };
}

test.serial("of a guest that waits for its debugger, what the host shows is looked at", async (t) => {
	const { lab, guest } = await there(t);
	guest.state = "paused";
	const { code, stdout, stderr } = await lab.lab(["verify"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	const rows = stdout.split("\n").map((line) => line.replace(/ {2,}/g, " | "));
	t.deepEqual(rows.slice(0, 6), [
		"DOMAIN | CLAIM | VERDICT | EVIDENCE",
		`vm | the process is this lab's QEMU | pass | /proc/4242/exe -> ${vm.emulator}`,
		"vm | pgrep finds it under its name | pass | pgrep -x quickstart-vm: 4242",
		"vm | QEMU is built with LTTng-UST | pass | 0x01 (NEEDED) Shared library: [liblttng-ust.so.1]",
		"vm | LTTng sees its tracepoints under libvirt | pass | lttng list -u: 2 qemu:* tracepoints in process 4242",
		"vm | what listens, listens on 127.0.0.1 | pass | ss -lntup: 127.0.0.1:1234",
	]);
	t.true(rows.slice(6, -2).every((row) => row.endsWith("| not looked at | the guest is paused: let it go on in gdb")));
	t.is(rows.at(-1), "5 hold, 0 fail");
	t.deepEqual(guest.asked, []);
});

const fails = test.macro({
	title: (_, claim: string, why: string) => `${claim}: not ${why}`,
	async exec(t, claim: string, _why: string, harm: (lab: ScratchLab) => unknown, evidence: string) {
		const { lab, guest } = await there(t);
		guest.state = "paused";
		harm(lab);
		const { code, found } = await verdicts(lab);
		t.is(code, 1);
		t.is(found[claim]?.verdict, "fail");
		t.is(found[claim]?.evidence, evidence);
		t.truthy(found[claim]?.todo);
		t.deepEqual(
			Object.values(found).flatMap((row) => (row.verdict === "fail" ? [row.claim] : [])),
			[claim],
		);
	},
});

test.serial(
	fails,
	"pgrep finds it under its name",
	"where another process has it",
	(lab) => lab.fake("pgrep", "echo 77"),
	"pgrep -x quickstart-vm finds 77, and not process 4242",
);
test.serial(
	fails,
	"QEMU is built with LTTng-UST",
	"where it was built without",
	(lab) => lab.fake("readelf", "echo ' 0x01 (NEEDED)  Shared library: [libc.so.6]'"),
	`${vm.emulator} is not linked with liblttng-ust`,
);
test.serial(
	fails,
	"LTTng sees its tracepoints under libvirt",
	"where only others are registered",
	(lab) => lab.fake("lttng", `printf %s '${lttng.replace("4242", "424")}'`),
	"lttng list -u shows no tracepoint of process 4242",
);
test.serial(
	fails,
	"LTTng sees its tracepoints under libvirt",
	"where no session daemon runs",
	(lab) => lab.fake("lttng", "echo 'Error: No session daemon is available' >&2; exit 1"),
	"lttng list failed: Error: No session daemon is available",
);
test.serial(
	fails,
	"what listens, listens on 127.0.0.1",
	"where the gdbstub is open to all",
	(lab) => lab.fake("ss", `echo 'tcp LISTEN 0 1 0.0.0.0:1234 0.0.0.0:* users:(("qemu",pid=4242,fd=9))'`),
	"process 4242 listens on 0.0.0.0:1234",
);

test.serial("another emulator, and a guest that cannot be asked, fail with their reasons", async (t) => {
	const { lab, guest } = await there(t);
	await lab.bash(`ln -sfn /usr/bin/qemu-system-x86_64 '${lab.root}/proc/4242/exe'`);
	guest.fault = "error: Guest agent is not responding: QEMU guest agent is not connected";
	const { code, found } = await verdicts(lab);
	t.is(code, 1);
	t.is(
		found["the process is this lab's QEMU"]?.evidence,
		`/proc/4242/exe is /usr/bin/qemu-system-x86_64, not ${vm.emulator}`,
	);
	for (const claim of ["the guest runs the kernel of gdb's vmlinux", "its modules are installed, and loaded as built"])
		t.is(found[claim]?.evidence, 'the guest agent of "vm" does not answer');
	t.is(
		found["gdb stops the kernel at a source line"]?.evidence,
		"hbreak tick_do_update_jiffies64: stopped at /src/kernel/time/tick-sched.c:58",
	);
});

test.serial("a gdb that stops nowhere, and another kernel than vmlinux is, are failures", async (t) => {
	const { lab } = await there(t);
	lab.fake("gdb", "echo 'Connection refused.' >&2; exit 1");
	const { found } = await verdicts(lab);
	t.is(
		found["gdb stops the kernel at a source line"]?.evidence,
		"gdb did not stop at tick_do_update_jiffies64: Connection refused.",
	);
	// The guest is this machine, whose kernel has a build-id of its own; the file has none.
	t.regex(
		found["the guest runs the kernel of gdb's vmlinux"]?.evidence ?? "",
		/^the guest's kernel has build-id \S+, \S+vmlinux has none$/,
	);
});
