import { existsSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { becomes, buildId, emulator, fakeGuest, folder } from "./fake-guest.ts";
import { guestInputs, guestStep, patientStep, runGuest } from "./run-guest.ts";
import { ScratchHost } from "./run-step.ts";

// One after the other: each starts a good many processes.
const test = anyTest.serial;

const carryOn = "  what to do: mend what the log shows, then run up again: it carries on from what was built";
const seeConsole = "see the guest's console: sudo ./lab -s quick logs console-vm";
const lookAtConsole = `  what to do: ${seeConsole}`;
const kernel = guestInputs.kernel_prefix;

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	fakeGuest(scratch);
	scratch.write(guestInputs.overlay, "disk");
	scratch.write(`${kernel}/build-id`, `${buildId}\n`);
	return scratch;
}

const refused = anyTest.macro({
	exec: async (t: ExecutionContext, prepare: (scratch: ScratchHost) => unknown, words: string[]) => {
		const scratch = host(t);
		await prepare(scratch);
		const { code, stderr } = await runGuest(scratch, "apply");
		t.is(code, 1);
		t.deepEqual(stderr.replaceAll(scratch.root, "").split("\n"), words);
	},
	title: (title = "") => `${title} is an error`,
});

test(
	"a domain that does not start",
	refused,
	(scratch: ScratchHost) => scratch.write("virt/broken", "internal error: process exited while connecting to monitor"),
	[
		"tracelab: guest: starting quick-vm failed (exit 1); the last lines of /var/log/tracelab/quick/guest.log:",
		"  | error: internal error: process exited while connecting to monitor",
		carryOn,
	],
);
test(
	"a gdb port that somebody took while the domain was down",
	refused,
	(s: ScratchHost) => s.write("virt/taken", 'LISTEN 0 9 127.0.0.1:1234 0.0.0.0:* users:(("gdbserver",pid=77,fd=3))\n'),
	[
		"tracelab: guest: quick-vm cannot start: its gdb port 1234 is in use by gdbserver, process 77",
		"  what to do: stop that process and run up again, or give another port in the stack file",
	],
);
test(
	"a domain that is neither defined nor known from before",
	refused,
	(s: ScratchHost) => s.bash(`rm -r '${s.root}/virt'`),
	[
		"tracelab: guest: domain quick-vm is not defined, and its definition was not kept",
		"  what to do: have Pulumi make it again: pulumi refresh, then run up again",
	],
);
test("a kernel that is not built", refused, (s: ScratchHost) => s.bash(`rm -r '${s.root}${kernel}'`), [
	`tracelab: guest: the kernel ${kernel} is not built`,
	"  what to do: run up again: it builds it",
]);

const isWrong = `domain quick-vm runs on /usr/bin/kvm, not on ${emulator}`;
test("a domain that a new start does not mend", refused, (s: ScratchHost) => becomes(s, { emulator: "/usr/bin/kvm" }), [
	"guest: started quick-vm",
	`guest: ${isWrong}: starting it again`,
	"guest: started quick-vm",
	`tracelab: guest: ${isWrong}`,
	lookAtConsole,
]);

const another = "cd".repeat(20);
const isOther = `quick-vm runs a kernel with build-id ${another}, gdb's vmlinux has ${buildId}`;
test("a guest on a kernel that gdb has no symbols of", refused, (s: ScratchHost) => becomes(s, { buildId: another }), [
	"guest: started quick-vm",
	`guest: ${isOther}: starting it again`,
	"guest: started quick-vm",
	`tracelab: guest: ${isOther}`,
	lookAtConsole,
]);

const isSilent = "the guest agent of quick-vm did not answer within 0 s";
for (const [what, definition, more] of [
	["emulated", "<domain type='qemu'>", ""],
	[
		"on KVM",
		"<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
		"; it runs on KVM, which may be what does not work here: acceleration: tcg in the stack file does without",
	],
] as const) {
	const silent = (s: ScratchHost) => {
		s.write("virt/defined", `${definition}\n  <name>quick-vm</name>\n</domain>\n`);
		s.write("virt/hangs", "");
	};
	test(`a guest ${what} that never answers, and is started once,`, refused, silent, [
		"guest: started quick-vm",
		`tracelab: guest: ${isSilent}`,
		`${lookAtConsole}${more}`,
	]);
}

test(
	"a guest on KVM that is another than declared is no doubt of KVM",
	refused,
	(s: ScratchHost) => {
		s.write("virt/defined", "<domain type='kvm'>\n</domain>\n");
		becomes(s, { emulator: "/usr/bin/kvm" });
	},
	[
		"guest: started quick-vm",
		`guest: ${isWrong}: starting it again`,
		"guest: started quick-vm",
		`tracelab: guest: ${isWrong}`,
		lookAtConsole,
	],
);

const panic = "[    2.104729] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(254,0)";
const booted = "[    0.000000] Linux version 6.1.170\r\n";
const panics = `${booted}${panic}\r\n[    2.105001] CPU: 0 PID: 1 Comm: swapper/0\r\n[    2.9] ---[ end Kernel panic - not syncing: VFS ]---\r\n`;
const consoleLog = "var/log/tracelab/quick/console-vm.log";
const debugBoot = `${lookAtConsole}; to debug the boot, give vm gdb: { paused: true } in the stack file, run up, then: ./lab -s quick gdb vm`;

test("a kernel that panics while it boots ends the wait, and stays for gdb", async (t) => {
	const scratch = host(t);
	scratch.write("virt/says", panics);
	const { code, stderr, calls } = await scratch.bash(patientStep(), "apply");
	t.is(code, 1);
	t.deepEqual(stderr.split("\n"), [
		"guest: started quick-vm",
		`tracelab: guest: the kernel of quick-vm panicked: ${panic}`,
		debugBoot,
	]);
	t.false(calls.some((call) => call.includes(" destroy ")));
});

test("an up that is run with the stack as TRACELAB_STACK names it advises commands without it, but for sudo, which keeps none", async (t) => {
	const scratch = host(t);
	scratch.write("virt/says", panics);
	const program = `export TRACELAB_STACK=quick\n${patientStep()}`;
	t.regex(
		(await scratch.bash(program, "apply")).stderr,
		/sudo \.\/lab -s quick logs console-vm; .*, then: \.\/lab gdb vm$/,
	);
});

test("a panic of a boot before, and one whose line is not whole yet, are none of this boot's", async (t) => {
	const scratch = host(t);
	scratch.write(consoleLog, panics);
	scratch.write("virt/says", `${booted}${panic}`);
	const { code, stderr } = await runGuest(scratch, "apply");
	t.is(code, 1);
	t.deepEqual(stderr.split("\n"), ["guest: started quick-vm", `tracelab: guest: ${isSilent}`, lookAtConsole]);
});

test("a panic that a reset or a login came behind is none, also where the boot's own first line is not on the console", async (t) => {
	for (const behind of [`${panics}quick-vm login: `, `${booted}${panic}\r\nRebooting in 5 seconds..\r\n`]) {
		const scratch = host(t);
		scratch.write("virt/says", behind);
		const { stderr } = await runGuest(scratch, "apply");
		t.deepEqual(stderr.split("\n"), ["guest: started quick-vm", `tracelab: guest: ${isSilent}`, lookAtConsole]);
	}
});

test("a panic in a console's log that was begun anew during the boot is seen", async (t) => {
	const scratch = host(t);
	scratch.write(consoleLog, "x".repeat(10_000));
	scratch.write("virt/says", panics);
	const program = guestStep().replace("\nlook() {\n", () => `\nlook() {\n\tprintf %s '${panics}' >"$console_log"\n`);
	t.regex((await scratch.bash(program, "apply")).stderr, /the kernel of quick-vm panicked/);
});

test("a guest that panicked since is started again at once, and its panic is said, in a preview as well", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	scratch.write(consoleLog, panics);
	scratch.write("virt/silent", "");
	const said = `the kernel of quick-vm panicked: ${panic}`;
	t.is((await runGuest(scratch, "probe")).stdout["drift"], said);
	const { code, stderr } = await scratch.bash(patientStep(), "apply");
	t.is(code, 0);
	t.deepEqual(stderr.split("\n"), [`guest: ${said}: starting it again`, "guest: started quick-vm"]);
	t.is(scratch.read(consoleLog), panics);
});

test("a guest that was started or reset since it panicked did not panic", async (t) => {
	const scratch = host(t);
	scratch.write(consoleLog, panics);
	await runGuest(scratch, "apply");
	scratch.write("virt/silent", "");
	const silent = "the guest agent of quick-vm does not answer";
	t.is((await runGuest(scratch, "probe")).stdout["drift"], silent);
	scratch.write(consoleLog, panics + booted);
	t.is((await runGuest(scratch, "probe")).stdout["drift"], silent);
});

test("a QEMU that crashes while its guest boots is called so, and its last words are named", async (t) => {
	const scratch = host(t);
	scratch.write("virt/dies", "");
	scratch.write("virt/hangs", "");
	const { code, stderr } = await scratch.bash(patientStep(), "apply");
	t.is(code, 1);
	t.deepEqual(stderr.split("\n"), [
		"guest: started quick-vm",
		"tracelab: guest: domain quick-vm crashed",
		"  what to do: see the last words of its QEMU: sudo tail /var/log/libvirt/qemu/quick-vm.log; of its guest: sudo ./lab -s quick logs console-vm",
	]);
	t.is((await runGuest(scratch, "probe")).stdout["drift"], "domain quick-vm crashed");
});

test("a disk that cannot be made is an error, and nothing stands in its place", async (t) => {
	const scratch = host(t);
	await scratch.bash(`rm '${scratch.root}${guestInputs.overlay}'`);
	scratch.fake("qemu-img", `echo half >"\${*: -1}"; echo 'qemu-img: No space left on device'; exit 1`);
	const { code, stderr } = await runGuest(scratch, "apply");
	t.is(code, 1);
	t.deepEqual(stderr.replaceAll(scratch.root, "").split("\n"), [
		"guest: making the disk of quick-vm again: what the guest had written is lost with the old one",
		"tracelab: guest: making the disk failed (exit 1); the last lines of /var/log/tracelab/quick/guest.log:",
		"  | qemu-img: No space left on device",
		"  what to do: make room on the disk (df -h / /opt /var), then run up again: it carries on",
	]);
	t.false(existsSync(join(scratch.root, guestInputs.overlay)));
	t.false(existsSync(join(scratch.root, `${guestInputs.overlay}.tracelab-part`)));
});

test("a definition that could not be read is never kept as an empty one", async (t) => {
	const scratch = host(t);
	await scratch.bash(`mv '${scratch.root}/virt/defined' '${scratch.root}/virt/aside'`);
	t.is((await runGuest(scratch, "apply")).code, 1);
	t.false(existsSync(join(scratch.root, folder)));
	await scratch.bash(`mv '${scratch.root}/virt/aside' '${scratch.root}/virt/defined'`);
	t.is((await runGuest(scratch, "apply")).stderr, "guest: started quick-vm");
});

test("a kernel without a build-id is drift, and no probe without an answer", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	scratch.write("guest/sys/kernel/notes", "");
	const { code, stdout } = await runGuest(scratch, "probe");
	t.is(code, 0);
	t.is(stdout["drift"], `quick-vm runs a kernel with build-id unknown, gdb's vmlinux has ${buildId}`);
});

test("a kernel whose build is gone is drift, and no probe without an answer", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	await scratch.bash(`rm -r '${scratch.root}${kernel}'`);
	const { code, stdout } = await runGuest(scratch, "probe");
	t.is(code, 0);
	t.is(stdout["drift"], `the kernel ${kernel} is not built`);
});

test("a debugger's connection is seen by the ss of this host", async (t) => {
	// What a fake ss understands proves nothing of the real one's grammar.
	const real = await execa("bash", ["-c", "command -v ss"], { reject: false });
	if (real.exitCode !== 0) {
		t.log("skipped: ss is not installed");
		t.pass();
		return;
	}
	const scratch = host(t);
	scratch.fake("ss", `exec '${real.stdout}' "$@"`);
	const server = createServer().listen(0, "127.0.0.1");
	t.teardown(() => server.close());
	const port = await new Promise<number>((done) => {
		server.once("listening", () => {
			const address = server.address();
			done(typeof address === "object" && address !== null ? address.port : 0);
		});
	});
	const debugged = guestStep({ gdb_port: String(port) }).replace('step_main "$@"', "debugged");
	t.is((await scratch.bash(debugged)).code, 1);
	const client = createConnection(port, "127.0.0.1");
	t.teardown(() => client.destroy());
	await new Promise((done) => server.once("connection", done));
	const { code, stderr } = await scratch.bash(debugged);
	t.is(stderr, "");
	t.is(code, 0);
});
