import { statSync, utimesSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { ScratchHost, type StepRun } from "./run-step.ts";

const prefix = "/opt/tracelab/thing/0123456789abcdef";
const cached = "var/cache/tracelab/builds/thing/0123456789abcdef";
const recipe = 'mkdir "$1/bin"; echo program >"$1/bin/program"; echo x >"$1/x"';

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("opt/other", "");
	// Where this machine has one, it would say more.
	scratch.fake("diffoscope", "");
	return scratch;
}

/** A step whose build is `make`, the body of a function that fills the folder $1. */
function thing(
	scratch: ScratchHost,
	verb: string,
	make = recipe,
	stack = "quick",
	pin: Readonly<Record<string, string>> = {},
): Promise<StepRun> {
	const verbs =
		"probe() { build_probe thing; }; apply() { build_apply thing make; }; remove() { build_remove thing; }; rebuild() { build_again thing make; }; thing=thing";
	const pins = Object.entries(pin).map(([fact, value]) => `[${fact}]='${value}'`);
	const text = `pin=(${pins.join(" ")})\nmake() { ${make}\n}\n${verbs}\nstep_main ${verb}`;
	return scratch.library("build", text, {
		prefix,
		stack,
		step: "thing",
	});
}

/** What a step said, with durations as N: tests share the machine. */
function words(run: StepRun): string {
	return run.stderr.replaceAll(/built in \d+ s/g, "built in N s");
}

/** What is at the prefix's place, without the manifest. */
function installed(scratch: ScratchHost): string[] {
	return Object.keys(scratch.tree()).filter(
		(path) => path.startsWith("opt/tracelab") && !path.includes(".tracelab-build"),
	);
}

const whole = ["", "/bin", "/bin/program", "/x"].map((path) => `opt/tracelab/thing/0123456789abcdef${path}`);

test("a build is made once, and the second apply changes nothing and says so", async (t) => {
	const scratch = host(t);
	t.is((await thing(scratch, "probe")).stdout["drift"], `thing is not built (${prefix} is absent)`);
	const first = await thing(scratch, "apply");
	t.is(words(first), "thing built in N s");
	const result = scratch.read(`${prefix}/${facts}/result`).trimEnd();
	t.deepEqual(first.stdout, { prefix, result });
	t.deepEqual(installed(scratch), ["opt/tracelab", "opt/tracelab/thing", ...whole]);
	t.is((await thing(scratch, "probe")).stdout["drift"], "");
	const before = scratch.tree();
	const second = await thing(scratch, "apply", "exit 9");
	t.is(second.stderr, "thing is up to date");
	t.deepEqual(scratch.tree(), before);
});

const facts = ".tracelab-build-record";

test("what a build was made with and came to is noted in it, and the same content is the same result", async (t) => {
	const scratch = host(t);
	scratch.fake("dpkg-query", "printf '%s\\n' 'zlib 2' 'gcc-12 12.2.0-14' 'binutils 2.40-2'; exit 1");
	await thing(scratch, "apply");
	const noted = (fact: string) => scratch.read(`${prefix}/${facts}/${fact}`);
	t.is(noted("build"), "thing/0123456789abcdef\n");
	t.is(noted("tools"), "binutils 2.40-2\ngcc-12 12.2.0-14\nzlib 2\n");
	const result = noted("result");
	t.regex(result, /^[0-9a-f]{64}\n$/);
	const again = async (make: string) => {
		scratch.write(`${prefix}/x`, "changed by hand\n");
		t.is((await thing(scratch, "apply", make)).code, 0);
		return noted("result");
	};
	// When it was built, and what its source's place was, are nobody's content.
	t.is(await again(`${recipe}; touch -d @1 "$1/x"; echo /home/me >"$1/source-version"`), result);
	t.not(await again(`${recipe}; echo y >"$1/x"`), result);
	t.not(await again(`${recipe}; ln -s x "$1/y"`), result);
});

/** A build's pins, as it is when nothing differs. */
async function pins(t: ExecutionContext): Promise<{ scratch: ScratchHost; pin: Record<string, string> }> {
	const scratch = host(t);
	scratch.fake("dpkg-query", "echo 'binutils 2.40-2'; cat \"$root/gcc\"");
	scratch.write("gcc", "gcc-12 12.2.0-14\n");
	await thing(scratch, "apply");
	const names = ["build", "result", "tools"];
	const pin = Object.fromEntries(names.map((fact) => [fact, scratch.read(`${prefix}/${facts}/${fact}`).trimEnd()]));
	return { scratch, pin };
}

test("a build that is as the lock pins it is built once, and one that came to the same of other tools is the same", async (t) => {
	const { scratch, pin } = await pins(t);
	for (const more of [{}, { tools: "binutils 2.39-1" }]) {
		t.is((await thing(scratch, "probe", "exit 9", "quick", { ...pin, ...more })).stdout["drift"], "");
		t.is((await thing(scratch, "apply", "exit 9", "quick", { ...pin, ...more })).stderr, "thing is up to date");
	}
});

test("a build that is there and is not what the lock pins is drift, and is made again", async (t) => {
	const { scratch, pin } = await pins(t);
	scratch.write(`${prefix}/x`, "by hand\n");
	await thing(scratch, "apply", `${recipe}; echo y >"$1/x"`);
	const drift = `result of ${prefix} is not what the lock pins`;
	t.is((await thing(scratch, "probe", recipe, "quick", pin)).stdout["drift"], drift);
	const { stderr } = await thing(scratch, "apply", recipe, "quick", pin);
	t.is(stderr.split("\n")[0], `thing: ${drift}: building it again`);
	t.is((await thing(scratch, "probe", recipe, "quick", pin)).stdout["drift"], "");
});

test("what a pull brought takes the place of a build that is not what the lock pins, and is not built", async (t) => {
	const { scratch, pin } = await pins(t);
	await scratch.bash(
		`mkdir -p '${scratch.root}/${cached}'; cp -a '${scratch.root}${prefix}/.' '${scratch.root}/${cached}'`,
	);
	scratch.write(`${prefix}/x`, "by hand\n");
	await thing(scratch, "apply", `${recipe}; echo y >"$1/x"`);
	const { code, stderr } = await thing(scratch, "apply", "exit 9", "quick", pin);
	t.deepEqual([code, stderr], [0, "thing taken from the cache\nthing is up to date"]);
	t.is(scratch.read(`${prefix}/x`), "x\n");
	t.false(`${cached}/x` in scratch.tree());
	t.is((await thing(scratch, "probe", "exit 9", "quick", pin)).stdout["drift"], "");
});

test("a build that came to something else than the lock pins is refused, and what was there stays", async (t) => {
	const { scratch, pin } = await pins(t);
	const wrong = { ...pin, result: "0".repeat(64) };
	const before = installed(scratch);
	const { code, stderr } = await thing(scratch, "apply", recipe, "quick", wrong);
	t.is(code, 1);
	t.deepEqual(stderr.split("\n").slice(1), [
		`tracelab: thing: the lock pins result ${wrong.result}, and here it is ${pin["result"]}`,
		"  what to do: nothing was installed; ./lab rebuild --check thing -s quick tells whether it comes out the same twice, or: ./lab lock --update thing -s quick",
	]);
	t.deepEqual(installed(scratch), before);
});

test("a build that is made of its inputs alone has no sources, and one that is not there cannot tell", async (t) => {
	const scratch = host(t);
	await thing(scratch, "apply");
	t.deepEqual((await thing(scratch, "sources", "exit 9")).stdout, { files: "" });
	await thing(scratch, "remove");
	const { code, stderr } = await thing(scratch, "sources");
	t.is(code, 1);
	t.is(stderr, `tracelab: thing: thing is not built (${prefix} is absent)\n  what to do: run up first`);
});

test("other tools than the lock pins are an error before anything is built", async (t) => {
	const { scratch, pin } = await pins(t);
	scratch.write("gcc", "gcc-13 13.1\n");
	scratch.write(`${prefix}/x`, "by hand\n");
	const { code, stderr } = await thing(scratch, "apply", 'echo built >"$root/built"', "quick", pin);
	t.is(code, 1);
	t.deepEqual(stderr.split("\n").slice(1), [
		"tracelab: thing: the lock pins tools gcc-12 12.2.0-14, and here it is gcc-13 13.1",
		"  what to do: go back to what the lock pins, or: ./lab lock --update thing -s quick; or, for all builds at once: ./lab lock --update -s quick",
	]);
	t.false(Object.keys(scratch.tree()).includes("built"));
});

test("what a build would be made of now is told without building it, whatever the lock pins", async (t) => {
	const { scratch, pin } = await pins(t);
	scratch.write("gcc", "gcc-13 13.1\n");
	const before = installed(scratch);
	t.deepEqual((await thing(scratch, "inputs", "exit 9", "quick", pin)).stdout, {
		build: "thing/0123456789abcdef",
		tools: "binutils 2.40-2\ngcc-13 13.1",
	});
	t.deepEqual(installed(scratch), before);
});

test("a build of an older tracelab, which noted nothing, is up to date, and comes to what is not known", async (t) => {
	const scratch = host(t);
	await thing(scratch, "apply");
	await scratch.bash(`cd '${scratch.root}${prefix}'; rm -r ${facts}; sed -i '/${facts}/d' .tracelab-build`);
	const { stderr, stdout } = await thing(scratch, "apply", "exit 9");
	t.deepEqual([stderr, stdout], ["thing is up to date", { prefix }]);
});

test("a build that comes out the same when it is made again is said so, and stays as it is", async (t) => {
	const scratch = host(t);
	await thing(scratch, "apply");
	const before = scratch.tree();
	const { code, stderr, stdout } = await thing(scratch, "rebuild");
	t.deepEqual(
		{ code, stderr, stdout },
		{
			code: 0,
			stderr: "thing: all of its 2 files are the same when built again",
			stdout: { files: "2", differing: "" },
		},
	);
	t.deepEqual(scratch.tree(), before);
});

test("each file that is another one when a build is made again is named: changed, added, gone, or a link elsewhere", async (t) => {
	const scratch = host(t);
	await thing(scratch, "apply", `${recipe}; ln -s x "$1/link"; : >"$1/first only"`);
	const other = 'mkdir "$1/bin"; echo "$work" >"$1/bin/program"; echo x >"$1/x"; ln -s bin "$1/link"; : >"$1/second"';
	const { code, stderr, stdout } = await thing(scratch, "rebuild", other);
	t.is(code, 0);
	t.is(stderr, "thing: 4 of its 4 files are not the same when built again");
	t.deepEqual(stdout, { files: "4", differing: "bin/program\nfirst only\nlink\nsecond" });
	t.is(scratch.read(`${prefix}/bin/program`), "program\n");
});

test("where the tools are others than those that a build was made with, and it comes out otherwise, that is said", async (t) => {
	const scratch = host(t);
	scratch.fake("dpkg-query", `echo 'binutils 2.40-2'; cat "$root/gcc"`);
	scratch.write("gcc", "gcc-12 12.2.0-14\n");
	await thing(scratch, "apply");
	scratch.write("gcc", "gcc-12 12.2.0-14+deb12u1\n");
	t.deepEqual((await thing(scratch, "rebuild")).stdout, { files: "2", differing: "" });
	const { stderr, stdout } = await thing(scratch, "rebuild", `${recipe}; echo y >"$1/x"`);
	const tools = "was made with gcc-12 12.2.0-14, and now with gcc-12 12.2.0-14+deb12u1";
	t.deepEqual(stderr.split("\n"), ["thing: 1 of its 2 files are not the same when built again", `thing ${tools}`]);
	t.deepEqual(stdout, { files: "2", differing: "x", tools });
});

test("what differs is told by diffoscope where it is installed: as long as a page, and all of it in the log", async (t) => {
	const scratch = host(t);
	await thing(scratch, "apply");
	scratch.fake("diffoscope", 'echo "$1 $2 $3: $(cat "$4") is now $(cat "$5")"; seq 2 100000; exit 1');
	const { stdout } = await thing(scratch, "rebuild", `${recipe}; echo y >"$1/x"`);
	const said = ["--new-file --text -: x is now y", ...Array.from({ length: 99_999 }, (_, line) => String(line + 2))];
	t.deepEqual(stdout, { files: "2", differing: "x", difference: said.slice(0, 40).join("\n") });
	t.is(scratch.read("var/log/tracelab/quick/thing.log"), `${said.join("\n")}\n`);
});

test("a build that is not there, or not as it was built, is not made a second time", async (t) => {
	const scratch = host(t);
	t.is(
		(await thing(scratch, "rebuild")).stderr,
		`tracelab: thing: thing is not built (${prefix} is absent)\n  what to do: run up first`,
	);
	await thing(scratch, "apply");
	scratch.write(`${prefix}/x`, "changed\n");
	t.is(
		(await thing(scratch, "rebuild")).stderr,
		`tracelab: thing: ${prefix}/x is not as it was built\n  what to do: run up first: it mends that`,
	);
});

test("a second making that fails leaves the build as it is, and nothing else", async (t) => {
	const scratch = host(t);
	await thing(scratch, "apply");
	const { code, stderr } = await thing(scratch, "rebuild", 'die "no compiler" "install one"');
	t.deepEqual([code, stderr], [1, "tracelab: thing: no compiler\n  what to do: install one"]);
	t.deepEqual(installed(scratch), ["opt/tracelab", "opt/tracelab/thing", ...whole]);
});

test("a build that fails leaves nothing at its place", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await thing(scratch, "apply", 'echo half >"$1/half"; die "no compiler" "install one"');
	t.is(code, 1);
	t.is(stderr, "tracelab: thing: no compiler\n  what to do: install one");
	t.deepEqual(installed(scratch), ["opt/tracelab", "opt/tracelab/thing"]);
	t.is(words(await thing(scratch, "apply")), "thing built in N s");
});

test("a build that is killed half way leaves nothing that looks whole, and the next apply makes it", async (t) => {
	const scratch = host(t);
	t.not((await thing(scratch, "apply", 'echo half >"$1/half"; kill -9 $$')).code, 0);
	t.is((await thing(scratch, "probe")).stdout["drift"], `thing is not built (${prefix} is absent)`);
	await thing(scratch, "apply");
	t.deepEqual(installed(scratch), ["opt/tracelab", "opt/tracelab/thing", ...whole]);
});

for (const [what, harm] of [
	["removed", "rm"],
	["made longer", "echo more >>"],
	["touched", "touch -d 2020-01-01"],
] as const) {
	test(`a file of a build that was ${what} is drift, and the build is made again`, async (t) => {
		const scratch = host(t);
		await thing(scratch, "apply");
		await scratch.bash(`${harm} '${scratch.root}${prefix}/bin/program'`);
		const sentence = `${prefix}/bin/program is not as it was built`;
		t.is((await thing(scratch, "probe")).stdout["drift"], sentence);
		t.is(words(await thing(scratch, "apply")), `thing: ${sentence}: building it again\nthing built in N s`);
		t.is((await thing(scratch, "probe")).stdout["drift"], "");
	});
}

test("of the trees that are too large for the manifest, a landmark that is gone is drift, and the build is made again", async (t) => {
	const scratch = host(t);
	const step = (verb: string) =>
		scratch.library(
			"build",
			`thing=thing landmarks=(build/Makefile source)
			build() { mkdir "$1/build" "$1/source"; : >"$1/build/Makefile"; : >"$1/source/a.c"; }
			step_main ${verb}`,
			{ prefix, step: "thing" },
		);
	await step("apply");
	t.is((await step("probe")).stdout["drift"], "");
	t.notRegex(scratch.read(`${prefix}/.tracelab-build`), / (build|source)/, "builds of before have none in it");
	for (const [folder, landmark] of [
		["build", "build/Makefile"],
		["source", "source"],
	]) {
		await scratch.bash(`rm -r '${scratch.root}${prefix}/${folder}'`);
		const sentence = `${prefix}/${landmark} is not as it was built`;
		t.is((await step("probe")).stdout["drift"], sentence);
		t.is(words(await step("apply")), `thing: ${sentence}: building it again\nthing built in N s`);
		t.is((await step("probe")).stdout["drift"], "");
	}
});

test("a damaged build stays as it is when it cannot be made again", async (t) => {
	const scratch = host(t);
	await thing(scratch, "apply");
	await scratch.bash(`rm '${scratch.root}${prefix}/x'`);
	t.is((await thing(scratch, "apply", 'die "no compiler"')).code, 1);
	t.is(scratch.read(`${prefix}/bin/program`), "program\n");
	t.is((await thing(scratch, "probe")).stdout["drift"], `${prefix}/x is not as it was built`);
});

test("the last stack's remove moves the build into the cache, from where the next apply takes it", async (t) => {
	const scratch = host(t);
	await thing(scratch, "apply");
	utimesSync(`${scratch.root}${prefix}`, 0, 0);
	t.is((await thing(scratch, "probe", recipe, "other")).stdout["drift"], "thing is built, not yet used by stack other");
	t.is((await thing(scratch, "apply", "exit 9", "other")).stderr, "thing is up to date");
	t.is((await thing(scratch, "remove")).stderr, "thing is kept: another stack uses it");
	t.is(scratch.read(`${prefix}/x`), "x\n");
	t.is((await thing(scratch, "remove", recipe, "other")).stderr, "");
	t.deepEqual(Object.keys(scratch.hostTree()), ["opt", "opt/other"]);
	t.is(scratch.read(`${cached}/x`), "x\n");
	t.true(Date.now() - statSync(`${scratch.root}/${cached}`).mtimeMs < 60_000, "its time is when it was let go");
	t.is((await thing(scratch, "apply", "exit 9")).stderr, "thing taken from the cache\nthing is up to date");
	t.is((await thing(scratch, "probe")).stdout["drift"], "");
	t.false(Object.keys(scratch.tree()).includes(cached));
});

test("a build that another stack made again is drift, and the next apply takes over its result, without building", async (t) => {
	const scratch = host(t);
	const was = (await thing(scratch, "apply")).stdout["result"] ?? "";
	await thing(scratch, "apply", recipe, "other");
	scratch.write(`${prefix}/x`, "by hand\n");
	const is = (await thing(scratch, "apply", `${recipe}; echo y >"$1/x"`, "other")).stdout["result"] ?? "";
	t.is((await thing(scratch, "probe", recipe, "other")).stdout["drift"], "");
	t.is((await thing(scratch, "probe")).stdout["drift"], another(is, was));
	const { stdout, stderr } = await thing(scratch, "apply", "exit 9");
	t.deepEqual({ stdout, stderr }, { stdout: { prefix, result: is }, stderr: "thing is up to date" });
	t.is((await thing(scratch, "probe")).stdout["drift"], "");
});

const another = (is: string, was: string) =>
	`thing is another build than at the last up of stack quick: its result is ${is.slice(0, 12)}, and was ${was.slice(0, 12)}`;

test("a build that another stack made again is what the lock pins, or that alone is said, and it is made as the lock has it", async (t) => {
	const { scratch, pin } = await pins(t);
	scratch.write(`${prefix}/x`, "by hand\n");
	const is = (await thing(scratch, "apply", `${recipe}; echo y >"$1/x"`, "other")).stdout["result"] ?? "";
	const driftAs = async (result: string) =>
		(await thing(scratch, "probe", recipe, "quick", { ...pin, result })).stdout["drift"];
	t.is(await driftAs(is), another(is, pin["result"] ?? ""));
	t.is(await driftAs(pin["result"] ?? ""), `result of ${prefix} is not what the lock pins`);
	t.is((await thing(scratch, "apply", recipe, "quick", pin)).stdout["result"], pin["result"]);
	t.is(await driftAs(pin["result"] ?? ""), "");
});

test("a build that was made again, and whose apply was killed before it was known, is drift", async (t) => {
	const scratch = host(t);
	const was = (await thing(scratch, "apply")).stdout["result"] ?? "";
	scratch.write(`${prefix}/x`, "by hand\n");
	const killed = `${recipe}; echo y >"$1/x"; output() { kill -9 $$; }`;
	t.not((await thing(scratch, "apply", killed)).code, 0);
	const is = scratch.read(`${prefix}/${facts}/result`);
	t.is((await thing(scratch, "probe")).stdout["drift"], another(is, was));
});

test("a build whose result is known on one side only is drift; where an older tracelab applied it, nothing is known", async (t) => {
	const scratch = host(t);
	const was = (await thing(scratch, "apply")).stdout["result"] ?? "";
	const printed = "var/lib/tracelab/printed/quick/thing";
	t.is(scratch.read(printed), `g\n{"prefix":"${prefix}","result":"${was}"}\n`);
	for (const [what, text] of [
		["nothing was noted", `g\n{"prefix":"${prefix}"}\n`],
		["the apply was killed before its stamp", `h\n{"prefix":"${prefix}","result":"${was}"}\n`],
	] as const) {
		scratch.write(printed, text);
		const { stdout } = await thing(scratch, "probe");
		t.deepEqual(stdout, { drift: another(was, "not noted"), stamp: "g" }, what);
	}
	for (const nothing of ["", `g\n{"prefix":"${prefix.replaceAll("0", "f")}","result":"${was}"}\n`]) {
		scratch.write(printed, nothing);
		t.deepEqual((await thing(scratch, "probe")).stdout, { drift: "", stamp: "g" });
	}
});

test("a move into the cache that was killed half way is no build", async (t) => {
	const scratch = host(t);
	await thing(scratch, "apply");
	const killed = 'mv() { command mv "$@"; kill -9 $$; }';
	await scratch.library(
		"build",
		`${killed}\nprobe() { :; }; apply() { :; }; remove() { build_remove thing; }\nstep_main remove`,
		{
			prefix,
		},
	);
	t.is(words(await thing(scratch, "apply")), "thing built in N s");
});

test("where the cache is another file system, a build that finds no room there, or back, is an error, and stays where it is", async (t) => {
	const scratch = host(t);
	const moving = (verb: "apply" | "remove", full = true) =>
		scratch.library(
			"build",
			`device() { printf %s "$1"; }
			cp() {
				[ "${full} $1" = 'true -aT' ] || { command cp "$@"; return; }
				mkdir "$3"; echo half >"$3/x"
				printf "cp: error writing '%s': No space left on device\\n" x y >&2
				return 1
			}
			thing=thing; build() { exit 9; }; probe() { :; }; step_main ${verb}`,
			{ prefix, step: "thing" },
		);
	const [here, there] = [`${scratch.root}${prefix}`, `${scratch.root}/${cached}`];
	const error = (from: string, to: string) =>
		`tracelab: thing: ${from} cannot be moved to ${to}: cp: error writing 'x': No space left on device
  what to do: mend that (a full disk: df -h /opt /var), then do it again`;
	const below = (folder: string) =>
		Object.entries(scratch.tree()).flatMap(([path, fact]) =>
			path.startsWith(`${folder}/`) ? [`${path.slice(folder.length)} ${fact}`] : [],
		);
	await thing(scratch, "apply");
	const build = below(prefix.slice(1));
	t.like(await moving("remove"), { code: 1, stderr: error(here, there) });
	t.deepEqual([below(prefix.slice(1)), below(cached)], [build, []]);
	t.is((await moving("remove", false)).code, 0);
	t.deepEqual([below(prefix.slice(1)), below(cached)], [[], build]);
	t.like(await moving("apply"), { code: 1, stderr: error(there, here) });
	t.deepEqual([below(prefix.slice(1)), below(cached)], [[], build]);
	t.is((await moving("apply", false)).stderr, "thing taken from the cache\nthing is up to date");
	t.deepEqual(below(prefix.slice(1)), build);
});

test("how long a build took, and how much of the disk, is kept, of itself and of its kind, and a build that is taken from the cache changes nothing", async (t) => {
	const scratch = host(t);
	const kept = (what: string) =>
		["0123456789abcdef", "last"].map((name) => `var/cache/tracelab/durations/thing/${name}.${what}`);
	const durations = kept("built");
	await thing(scratch, "apply");
	for (const file of durations) t.regex(scratch.read(file), /^\d+\n$/);
	// A file of at least a block.
	for (const file of kept("bytes")) t.true(Number(scratch.read(file)) >= 4096);
	for (const file of durations) scratch.write(file, "1324\n");
	await thing(scratch, "remove");
	await thing(scratch, "apply", "exit 9");
	t.deepEqual(
		durations.map((file) => scratch.read(file)),
		["1324\n", "1324\n"],
	);
});

test("builds of one kind that end at the same time are all remembered", async (t) => {
	const scratch = host(t);
	const builds = ["1", "2", "3"].map((digit) => `/opt/tracelab/thing/${digit.repeat(16)}`);
	const runs = await Promise.all(
		builds.map((prefix) => scratch.library("build", "for n in {1..40}; do remember bytes $n; done", { prefix })),
	);
	for (const { code, stderr } of runs) t.is(code, 0, stderr);
	for (const name of ["1", "2", "3"].map((digit) => digit.repeat(16)).concat("last"))
		t.is(scratch.read(`var/cache/tracelab/durations/thing/${name}.bytes`), "40\n");
});

test("removing what was never built is nothing", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await thing(scratch, "remove");
	t.is(code, 0);
	t.is(stderr, "");
	t.deepEqual(Object.keys(scratch.hostTree()), ["opt", "opt/other"]);
});

test("a long command says how far it is, by the steps that it prints", async (t) => {
	const scratch = host(t);
	const progress = (text: string, elapsed: number) =>
		scratch.library("build", `log_command make; printf '${text}' >>"$log_file"; say_progress compiling ${elapsed}`, {
			prefix,
		});
	t.is((await progress("[1/8] a\\n[2/8] b\\n", 30)).stderr, "test: compiling: 25 %, 2 of 8, 1 min 30 s left");
	t.is((await progress("CC a\\nCC b\\n", 30)).stderr, "test: compiling: 30 s so far");
	await scratch.library("build", "remember lines 4; remember seconds 20", { prefix });
	t.is((await progress("CC a\\nCC b\\n", 30)).stderr, "test: compiling: 50 %, 10 s left");
	t.is((await progress("CC a\\n", 0)).stderr, "test: compiling: 25 %, 15 s left");
});

test("a long command that fails ends the step with its last lines", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await thing(scratch, "apply", "run_long 'compiling the thing' sh -c 'echo oops; exit 3'");
	t.is(code, 1);
	t.is(
		stderr,
		[
			`tracelab: thing: compiling the thing failed (exit 3); the last lines of ${scratch.root}/var/log/tracelab/quick/thing.log:`,
			"  | oops",
			"  what to do: mend what the log shows, then run up again: it carries on from what was built",
		].join("\n"),
	);
});

test("a compiler without memory is said to lack it, and the next apply makes the build that one with memory makes", async (t) => {
	const numbers = `int a[] = {${Array.from({ length: 400_000 }, (_, i) => i).join()}};`;
	const compiling = (scratch: ScratchHost, limit = "") =>
		`cd ${scratch.root}; run_long compiling sh -c '${limit} gcc -c -o "$0/big.o" big.c' "$1"`;
	const [scratch, other] = [host(t), host(t)];
	for (const each of [scratch, other]) each.write("big.c", numbers);
	const limited = compiling(scratch, 'echo half >"$0/half"; ulimit -v 90000;');
	const { code, stderr } = await thing(scratch, "apply", limited);
	t.is(code, 1);
	t.regex(
		stderr,
		/what to do: there is too little memory for it \(free -h\): end other programs or add swap, then run/,
	);
	t.deepEqual(installed(scratch), ["opt/tracelab", "opt/tracelab/thing"]);
	const next = await thing(scratch, "apply", compiling(scratch));
	t.regex(words(next), /(?:^|\n)thing built in N s$/);
	t.deepEqual(installed(scratch).slice(2), [whole[0], `${whole[0]}/big.o`]);
	t.deepEqual(next.stdout, (await thing(other, "apply", compiling(other))).stdout);
	t.is((await thing(scratch, "probe")).stdout["drift"], "");
});

for (const signal of ["TERM", "KILL"]) {
	test(`a long command dies with its step, by ${signal}`, async (t) => {
		const scratch = host(t);
		const pidFile = `${scratch.root}/pid`;
		const long = `run_long compiling sh -c 'echo $$ >${pidFile}; exec sleep 60'`;
		const killer = `(while [ ! -s ${pidFile} ]; do sleep 0.05; done; kill -${signal} $$) & `;
		t.not((await thing(scratch, "apply", `${killer} ${long}`)).code, 0);
		const gone = `for i in $(seq 40); do kill -0 "$(cat ${pidFile})" 2>/dev/null || exit 0; sleep 0.05; done; exit 1`;
		t.is((await execa("bash", ["-c", gone], { reject: false })).exitCode, 0);
	});
}

test("debug information names the prefix, whatever was compiled under the name of another", async (t) => {
	const scratch = host(t);
	const file = scratch.write("file", "\0/opt/tracelab/thing/0000000000000000/source\0");
	await scratch.library("build", `named_here '${file}'`, { prefix });
	t.is(scratch.read("file"), `\0${prefix}/source\0`);
});
