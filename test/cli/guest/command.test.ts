import { spawn } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { project } from "../../../cli/host.ts";
import { FakeGuest } from "../fake-guest.ts";
import { ScratchLab } from "../scratch-lab.ts";

// One at a time, since each starts Node. `./lab exec` as a whole: command line, standard streams, signals.

async function there(t: ExecutionContext): Promise<{ lab: ScratchLab; guest: FakeGuest }> {
	const lab = await ScratchLab.for(t);
	lab.up();
	const guest = await FakeGuest.on(lab);
	t.teardown(() => guest.close());
	return { lab, guest };
}

test.serial("a guest's command has our streams, and its exit status is ours", async (t) => {
	const { lab } = await there(t);
	const argv = ["sh", "-c", 'echo "$1"; echo err >&2; exit 42', "sh", "a  'b'"];
	t.deepEqual(await lab.lab(["exec", "vm", "--", ...argv]), { code: 42, stdout: "a  'b'", stderr: "err" });
	t.deepEqual(await lab.lab(["exec", "vm", "echo", "--", "-t", "x"]), { code: 0, stdout: "-- -t x", stderr: "" });
});

test.serial("standard input is given only where it is asked for", async (t) => {
	const { lab } = await there(t);
	t.is((await lab.lab(["exec", "-i", "vm", "cat"], {}, "mine")).stdout, "mine");
	t.is((await lab.lab(["exec", "vm", "cat"], {}, "mine")).stdout, "");
});

test.serial("input that is too large for the agent is said to be", async (t) => {
	const { lab } = await there(t);
	t.deepEqual(await lab.lab(["exec", "-i", "vm", "cat"], {}, "x".repeat(100_000)), {
		code: 1,
		stdout: "",
		stderr:
			"lab: the command with its input is over 128 KiB\n  what to do: copy what it needs into the guest first: ./lab cp",
	});
});

test.serial("a command whose time is up has 124, and that is said", async (t) => {
	const { lab } = await there(t);
	t.deepEqual(await lab.lab(["exec", "-t", "0.5", "vm", "--", "sleep", "60"]), {
		code: 124,
		stdout: "",
		stderr: "lab: ended after 0.5 s: sleep 60",
	});
});

test.serial("a command that ends with 124 by itself was not ended by anybody", async (t) => {
	const { lab } = await there(t);
	t.deepEqual(await lab.lab(["exec", "vm", "sh", "-c", "exit 124"]), { code: 124, stdout: "", stderr: "" });
});

test.serial("a guest that is off, paused or silent is an error without a trace of the program", async (t) => {
	const { lab, guest } = await there(t);
	guest.state = "shut off";
	t.deepEqual(await lab.lab(["exec", "vm", "true"]), {
		code: 1,
		stdout: "",
		stderr: 'lab: domain "vm" is shut off\n  what to do: start it: ./lab up',
	});
	guest.state = "running";
	guest.fault = "error: Guest agent is not responding: QEMU guest agent is not connected";
	t.deepEqual(await lab.lab(["exec", "vm", "true"]), {
		code: 1,
		stdout: "",
		stderr:
			'lab: the guest agent of "vm" does not answer\n  what to do: it may still be booting, or stand in a debugger; see its console: ./lab console --log vm',
	});
});

test.serial("Ctrl-C ends the command in the guest, whatever we were just doing", async (t) => {
	const { lab, guest } = await there(t);
	// A virsh that takes its time is at work when the signal comes, which a terminal sends to the whole group.
	guest.slowness = 300;
	const child = spawn(process.execPath, [`${project}/cli/main.ts`, "exec", "vm", "--", "sleep", "60"], {
		detached: true,
		env: lab.env,
		stdio: ["ignore", "pipe", "pipe"],
	});
	let said = "";
	child.stderr.on("data", (bytes) => {
		said += bytes;
	});
	const ended = new Promise((resolve) => child.once("close", resolve));
	while (!guest.asked.includes("guest-exec-status")) await pause(20);
	process.kill(-(child.pid ?? 0), "SIGINT");
	t.deepEqual([await ended, said], [143, ""]);
});
