import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { LabError, MissingProgramError } from "../../cli/errors.ts";
import { project } from "../../cli/host.ts";
import { handOver, outputOf, run } from "../../cli/program.ts";

test.serial("what a program says is kept, without the last line's end", async (t) => {
	const { code, stdout, stderr } = await run("bash", ["-c", "printf 'a\\n\\nb\\n'; echo err >&2; exit 3"]);
	t.deepEqual({ code, stdout, stderr }, { code: 3, stdout: "a\n\nb", stderr: "err" });
});

test.serial("words and input go in as they are", async (t) => {
	const words = ["a b", "it's", "$HOME", "new\nline", ""];
	const { stdout } = await run("bash", ["-c", 'printf "%s|" "$@"; cat', "bash", ...words], "input\n\n");
	t.is(stdout, "a b|it's|$HOME|new\nline||input\n");
});

test.serial("nothing is there to be read where no input is given", async (t) => {
	t.deepEqual(await run("cat", []), { code: 0, stdout: "", stderr: "" });
});

test.serial("messages that are looked at are not in the person's language", async (t) => {
	process.env["LC_ALL"] = "POSIX";
	process.env["LANGUAGE"] = "de";
	t.is((await run("bash", ["-c", "echo $LC_ALL $LANGUAGE"])).stdout, "C.UTF-8");
	t.is(await heard("echo $LC_ALL $LANGUAGE"), "C.UTF-8\n");
});

test.serial("a program that a signal ended has 128 and its number, as in a shell", async (t) => {
	t.deepEqual(await run("bash", ["-c", "echo half; kill -TERM $$"]), { code: 143, stdout: "half", stderr: "" });
	t.is((await run("bash", ["-c", "kill -ABRT $$"])).code, 134);
	t.is(await handOver("bash", ["-c", "kill -KILL $$"]), 137);
});

test.serial("a program whose time is up is ended, with 124, as timeout(1) has it", async (t) => {
	const ran = await run("bash", ["-c", "echo half; exec sleep 60"], "", { timeout: 500 });
	t.deepEqual(ran, { code: 124, stdout: "half", stderr: "" });
});

test.serial("a program that has the terminal has its exit status and variables", async (t) => {
	t.is(await handOver("bash", ["-c", "exit $MINE"], { MINE: "7" }), 7);
});

async function heard(script: string): Promise<string> {
	let text = "";
	for await (const part of outputOf("bash", ["-c", script])) text += part;
	return text;
}

test.serial("what a program says comes part by part, whole characters and all", async (t) => {
	const text = await heard("for i in $(seq 50000); do echo ä$i; done");
	t.is(text, Array.from({ length: 50_000 }, (_, index) => `ä${index + 1}\n`).join(""));
	t.is(await heard("exit 0"), "");
});

test.serial("a program that fails behind its words is an error with the first that it says of it", async (t) => {
	const script = "echo out; printf 'noise\\nERROR: one\\n  two\\n' >&2; seq 100 >&2; exit 3";
	const error = await t.throwsAsync(heard(script), { instanceOf: LabError });
	t.is(error.message, `bash ended with 3: -c ${script}\nERROR: one\n  two\n1\n2\n3\n4\n5\n6`);
});

test.serial("whoever stops reading ends the program", async (t) => {
	const unlike = `${Date.now()}.5`;
	for await (const part of outputOf("bash", ["-c", `echo begun; exec sleep ${unlike}`])) {
		t.is(part, "begun\n");
		break;
	}
	for (let tries = 0; tries < 100 && (await run("pgrep", ["-f", `sleep ${unlike}`])).code === 0; tries++)
		await pause(50);
	t.is((await run("pgrep", ["-f", `sleep ${unlike}`])).code, 1);
});

test.serial("a Ctrl-C that a program outlives is not the end of us", async (t) => {
	const before = process.listenerCount("SIGINT");
	t.is(await handOver("true", []), 0);
	t.is(process.listenerCount("SIGINT"), before);
	t.is(process.listenerCount("SIGTERM"), 0);
	t.is(process.listenerCount("SIGHUP"), 0);
});

test.serial("each signal is the program's, and we outlive it", async (t) => {
	const hears = "trap 'echo HUP' HUP; trap 'echo TERM; exit 5' TERM; echo begun; while :; do sleep 0.05; done";
	const source = `import { handOver } from ${JSON.stringify(`${project}/cli/program.ts`)};
console.log("it ended with", await handOver("bash", ["-c", ${JSON.stringify(hears)}]));`;
	const child = spawn(process.execPath, ["--input-type=module", "-e", source], {
		stdio: ["ignore", "pipe", "ignore"],
	});
	const ended = once(child, "exit");
	let said = "";
	for await (const part of child.stdout.setEncoding("utf8")) {
		said += part;
		if (said === "begun\n" || said === "begun\nHUP\n") child.kill("SIGHUP");
		if (said === "begun\nHUP\nHUP\n") child.kill("SIGTERM");
	}
	t.is(said, "begun\nHUP\nHUP\nTERM\nit ended with 5\n");
	t.deepEqual(await ended, [0, null]);
});

const missing = test.macro({
	title: (_, program: string, todo: string) => `without ${program}: ${todo}`,
	async exec(t, program: string, todo: string) {
		const expected = { message: `there is no ${program} on this machine`, todo };
		process.env["PATH"] = "/nowhere";
		t.like(await t.throwsAsync(run(program, []), { instanceOf: MissingProgramError }), expected);
		t.like(await t.throwsAsync(handOver(program, []), { instanceOf: MissingProgramError }), expected);
		t.like(await t.throwsAsync(outputOf(program, []).next(), { instanceOf: MissingProgramError }), expected);
	},
});

const path = process.env["PATH"];
test.afterEach(() => {
	process.env["PATH"] = path;
});

test.serial(missing, "virsh", "./lab up installs it, or: apt install libvirt-clients");
test.serial(missing, "gdb", "./lab up installs it, or: apt install gdb");
test.serial(missing, "ss", "./lab up installs it, or: apt install iproute2");
test.serial(missing, "babeltrace2", "./lab up installs it, or: apt install babeltrace2");
test.serial(missing, "sudo", "install sudo");
