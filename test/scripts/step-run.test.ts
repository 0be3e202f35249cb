import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { scriptText } from "../../components/step-program.ts";
import { ScratchHost } from "./run-step.ts";

const log = "var/log/tracelab/quick/test.log";
const carryOn = "  what to do: mend what the log shows, then run up again: it carries on from what was built";
const failed = (scratch: ScratchHost, code: number) =>
	`tracelab: test: making it failed (exit ${code}); the last lines of ${scratch.root}/${log}:`;

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("etc/hosts", "");
	return scratch;
}

test("a command's output is in the log, with the command as a shell takes it, and nowhere else", async (t) => {
	const scratch = host(t);
	const { code, stdout, stderr } = await scratch.library(
		"step",
		`run 'making it' sh -c 'echo out; echo err >&2' 'a b'`,
	);
	t.is(code, 0);
	t.deepEqual(stdout, {});
	t.is(stderr, "");
	t.is(scratch.read(log), "\n$ 'sh' '-c' 'echo out; echo err >&2' 'a b'\nout\nerr\n");
});

test("a command gets no input: it would eat the step's own text", async (t) => {
	const scratch = host(t);
	await scratch.library("step", "run 'making it' cat\nrun 'making it' echo still here");
	t.is(scratch.read(log), "\n$ 'cat'\n\n$ 'echo' 'still' 'here'\nstill here\n");
});

test("a command that fails ends the step with its last 15 lines, the log's name and what to do", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await scratch.library(
		"step",
		"run 'the one before' echo earlier\nrun 'making it' sh -c 'seq 20; exit 7'\nsay 'went on'",
	);
	t.is(code, 1);
	const last = Array.from({ length: 15 }, (_, i) => `  | ${i + 6}`);
	t.deepEqual(stderr.split("\n"), [failed(scratch, 7), ...last, carryOn]);
});

test("a failure shows no line of the command before", async (t) => {
	const scratch = host(t);
	const { stderr } = await scratch.library("step", "run 'the one before' echo earlier\nrun 'making it' false");
	t.deepEqual(stderr.split("\n"), [failed(scratch, 1), carryOn]);
});

test("a command that is not there is an error with bash's words", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await scratch.library("step", "run 'making it' no-such-command");
	t.is(code, 1);
	t.regex(stderr, /failed \(exit 127\); .*\n {2}\| .*no-such-command: command not found\n/);
});

test("a full disk is named, and only the failed command's words count", async (t) => {
	const scratch = host(t);
	const full = "echo 'write failed: No space left on device'";
	const { stderr } = await scratch.library("step", `run 'making it' sh -c "${full}; exit 2"`);
	t.deepEqual(stderr.split("\n"), [
		failed(scratch, 2),
		"  | write failed: No space left on device",
		"  what to do: make room on the disk (df -h / /opt /var), then run up again: it carries on",
	]);
	const later = await scratch.library("step", `run 'the one before' sh -c "${full}"\nrun 'making it' false`);
	t.deepEqual(later.stderr.split("\n"), [failed(scratch, 1), carryOn]);
});

test("the log keeps what earlier runs wrote", async (t) => {
	const scratch = host(t);
	await scratch.library("step", "run 'making it' echo one");
	await scratch.library("step", "run 'making it' echo two");
	t.is(scratch.read(log), "\n$ 'echo' 'one'\none\n\n$ 'echo' 'two'\ntwo\n");
});

/** A step whose apply and remove write a line of that many bytes, run with one verb. */
async function writes(scratch: ScratchHost, verb: string, letter: string, bytes: number): Promise<void> {
	const long = `run 'making it' sh -c 'head -c ${bytes} /dev/zero | tr "\\\\0" ${letter}; echo'`;
	const { code } = await scratch.library(
		"step",
		`probe() { :; }; apply() { ${long}; ${long}; }; remove() { ${long}; }\nstep_main ${verb}`,
	);
	if (code !== 0) throw new Error(`${verb} ended with ${code}`);
}

/** The letters of which the lines of a log are, in order. */
const letters = (scratch: ScratchHost, file: string) =>
	[...scratch.read(file).matchAll(/^([a-z])\1{9,}$/gm)].map(([, letter]) => letter).join("");

test("a log that is long moves aside before the next run, and a run's own is in one file however long", async (t) => {
	const scratch = host(t);
	await writes(scratch, "apply", "a", 600_000);
	t.is(letters(scratch, log), "aa");
	await writes(scratch, "remove", "b", 100);
	t.deepEqual([letters(scratch, log), letters(scratch, `${log}.1`)], ["b", "aa"]);
	await writes(scratch, "apply", "c", 600_000);
	t.deepEqual([letters(scratch, log), letters(scratch, `${log}.1`)], ["bcc", "aa"]);
	await writes(scratch, "apply", "d", 100);
	t.deepEqual([letters(scratch, log), letters(scratch, `${log}.1`)], ["dd", "bcc"]);
	t.deepEqual(readdirSync(join(scratch.root, "var/log/tracelab/quick")), ["test.log", "test.log.1"]);
});

test("a probe moves no log, and one that is short stays", async (t) => {
	const scratch = host(t);
	scratch.write(log, "x".repeat(999_999));
	await writes(scratch, "apply", "a", 100);
	t.false(existsSync(join(scratch.root, `${log}.1`)));
	await writes(scratch, "probe", "b", 100);
	t.false(existsSync(join(scratch.root, `${log}.1`)));
	t.is(letters(scratch, log), "xaa");
});

test("an error says what failed and what to do", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await scratch.library("step", "die 'it broke' 'mend it'");
	t.is(code, 1);
	t.is(stderr, "tracelab: test: it broke\n  what to do: mend it");
	t.is((await scratch.library("step", "die 'it broke'")).stderr, "tracelab: test: it broke");
});

for (const verb of ["apply", "remove"]) {
	test(`${verb} needs root, and does nothing without it`, async (t) => {
		const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
		const argv = [...(process.getuid?.() === 0 ? nobody : []), "bash", "-s", "--", verb];
		const [file = "bash", ...args] = argv;
		const touched = "probe() { :; }; apply() { say touched; exit 9; }; remove() { say touched; exit 9; }";
		const input = `stack=quick step=test generation=g\n${scriptText("lib/step")}\n${touched}\nstep_main "$@"\n`;
		const env = { PATH: process.env["PATH"] ?? "" };
		const { exitCode, stdout, stderr } = await execa(file, args, { input, env, extendEnv: false, reject: false });
		t.is(exitCode, 1);
		t.is(stdout, "");
		t.is(stderr, "tracelab: test: needs root\n  what to do: run as root, or through sudo: sudo npm run up");
	});
}

const works = 'scratch+=("$root/work"); mkdir -p "$root/work/deep"';

for (const [signal, code] of [
	["TERM", 143],
	["INT", 143],
	["HUP", 143],
] as const) {
	test(`a step that is ended by ${signal} takes its scratch folders away and stamps nothing`, async (t) => {
		const scratch = host(t);
		const before = scratch.hostTree();
		const body = `probe() { :; }; remove() { :; }; apply() { ${works}; kill -${signal} $$; say 'went on'; }\nstep_main apply`;
		const run = await scratch.library("step", body);
		t.is(run.code, code);
		t.is(run.stderr, "");
		t.deepEqual(run.stdout, {});
		t.deepEqual(scratch.hostTree(), before);
		t.deepEqual(readdirSync(join(scratch.root, "var/lib/tracelab")), ["undo"]);
	});
}

for (const [how, ending, code] of [
	["well", ":", 0],
	["with an error", "die 'it broke'", 1],
	["by a command that fails", "false", 1],
] as const) {
	test(`a step that ends ${how} takes its scratch folders away`, async (t) => {
		const scratch = host(t);
		const body = `probe() { :; }; remove() { :; }; apply() { ${works}; ${ending}; }\nstep_main apply`;
		t.is((await scratch.library("step", body)).code, code);
		t.false(existsSync(join(scratch.root, "work")));
	});
}
