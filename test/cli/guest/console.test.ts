import { mkdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import test, { type ExecutionContext } from "ava";
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

test.serial("a console that cannot be reached is an error that says how to mend it", async (t) => {
	const lab = await there(t);
	rmSync(`${lab.root}/run`, { recursive: true, force: true });
	t.deepEqual(await lab.lab(["console", "vm"]), {
		code: 1,
		stdout: "",
		stderr: 'lab: the console of "vm" (/run/vm.sock) cannot be reached: ENOENT\n  what to do: ./lab up mends it',
	});
});
