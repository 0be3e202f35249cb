import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { project } from "../../../cli/host.ts";
import { ScratchLab } from "../scratch-lab.ts";

async function there(t: ExecutionContext): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	lab.up();
	lab.fake("virsh", "echo paused");
	return lab;
}

test.serial("all that the guest has said is printed as it is", async (t) => {
	const lab = await there(t);
	lab.write("var/lib/tracelab/vm.log", "Linux version 6.1\r\nlogin: ");
	t.deepEqual(await lab.lab(["console", "--log", "vm"]), {
		code: 0,
		stdout: "Linux version 6.1\r\nlogin: ",
		stderr: "",
	});
});

test.serial("what moved aside when the log got long comes first, the oldest of all before the others", async (t) => {
	const lab = await there(t);
	for (const [end, text] of Object.entries({
		"": "four\n",
		".0": "three\n",
		".1": "two\n",
		".10": "one\n",
		".x": "no\n",
	}))
		lab.write(`var/lib/tracelab/vm.log${end}`, text);
	t.is((await lab.lab(["console", "--log", "vm"])).stdout, "one\ntwo\nthree\nfour");
});

test.serial("a log that is not there is an error that names it", async (t) => {
	const lab = await there(t);
	t.deepEqual(await lab.lab(["console", "vm", "--log"]), {
		code: 1,
		stdout: "",
		stderr: "lab: /var/lib/tracelab/vm.log cannot be read: ENOENT",
	});
});

test.serial("a pipe is typed into the console, and ends once the guest has said all", async (t) => {
	const lab = await there(t);
	mkdirSync(`${lab.root}/run`);
	const typed: string[] = [];
	const server = createServer((socket) => {
		socket.on("error", () => {});
		socket.on("data", (bytes) => {
			typed.push(String(bytes));
			socket.write("first, ");
			setTimeout(() => socket.write("later"), 500);
		});
	});
	await new Promise<void>((resolve) => server.listen(`${lab.root}/run/vm.sock`, resolve));
	t.teardown(() => server.close());
	t.deepEqual(await lab.lab(["console", "vm"], {}, "uname -r\n"), { code: 0, stdout: "first, later", stderr: "" });
	t.is(typed.join(""), "uname -r\n");
});

test.serial("a guest that closes the console ends it", async (t) => {
	const lab = await there(t);
	mkdirSync(`${lab.root}/run`);
	const server = createServer((socket) => socket.end("bye"));
	await new Promise<void>((resolve) => server.listen(`${lab.root}/run/vm.sock`, resolve));
	t.teardown(() => server.close());
	t.deepEqual(await lab.lab(["console", "vm"]), { code: 0, stdout: "bye", stderr: "" });
});

/** `./lab console vm` in a terminal of its own, whose keys are typed at "login: "; what virsh says after that. */
async function inTerminal(t: ExecutionContext, states: string, serve: (socket: Socket) => void, keys = "") {
	const lab = await there(t);
	lab.fake(
		"virsh",
		`if [ ! -e "$root/closed" ]; then echo running; elif [ $# = 6 ]; then echo '${states}'; else echo '${states.replace(/ \(.*/, "")}'; fi`,
	);
	mkdirSync(`${lab.root}/run`);
	const server = createServer((socket) => {
		lab.write("closed", "");
		socket.on("error", () => {});
		serve(socket);
	});
	await new Promise<void>((resolve) => server.listen(`${lab.root}/run/vm.sock`, resolve));
	t.teardown(() => server.close());
	const command = `'${process.execPath}' '${project}/cli/main.ts' console vm`;
	const terminal = spawn("script", ["-qec", command, "/dev/null"], { env: lab.env, stdio: "pipe" });
	let said = "";
	terminal.stdout.on("data", (bytes) => {
		said += bytes;
		if (said.endsWith("login: ")) terminal.stdin.write(keys);
	});
	const code = await new Promise((resolve) => terminal.once("close", resolve));
	return { code, said: said.replaceAll("\r\n", "\n") };
}

const connected = 'connected to the serial console of "vm"; Ctrl-] leaves, Enter shows a prompt\n';

test.serial("who leaves the console is told that it goes on", async (t) => {
	t.deepEqual(await inTerminal(t, "running", (socket) => socket.write("login: "), "\x1d"), {
		code: 0,
		said: `${connected}login: \nleft the console of "vm"; it goes on\n`,
	});
});

test.serial("a console that its domain closed is an error that says why", async (t) => {
	const wasClosed = `${connected}bye\nthe console of "vm" was closed\n`;
	for (const [state, words] of [
		[
			"shut off (crashed)",
			'domain "vm" crashed\n  what to do: see the last words of its QEMU: sudo tail /var/log/libvirt/qemu/quickstart-vm.log; then start it: ./lab up',
		],
		["shut off (shutdown)", 'domain "vm" is shut off\n  what to do: start it: ./lab up'],
		["running", 'domain "vm" runs, but its console was closed\n  what to do: connect again: ./lab console vm'],
	] as const)
		t.deepEqual(await inTerminal(t, state, (socket) => setTimeout(() => socket.end("bye"), 300)), {
			code: 1,
			said: `${wasClosed}lab: ${words}\n`,
		});
});

test.serial("a crash is an error of a pipe as well", async (t) => {
	const lab = await there(t);
	lab.fake(
		"virsh",
		`if [ ! -e "$root/closed" ]; then echo running; elif [ $# = 6 ]; then echo 'shut off (crashed)'; else echo 'shut off'; fi`,
	);
	mkdirSync(`${lab.root}/run`);
	const server = createServer((socket) => {
		lab.write("closed", "");
		socket.end("bye");
	});
	await new Promise<void>((resolve) => server.listen(`${lab.root}/run/vm.sock`, resolve));
	t.teardown(() => server.close());
	const { code, stderr } = await lab.lab(["console", "vm"]);
	t.is(code, 1);
	t.regex(stderr, /^lab: domain "vm" crashed\n/);
});

test.serial("a console that cannot be reached is an error that says how to mend it", async (t) => {
	const lab = await there(t);
	rmSync(`${lab.root}/run`, { recursive: true, force: true });
	t.deepEqual(await lab.lab(["console", "vm"]), {
		code: 1,
		stdout: "",
		stderr: 'lab: the console of "vm" (/run/vm.sock) cannot be reached: ENOENT\n  what to do: ./lab up mends it',
	});
});
