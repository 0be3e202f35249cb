import { existsSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { becomes, buildId, emulator, fakeGuest, folder } from "./fake-guest.ts";
import { guestInputs, guestStep, runGuest } from "./run-guest.ts";
import { ScratchHost } from "./run-step.ts";

// One after the other: each starts a good many processes.
const test = anyTest.serial;

const carryOn = "  what to do: mend what the log shows, then run up again: it carries on from what was built";
const lookAtConsole = "  what to do: see the guest's console: ./lab console --log vm";
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
	test(`a guest ${what} that never answers`, refused, silent, [
		"guest: started quick-vm",
		`guest: ${isSilent}: starting it again`,
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
