import { join } from "node:path";
import test from "ava";
import { DownloadError } from "../../toolchain/official.ts";
import { run } from "../../toolchain/run.ts";
import { SetupError } from "../../toolchain/setup-error.ts";
import { Scratch } from "./scratch.ts";

test("a program's standard output is the result, and the log has the command and both streams", async (t) => {
	const { log, read } = forLog(new Scratch(t));
	const said = await run(["sh", "-c", "echo out; sleep 0.1; echo err >&2"], { log, advice: "" });
	t.is(said, "out\n");
	t.is(read(), "$ sh -c echo out; sleep 0.1; echo err >&2\nout\nerr\n");
});

test("the log grows with every program", async (t) => {
	const { log, read } = forLog(new Scratch(t));
	await run(["echo", "one"], { log, advice: "" });
	await run(["echo", "two"], { log, advice: "" });
	t.is(read(), "$ echo one\none\n$ echo two\ntwo\n");
});

test("a program has the folder and the environment that were asked for, and no input", async (t) => {
	const { log } = forLog(new Scratch(t));
	const said = await run(["/bin/sh", "-c", 'pwd; echo "$A-$HOME"; cat'], {
		log,
		advice: "",
		cwd: "/usr",
		env: { A: "a" },
	});
	t.is(said, "/usr\na-\n");
});

test("an argument reaches the program as it is", async (t) => {
	const { log } = forLog(new Scratch(t));
	t.is(await run(["printf", "%s", "$(id) 'a b' *"], { log, advice: "" }), "$(id) 'a b' *");
});

const failure = test.macro({
	title: (what) => `${what} fails by name, with its advice`,
	async exec(t, argv: [string, ...string[]], message: string) {
		const { log } = forLog(new Scratch(t));
		const error = await t.throwsAsync(run(argv, { log, advice: "Try another." }), { instanceOf: SetupError, message });
		t.is(error?.advice, "Try another.");
	},
});

test("a program with a bad status", failure, ["sh", "-c", "exit 3", "more"], "sh -c exit 3 failed (3)");
test("a program with options alone", failure, ["false", "--now"], "false failed (1)");
test("a program that a signal ended", failure, ["sh", "-c", "kill -9 $$"], "sh -c kill -9 $$ failed (SIGKILL)");
test(
	"a program that is not there",
	failure,
	["/no/such/program", "x"],
	"/no/such/program could not be started: Error: spawn /no/such/program ENOENT",
);

test("what a failed program printed is in the log", async (t) => {
	const { log, read } = forLog(new Scratch(t));
	await t.throwsAsync(run(["sh", "-c", "echo why >&2; exit 1"], { log, advice: "" }));
	t.is(read(), "$ sh -c echo why >&2; exit 1\nwhy\n");
});

test("an error of set-up has a name and advice, and a download's is one", (t) => {
	const error = new DownloadError("what", "what to do");
	t.true(error instanceof SetupError);
	t.is(error.name, "SetupError");
	t.is(error.message, "what");
	t.is(error.advice, "what to do");
});

function forLog(scratch: Scratch) {
	return { log: join(scratch.root, "log"), read: () => scratch.read("log") };
}
