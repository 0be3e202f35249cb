import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "ava";
import { findDomain } from "../../../cli/card.ts";
import { GuestAgent, GuestRefusal } from "../../../cli/guest/agent.ts";
import { PausedError } from "../../../cli/libvirt.ts";
import { FakeGuest } from "../fake-guest.ts";
import { patient, ScratchLab } from "../scratch-lab.ts";

const lab = await ScratchLab.make();
lab.enter();
lab.up();
const guest = await FakeGuest.on(lab);
const agent = new GuestAgent(findDomain("quickstart", "vm"));

test.afterEach(() => {
	guest.fault = undefined;
});

test.beforeEach(patient);

test.after.always(() => {
	guest.close();
	lab.clean();
});

async function* parts(...all: Buffer[]): AsyncGenerator<Buffer> {
	yield* all;
}

test.serial("a command's end is its exit status and what it said", async (t) => {
	t.deepEqual(await agent.exec(["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]), {
		exited: true,
		code: 7,
		stdout: Buffer.from("out\n"),
		stderr: Buffer.from("err\n"),
	});
});

test.serial("a command that a signal ended has 128 and its number", async (t) => {
	t.is((await agent.exec(["/bin/sh", "-c", "kill -KILL $$"])).code, 137);
});

test.serial("a request names the domain as libvirt knows it, and how long to wait", async (t) => {
	guest.calls.length = 0;
	t.true(await agent.answers(5));
	const request = '{"execute":"guest-ping","arguments":{}}';
	t.deepEqual(guest.calls, [["qemu-agent-command", "--timeout", "5", "quickstart-vm", request]]);
});

test.serial("an agent that is not there answers no", async (t) => {
	guest.fault = "error: Guest agent is not responding: QEMU guest agent is not connected";
	t.false(await agent.answers(1));
});

test.serial("a shell script gets its arguments as they are", async (t) => {
	t.is(await agent.shell('printf "%s|" "$@"', "a b", "it's", 'say "hi"', "", "$HOME", "new\nline"), words);
});

const words = 'a b|it\'s|say "hi"||$HOME|new\nline|';

test.serial("a script that fails is an error in its own words", async (t) => {
	const said = await t.throwsAsync(agent.shell("echo no such thing >&2; exit 3"), { instanceOf: GuestRefusal });
	t.is(said?.message, "vm: no such thing");
	const silent = await t.throwsAsync(agent.shell("exit 3"), { instanceOf: GuestRefusal });
	t.is(silent?.message, "vm: a command ended with 3");
});

test.serial("a program that is not in the guest is the agent's to say", async (t) => {
	const error = await t.throwsAsync(agent.exec(["/no/such"]), { instanceOf: GuestRefusal });
	t.is(error?.message, "vm: Failed to execute child process “/no/such” (No such file or directory)");
});

test.serial("a file arrives in parts, whatever bytes are in it, and is closed", async (t) => {
	// Over what one write and one read take.
	const bytes = randomBytes(2_300_000);
	const heard: number[] = [];
	await agent.write(`${lab.root}/file`, parts(bytes.subarray(0, 5), bytes.subarray(5)), (count) => heard.push(count));
	t.true(readFileSync(`${lab.root}/file`).equals(bytes));
	t.is(
		heard.reduce((sum, count) => sum + count, 0),
		2_300_000,
	);
	guest.asked.length = 0;
	const back: Buffer[] = [];
	for await (const part of agent.read(`${lab.root}/file`)) back.push(part);
	t.true(Buffer.concat(back).equals(bytes));
	const reads = ["guest-file-read", "guest-file-read", "guest-file-read"];
	t.deepEqual(guest.asked, ["guest-file-open", ...reads, "guest-file-close"]);
	t.deepEqual(guest.openFiles, []);
});

test.serial("a file is closed even where its source fails", async (t) => {
	async function* broken(): AsyncGenerator<Buffer> {
		yield Buffer.from("x");
		throw new Error("no more");
	}
	await t.throwsAsync(agent.write(`${lab.root}/half`, broken()), { message: "no more" });
	t.deepEqual(guest.openFiles, []);
});

test.serial("a file that is not there is the agent's to say", async (t) => {
	const error = await t.throwsAsync(agent.open("/no/such", "r"), { instanceOf: GuestRefusal });
	t.is(error?.message, "vm: failed to open file '/no/such' (mode: 'r'): no such file or directory");
});

test.serial(
	"a request of 128 KiB less a byte goes through, one more is an error before anything is sent",
	async (t) => {
		const length = (word: string) =>
			JSON.stringify({ execute: "guest-exec", arguments: { path: "true", arg: [word], "capture-output": true } })
				.length;
		const longest = "x".repeat(131_071 - length(""));
		t.is(length(longest), 131_071);
		t.is((await agent.exec(["true", longest])).code, 0);
		guest.calls.length = 0;
		await t.throwsAsync(agent.exec(["true", `${longest}x`]), {
			message: "the command with its input is over 128 KiB",
			instanceOf: Error,
		});
		t.deepEqual(guest.calls, []);
	},
);

const faults = test.macro({
	title: (_, stderr: string) => `told: ${stderr}`,
	async exec(t, stderr: string, message: string, todo: string) {
		guest.fault = stderr;
		const error = await t.throwsAsync(agent.start(["true"]));
		t.like(error, { message, todo });
	},
});

const silent = "it may still be booting, or stand in a debugger; see its console: ./lab console --log vm";

test.serial(
	faults,
	"error: failed to get domain 'quickstart-vm'",
	'libvirt knows no domain "quickstart-vm"',
	"./lab up defines it again",
);

test.serial("a domain that does not run, and one that stands in its debugger, are two things", async (t) => {
	guest.fault = undefined;
	guest.state = "shut off";
	t.like(await t.throwsAsync(agent.start(["true"])), {
		message: 'domain "vm" is not running',
		todo: "start it: ./lab up",
	});
	guest.state = "paused";
	t.like(await t.throwsAsync(agent.start(["true"]), { instanceOf: PausedError }), {
		message: 'domain "vm" is paused',
		todo: "let it go on from its debugger (./lab gdb vm, then continue) or by: virsh resume quickstart-vm",
	});
	guest.state = "running";
});

const crashed = {
	message: 'domain "vm" crashed',
	todo: "see the last words of its QEMU: sudo tail /var/log/libvirt/qemu/quickstart-vm.log; then start it: ./lab up",
};

test.serial("a domain whose QEMU crashed is called so, between two requests and in one", async (t) => {
	guest.state = "shut off";
	guest.reason = "crashed";
	t.like(await t.throwsAsync(agent.start(["true"])), crashed);
	guest.fault = "error: Guest agent is not responding: Guest agent disappeared while executing command";
	// libvirt has not seen all of its end yet.
	guest.states.push("running", "running");
	t.like(await t.throwsAsync(agent.start(["true"])), crashed);
	guest.reason = "shutdown";
	t.like(await t.throwsAsync(agent.start(["true"])), {
		message: 'domain "vm" is not running',
		todo: "start it: ./lab up",
	});
	guest.state = "running";
});

test.serial(
	faults,
	"error: Guest agent is not responding: Guest agent disappeared while executing command",
	'the guest agent of "vm" does not answer',
	silent,
);
test.serial(
	faults,
	"error: Guest agent is not responding: QEMU guest agent is not connected",
	'the guest agent of "vm" does not answer',
	silent,
);
test.serial(
	faults,
	"error: Guest agent is not responding: Guest agent not available for now",
	'the guest agent of "vm" does not answer',
	silent,
);
test.serial(
	faults,
	"error: internal error: unable to execute QEMU agent command 'guest-exec': Guest agent command failed, error was 'Exec format error'",
	"vm: Exec format error",
	"",
);
test.serial(faults, "error: something else", "vm: something else", "");
test.serial(
	faults,
	"error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory",
	"libvirtd does not answer",
	"./lab up starts it; ./lab doctor says more",
);
test.serial(
	faults,
	"error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied",
	"libvirt lets root only in, or its group",
	"put sudo before the command, or join the group libvirt",
);
