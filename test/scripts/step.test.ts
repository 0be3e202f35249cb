import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { scriptText } from "../../components/step-program.ts";
import { ScratchHost, type StepRun } from "./run-step.ts";

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("etc/hosts", "");
	return scratch;
}

/** A step whose three functions are given, run with one verb. */
function step(scratch: ScratchHost, verb: string, body: string, inputs: Record<string, string> = {}): Promise<StepRun> {
	const nothing = "probe() { :; }; apply() { :; }; remove() { :; }";
	return scratch.library("step", `${nothing}\n${body}\nstep_main ${verb}`, inputs);
}

const controls = Array.from({ length: 31 }, (_, i) => String.fromCharCode(i + 1));
for (const [what, text] of [
	["every control character", controls.join("")],
	["DEL", "a\u007fb"],
	["quotes and backslashes", '"\\ \\" \\\\ \\n \\u0001 & \\&'],
	["letters beyond ASCII", "ü € 😀"],
	["nothing", ""],
	["what a shell would expand", "$HOME `id` * ~ !x"],
] as const) {
	test(`a string of ${what} comes out of the JSON as it went in`, async (t) => {
		const { stdout } = await step(host(t), "apply", 'apply() { output "$text" "$text"; }', { text });
		t.deepEqual(stdout, { [text]: text });
	});
}

test("a control character is escaped with its number", async (t) => {
	const { stdout } = await step(host(t), "apply", `apply() { output raw "$(json_string $'\\x01\\x1f\\n\\t\\r')"; }`);
	t.is(stdout["raw"], '"\\u0001\\u001f\\n\\t\\r"');
});

test("outputs are one JSON object, and none are an empty one", async (t) => {
	const scratch = host(t);
	const raw = async (body: string) =>
		(await scratch.bash(`stack=s step=t generation=g\n${scriptText("lib/step")}\n${body}`)).stdout;
	t.deepEqual(await raw('output a 1; output b 2; json_object "${outputs[@]}"'), { a: "1", b: "2" });
	t.deepEqual((await step(scratch, "apply", "")).stdout, {});
});

test("a probe says all that differs in one sentence, and what the last apply stamped", async (t) => {
	const scratch = host(t);
	const differs = "probe() { drift 'a is not b'; drift 'c is gone'; }";
	t.deepEqual((await step(scratch, "probe", differs)).stdout, { drift: "a is not b; c is gone", stamp: "" });
	await step(scratch, "apply", "apply() { output port 1234; }", { generation: "first" });
	t.deepEqual((await step(scratch, "probe", "")).stdout, { drift: "", stamp: "first" });
	t.is(scratch.read("var/lib/tracelab/steps/quick/test"), "first\n");
	t.is(scratch.read("var/lib/tracelab/printed/quick/test"), 'first\n{"port":"1234"}\n');
});

test("an apply that fails stamps nothing", async (t) => {
	const scratch = host(t);
	t.is((await step(scratch, "apply", "apply() { false; }")).code, 1);
	t.is((await step(scratch, "probe", "")).stdout["stamp"], "");
});

test("a second apply changes nothing, and a remove leaves nothing", async (t) => {
	const scratch = host(t);
	const before = scratch.tree();
	await step(scratch, "apply", "");
	const applied = scratch.tree();
	await step(scratch, "apply", "");
	t.deepEqual(scratch.tree(), applied);
	await step(scratch, "remove", "");
	t.deepEqual(scratch.tree(), before);
});

test("a replaced step's remove leaves its successor's stamp", async (t) => {
	const scratch = host(t);
	await step(scratch, "apply", "", { generation: "successor" });
	await step(scratch, "remove", "", { generation: "old" });
	t.is((await step(scratch, "probe", "")).stdout["stamp"], "successor");
});

test("an unknown verb is an error", async (t) => {
	const { code, stderr } = await step(host(t), "destroy", "");
	t.is(code, 1);
	t.is(stderr, "tracelab: test: unknown verb destroy");
});

test("a file is replaced in one rename, with its mode, and its folder is made", async (t) => {
	const scratch = host(t);
	const write = (text: string, mode: string) =>
		step(scratch, "probe", `printf '${text}' | write_file "$root/a/b/file" ${mode}`);
	await write("one", "600");
	const first = statSync(join(scratch.root, "a/b/file"));
	t.is(first.mode & 0o777, 0o600);
	await write("two", "644");
	const second = statSync(join(scratch.root, "a/b/file"));
	t.is(second.mode & 0o777, 0o644);
	t.not(second.ino, first.ino);
	t.is(scratch.read("a/b/file"), "two");
	t.deepEqual(
		Object.keys(scratch.tree()).filter((path) => path.startsWith("a/b/")),
		["a/b/file"],
	);
});

test("what was begun can be undone from the host, by a text that is there until then", async (t) => {
	const scratch = host(t);
	const undo = "var/lib/tracelab/undo/quick/card";
	const inputs = { step: "card", card: "it's $(id)\n" };
	await scratch.bash(`mkdir -p '${scratch.root}/var/lib/tracelab/labs/quick.json'`);
	t.is((await scratch.step("lab-card", "apply", inputs)).code, 1, "a folder is in its place");
	t.is(statSync(join(scratch.root, undo)).mode & 0o777, 0o600);
	await scratch.bash(`rmdir '${scratch.root}/var/lib/tracelab/labs/quick.json'`);
	await scratch.step("lab-card", "apply", inputs);
	t.is(scratch.read("var/lib/tracelab/labs/quick.json"), `${inputs.card}\n`);
	t.is((await scratch.bash(`bash '${scratch.root}/${undo}' remove`)).stderr, "");
	t.false(existsSync(join(scratch.root, "var/lib/tracelab")));
});

test("a step of a stack that is up from another project is refused, and what undoes it stays", async (t) => {
	const scratch = host(t);
	const undo = "var/lib/tracelab/undo/quick/test";
	const other = join(scratch.root, "other");
	scratch.write("other/Pulumi.yaml", "");
	await step(scratch, "apply", "");
	const own = scratch.read(undo);
	const theirs = own.replace(/.*/, `# from ${other}`);
	scratch.write(undo, theirs);
	const refused = await step(scratch, "apply", "");
	t.is(refused.code, 1);
	t.true(refused.stderr.startsWith(`tracelab: test: the lab of stack quick is up from another project: ${other}\n`));
	t.is(scratch.read(undo), theirs);
	await scratch.bash(`rm '${other}/Pulumi.yaml'`);
	t.is((await step(scratch, "apply", "")).code, 0, "a project that is gone has no lab");
	t.is(scratch.read(undo), own);
});

test("a step of a stack that is up from another project is removed from there, or by what is on the host, alone", async (t) => {
	const scratch = host(t);
	const undo = "var/lib/tracelab/undo/quick/lab-card";
	const other = join(scratch.root, "other");
	scratch.write("other/Pulumi.yaml", "");
	await scratch.step("lab-card", "apply", { card: "{}" });
	const theirs = scratch.read(undo).replace(/.*/, `# from ${other}`);
	scratch.write(undo, theirs);
	const up = scratch.tree();
	const refused = await scratch.step("lab-card", "remove", { card: "{}" });
	t.is(refused.code, 1);
	t.is(
		refused.stderr,
		[
			`tracelab: lab-card: the lab of stack quick is up from another project: ${other}`,
			"  what to do: work with it there; or have one beside it, by a stack file of another name that extends this one",
		].join("\n"),
	);
	t.deepEqual(scratch.tree(), up);
	t.is((await scratch.bash(`bash '${scratch.root}/${undo}' remove`)).stderr, "");
	t.false(existsSync(join(scratch.root, "var/lib/tracelab")));
	await scratch.step("lab-card", "apply", { card: "{}" });
	scratch.write(undo, theirs);
	await scratch.bash(`rm '${other}/Pulumi.yaml'`);
	t.is((await scratch.step("lab-card", "remove", { card: "{}" })).stderr, "", "a project that was moved is no other");
	t.false(existsSync(join(scratch.root, "var/lib/tracelab")));
});

test("what undoes a replaced step's successor stays until that is removed", async (t) => {
	const scratch = host(t);
	const undo = join(scratch.root, "var/lib/tracelab/undo/quick/test");
	await step(scratch, "apply", "", { generation: "successor" });
	await step(scratch, "remove", "", { generation: "old" });
	t.true(existsSync(undo));
	await step(scratch, "remove", "", { generation: "successor" });
	t.false(existsSync(undo));
});

test("a file that cannot be written stays as it was, and that is an error", async (t) => {
	const scratch = host(t);
	const file = scratch.write("a/file", "old");
	const before = scratch.tree();
	scratch.fake("cat", "echo half; echo 'cat: write error: No space left on device' >&2; exit 1");
	const { code, stderr } = await scratch.library("step", 'echo new | write_file "$root/a/file" 644');
	t.is(code, 1);
	t.is(
		stderr,
		[
			"cat: write error: No space left on device",
			`tracelab: test: cannot write ${file}`,
			"  what to do: mend what the line above says (a full disk: df -h / /opt /var), then run up again",
		].join("\n"),
	);
	t.deepEqual(scratch.tree(), before);
});

test("a folder that another step takes away as it is made is made again", async (t) => {
	const scratch = host(t);
	scratch.fake("mkdir", '/bin/mkdir "$@"; [ -e "$own/taken" ] || { touch "$own/taken"; rmdir "$2"; }');
	const { code, stderr } = await scratch.library("step", 'echo new | write_file "$root/a/file" 600');
	t.is(code, 0, stderr);
	t.is(scratch.read("a/file"), "new\n");
	t.is(statSync(join(scratch.root, "a/file")).mode & 0o777, 0o600);
});

test("a folder in a file's place is an error, and nothing goes into it", async (t) => {
	const scratch = host(t);
	scratch.write("a/file/inner", "");
	const before = scratch.tree();
	const { code, stderr } = await scratch.library("step", 'echo new | write_file "$root/a/file" 644');
	t.is(code, 1);
	t.regex(stderr, /^mv: cannot overwrite directory .*\ntracelab: test: cannot write .*\/a\/file\n/);
	t.deepEqual(scratch.tree(), before);
});

test("what a killed write left is hidden from those who list the folder", async (t) => {
	const scratch = host(t);
	scratch.fake("mv", "kill -9 $PPID");
	const listed =
		'(echo x | write_file "$root/a/file" 644) || :; json_object "\\"seen\\":$(json_string "$(ls "$root/a")")"';
	t.deepEqual((await scratch.library("step", listed)).stdout, { seen: "" });
	t.true(existsSync(join(scratch.root, "a/.file.tracelab-part")));
});

test("a step that waits for a lock says so, and goes on when it is free", async (t) => {
	const scratch = host(t);
	const taken = join(scratch.root, "taken");
	const holds = `lock thing; touch "$root/taken"; while [ ! -e "$root/asked" ]; do sleep 0.02; done`;
	const holder = scratch.library("step", holds);
	const wait = `until [ -e '${taken}' ]; do sleep 0.02; done; say() { printf '%s\\n' "$*" >&2; touch "$root/asked"; }`;
	const waiter = await scratch.library("step", `${wait}\nlock thing; say 'has it'`);
	t.is(waiter.stderr, "test: waiting for another step that holds the lock thing\nhas it");
	t.is((await holder).stderr, "");
});

test("a lock whose file gc removed before it was free is taken as everybody takes it from then on", async (t) => {
	const scratch = host(t);
	const file = '"$root/run/tracelab/locks/thing"';
	const holds = `lock thing; touch "$root/taken"; while [ ! -e "$root/asked" ]; do sleep 0.02; done; rm ${file}`;
	const holder = scratch.library("step", holds);
	const wait = `until [ -e "$root/taken" ]; do sleep 0.02; done; say() { touch "$root/asked"; }`;
	const taken = `flock --nonblock ${file} true && code=0 || code=$?; output others "$code"; json_object "\${outputs[@]}"`;
	const waiter = await scratch.library("step", `${wait}\nlock thing; ${taken}`);
	t.deepEqual(waiter.stdout, { others: "1" }, waiter.stderr);
	t.is((await holder).code, 0);
});

test("a lock that is free is taken without a word, and is another one for another thing", async (t) => {
	const { code, stderr } = await host(t).library("step", "lock one; lock two");
	t.is(code, 0);
	t.is(stderr, "");
});

test("a lock ends with its step, however that ends", async (t) => {
	const scratch = host(t);
	t.is((await scratch.library("step", "lock thing; kill -9 $$")).code, undefined);
	t.is((await scratch.library("step", "lock thing")).stderr, "");
});

test("a lock that cannot be opened is an error, and nobody is waited for", async (t) => {
	const scratch = host(t);
	scratch.write("run/tracelab/locks/thing/inner", "");
	const { code, stderr } = await scratch.library("step", "lock thing; say 'went on'");
	const file = `${scratch.root}/run/tracelab/locks/thing`;
	t.is(code, 1);
	t.deepEqual(stderr.split("\n").slice(1), [
		`tracelab: test: cannot open the lock ${file}`,
		"  what to do: mend what the line above says",
	]);
});

test("a lock that is held for an hour is an error that says how to find its holder", async (t) => {
	const scratch = host(t);
	scratch.fake("flock", "exit 1");
	const { code, stderr } = await scratch.library("step", "lock thing");
	const file = `${scratch.root}/run/tracelab/locks/thing`;
	t.is(code, 1);
	t.deepEqual(stderr.split("\n"), [
		"test: waiting for another step that holds the lock thing",
		`tracelab: test: the lock ${file} was held for an hour`,
		`  what to do: see who holds it: fuser -v ${file}`,
	]);
});

const mend =
	"  what to do: mend what the lines above say; where they say nothing, this is a fault of tracelab's: report it";

/** The number of the only line of a script that has that text. */
function lineOf(script: string, text: string): number {
	const lines = readFileSync(new URL(`../../scripts/${script}`, import.meta.url), "utf8").split("\n");
	return lines.findIndex((line) => line.includes(text)) + 1;
}

for (const [where, command, code, script, text, said] of [
	["a script", "rm", 3, "lab-card.sh", '\trm -f "$file"', '`rm -f "$file"` failed (exit 3)'],
	[
		"a library",
		"mkdir",
		4,
		"lib/step.sh",
		'| write_file "$undo_file" 600',
		'`write_file "$undo_file" 600` failed (exit 0 | 4)',
	],
] as const) {
	test(`a command of ${where} that fails without a word is named, with its line`, async (t) => {
		const scratch = host(t);
		scratch.fake(command, `exit ${code}`);
		const run = await scratch.step("lab-card", command === "rm" ? "remove" : "apply", { card: '# 7 "scripts/x.sh"\n' });
		t.is(run.code, code);
		// Who writes to one that failed already ends by SIGPIPE.
		const stderr = run.stderr.replace("(exit 141 |", "(exit 0 |");
		t.is(stderr, `tracelab: lab-card: scripts/${script}:${lineOf(script, text)}: ${said}\n${mend}`);
	});
}

for (const [what, body, said] of [
	["in a substitution", "x=$(false; echo on)", "`x=$(false; echo on)` failed (exit 1)"],
	[
		"in a subshell in a subshell",
		"y=$(x=$(sh -c 'exit 5'); echo $x)",
		"`y=$(x=$(sh -c 'exit 5'); echo $x)` failed (exit 5)",
	],
	["in a pipeline", "true | sh -c 'exit 6' | cat", "`cat` failed (exit 0 | 6 | 0)"],
	["in a function", "f() { [ a = b ]; }; f", "`[ a = b ]` failed (exit 1)"],
] as const) {
	test(`a failure ${what} is said once`, async (t) => {
		const { stderr } = await step(host(t), "apply", `apply() { ${body}; say 'went on'; }`);
		t.regex(stderr, /^tracelab: test: \S+:\d+: /);
		t.is(stderr.replace(/: \S+:\d+:/, ":"), `tracelab: test: ${said}\n${mend}`);
	});
}

for (const [what, body, code, said] of [
	["that a condition looks at", "if false; then :; fi; false || :; ! true; x=$(false) || :", 0, ""],
	["that a subshell's caller lets pass", 'echo "$(false)" <(false) >/dev/null', 0, ""],
	[
		"of an error that was said in a subshell",
		"x=$(y=$(die 'it broke' 'mend it'); echo on)",
		1,
		"tracelab: test: it broke\n  what to do: mend it",
	],
	["of an error that was said in a pipeline", "echo one | die 'it broke' | cat", 1, "tracelab: test: it broke"],
	["of a command that run ran", "( run 'making it' false )", 1, undefined],
] as const) {
	test(`a failure ${what} has no words of its own`, async (t) => {
		const scratch = host(t);
		const run = await step(scratch, "apply", `apply() { ${body}; }`);
		t.is(run.code, code);
		const failed = `tracelab: test: making it failed (exit 1); the last lines of ${scratch.root}/var/log/tracelab/quick/test.log:`;
		const carryOn = "  what to do: mend what the log shows, then run up again: it carries on from what was built";
		t.is(run.stderr, said ?? `${failed}\n${carryOn}`);
	});
}

test("a step finds what is in /usr/sbin, which Debian's su leaves out of PATH", async (t) => {
	const { stdout } = await host(t).library("step", 'json_object "$(json_string path):$(json_string "$PATH")"');
	t.true(stdout["path"]?.endsWith(":/usr/sbin:/sbin"), stdout["path"]);
});
