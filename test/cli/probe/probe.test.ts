import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { project } from "../../../cli/host.ts";
import { recorder } from "../../../cli/runs/recorder.ts";
import { asRoot } from "../../as-root.ts";
import { note } from "../elf-file.ts";
import { FakeGuest } from "../fake-guest.ts";
import { card, ScratchLab } from "../scratch-lab.ts";
import { compiledModule, fakeStap, kernel } from "../scratch-probe.ts";

// One at a time, since each starts Node. `./lab probe` as a whole: what it looks at, runs, keeps and says.

const buildId = "ab".repeat(20);
const prefix = "/opt/tracelab/probe/0123456789abcdef";
const shared = "/var/lib/tracelab/domains/quickstart-vm/root/probes";
const point = 'module("mine").function("f@/mine.c:3")';
const own = 'module("mine").function("f")';
const reportOf = (hits: number) =>
	`----- probe hit report: \n${hits === 0 ? "" : `${point}, (mine.stp:1:1), hits: ${hits}, cycles: 1min/1avg/1max, variance: 0, from: ${own}, index: 0\n`}----- refresh report:\n`;

/**
 * A lab with a compiled probe `mine` for a guest of the right kernel whose module is loaded. The guest's staprun runs
 * `body` and then reports so many hits, or hits when it is told to end.
 */
async function there(t: ExecutionContext, body: string, hits: number): Promise<{ lab: ScratchLab; guest: FakeGuest }> {
	const lab = await ScratchLab.for(t);
	const script = lab.write("home/mine.stp", "probe …\n");
	lab.up({ ...card, probes: { mine: { domain: "vm", script, prefix, module: "stap_mine" } } });
	lab.write(`${kernel}/build-id`, `${buildId}\n`);
	lab.write(`${kernel}/release`, "6.1.0\n");
	lab.write(`${prefix}/kernel`, `${buildId}\n`);
	lab.write(`${prefix}/points`, `begin\tbegin\n${point}\t${own}\n`);
	lab.write(`${prefix}/mine.stp`, "probe …\n");
	for (const folder of [prefix, shared, "lab/probes"]) lab.write(`${folder}/stap_mine.ko`, compiledModule);
	lab.write("sys/module/mine/initstate", "live");
	writeFileSync(lab.write("sys/kernel/notes", ""), note("GNU", 3, Buffer.from(buildId, "hex")));
	const staprun = ["#!/bin/sh", `end() { printf -- '${reportOf(hits)}'; exit 0; }`, body, "end"].join("\n");
	lab.write("guest-bin/staprun", `${staprun}\n`, 0o755);
	const guest = await FakeGuest.on(lab);
	t.teardown(() => guest.close());
	return { lab, guest };
}

/** The output file of the only run. */
function kept(lab: ScratchLab): string {
	const runs = readdirSync(join(lab.root, "var/lib/tracelab/runs/quickstart"));
	if (runs.length !== 1) throw new Error(`there are ${runs.length} runs`);
	return `/var/lib/tracelab/runs/quickstart/${runs[0]}/output`;
}

const waits = "trap end TERM; while :; do sleep 0.1; done";

asRoot("a probe's output is ours and is kept, and its hits are counted", async (t) => {
	const { lab } = await there(t, 'echo "one $*"; printf two', 2);
	const { code, stdout, stderr } = await lab.lab(["probe", "run", "mine"]);
	t.is(stdout, `one ${lab.root}/lab/probes/stap_mine.ko\ntwo`);
	const file = kept(lab);
	t.regex(file, /\/probe-mine-\d{8}T\d{6}Z\/output$/);
	t.is(lab.read(file), stdout);
	t.deepEqual(
		[code, stderr],
		[
			0,
			`lab: mine probes vm; Ctrl-C ends it\nlab: the output of mine is kept in ${lab.root}${file}\nlab: 2 hits of ${own}`,
		],
	);
});

asRoot("a run of a probe keeps its script, and what ran on what", async (t) => {
	const { lab } = await there(t, "", 1);
	await lab.lab(["probe", "run", "mine"]);
	const folder = dirname(kept(lab));
	t.is(lab.read(`${folder}/mine.stp`), "probe …\n");
	const { started, tracelab, commit, cli, hostKernel, ...what } = JSON.parse(lab.read(`${folder}/probe.json`));
	t.deepEqual(what, {
		stack: "quickstart",
		run: basename(folder),
		probe: "mine",
		domain: "vm",
		kernel: buildId,
		lab: card.hashes,
	});
	t.true(Date.now() - Date.parse(started) < 60_000);
	t.deepEqual({ tracelab, cli, hostKernel, ...(commit !== undefined && { commit }) }, await recorder());
});

asRoot("a probe whose time is up ends well, and its end is waited for", async (t) => {
	const { lab } = await there(t, `echo begun; ${waits}`, 1);
	const { code, stdout, stderr } = await lab.lab(["probe", "run", "-t", "0.5", "mine"]);
	t.deepEqual([code, stdout], [0, "begun"]);
	t.is(stderr.split("\n")[0], "lab: mine probes vm for 0.5 s");
	t.is(stderr.split("\n").at(-1), `lab: 1 hit of ${own}`);
});

asRoot("Ctrl-C ends a probe well, whose output nobody removes before", async (t) => {
	const { lab, guest } = await there(t, `echo begun; ${waits}`, 3);
	const child = spawn(process.execPath, [`${project}/cli/main.ts`, "probe", "run", "mine"], {
		detached: true,
		env: lab.env,
		stdio: ["ignore", "pipe", "pipe"],
	});
	let [out, said] = ["", ""];
	child.stdout.on("data", (bytes) => {
		out += bytes;
	});
	child.stderr.on("data", (bytes) => {
		said += bytes;
	});
	const ended = new Promise((resolve) => child.once("close", resolve));
	while (!out.includes("begun")) await pause(20);
	const { code, stderr } = await lab.lab(["trace", "rm", "--all", "-y"]);
	t.deepEqual([code, /^lab: run "probe-mine-\w+" is being recorded\n/.test(stderr)], [1, true], stderr);
	process.kill(-(child.pid ?? 0), "SIGINT");
	t.is(await ended, 0);
	t.is(said.trimEnd().split("\n").at(-1), `lab: 3 hits of ${own}`);
	t.is(lab.read(kept(lab)), out);
	t.deepEqual(guest.openFiles, []);
});

asRoot("a probe that never fired is an error that says what to do", async (t) => {
	const { lab } = await there(t, "", 0);
	const { code, stdout, stderr } = await lab.lab(["probe", "run", "mine"]);
	t.deepEqual([code, stdout, lab.read(kept(lab))], [1, "", ""]);
	t.is(
		stderr.split("\n").slice(2).join("\n"),
		`lab: probe "mine" never fired: no hit of ${own}
  what to do: have the guest call it while the probe runs, from another terminal: ./lab exec vm -- COMMAND`,
	);
});

asRoot("a probe that never fired because its module is not loaded says so", async (t) => {
	const { lab } = await there(t, 'rm -r "${0%/guest-bin/*}/sys/module/mine"', 0);
	const { code, stderr } = await lab.lab(["probe", "run", "mine"]);
	t.is(code, 1);
	t.is(stderr.split("\n").at(-1), "  what to do: module mine is not loaded in vm: ./lab exec vm -- modprobe mine");
});

asRoot("of several things that a script waits for, those that never came are named", async (t) => {
	const { lab } = await there(t, "", 2);
	lab.write(`${prefix}/points`, `${point}\t${own}\nkernel.function("g@/g.c:1")\tkernel.function("g")\n`);
	const { code, stderr } = await lab.lab(["probe", "run", "mine"]);
	t.is(code, 0);
	t.deepEqual(stderr.split("\n").slice(2), [`lab: 2 hits of ${own}`, 'lab: never hit: kernel.function("g")']);
});

asRoot("a module that its run left behind is unloaded", async (t) => {
	const { lab } = await there(
		t,
		`me=\${0%/guest-bin/*}
		if [ "$1" = -d ]; then rm -r "$me/sys/module/$2"; exit; fi
		mkdir "$me/sys/module/stap_mine"`,
		1,
	);
	t.is((await lab.lab(["probe", "run", "mine"])).code, 0);
	t.false(existsSync(join(lab.root, "sys/module/stap_mine")));
});

asRoot("a probe whose output finds no room is ended, and its module is unloaded", async (t) => {
	const { lab, guest } = await there(
		t,
		`me=\${0%/guest-bin/*}
		if [ "$1" = -d ]; then rm -r "$me/sys/module/$2"; exit; fi
		mkdir "$me/sys/module/stap_mine"
		trap 'touch "$me/ended"; exit' TERM
		head -c 100000 /dev/zero
		while :; do sleep 0.1; done`,
		0,
	);
	const runs = join(lab.root, "var/lib/tracelab/runs/quickstart");
	mkdirSync(runs, { recursive: true });
	// A disk of a few pages, which nobody else sees.
	const small = 'mount -t tmpfs -o size=16k none "$0" && exec "$@"';
	const { exitCode, stdout, stderr } = await execa(
		"unshare",
		["--mount", "sh", "-c", small, runs, process.execPath, `${project}/cli/main.ts`, "probe", "run", "mine"],
		{ env: lab.env, extendEnv: false, reject: false },
	);
	t.deepEqual(
		[exitCode, stdout.length, stderr.replace(/probe-mine-\w+/, "RUN")],
		[
			1,
			100_000,
			`lab: mine probes vm; Ctrl-C ends it
lab: the output of mine is kept in ${runs}/RUN/output
lab: ENOSPC: no space left on device, write
  what to do: make room (df -h shows on which disk), then say it again`,
		],
	);
	t.true(existsSync(join(lab.root, "ended")));
	t.false(existsSync(join(lab.root, "sys/module/stap_mine")));
	t.deepEqual(guest.openFiles, []);
});

const fails = test.macro({
	title: (_, what: string) => `no run: ${what}`,
	async exec(t, _what: string, prepare: (lab: ScratchLab) => void, args: string[], code: number, stderr: string) {
		const { lab } = await there(t, "echo never", 1);
		prepare(lab);
		const ran = await lab.lab(["probe", "run", ...args]);
		t.deepEqual(ran, { code, stdout: "", stderr: stderr.replaceAll("ROOT", lab.root) });
	},
});

const nothing = () => {};

asRoot(
	fails,
	"the guest's kernel is not the one that the probe is for",
	(lab) => lab.write(`${prefix}/kernel`, `${"cd".repeat(20)}\n`),
	["mine"],
	1,
	`lab: probe "mine" is for a kernel with build-id ${"cd".repeat(20)}, and "vm" runs one with ${buildId}
  what to do: ./lab up starts vm on the kernel that belongs to it`,
);
asRoot(
	fails,
	"another run is there",
	(lab) => lab.write("sys/module/stap_mine/initstate", "live"),
	["mine"],
	1,
	`lab: probe "mine" runs in "vm" already
  what to do: end that run; where it was killed: ./lab exec vm -- staprun -d stap_mine`,
);
asRoot(
	fails,
	"the guest does not see the share",
	(lab) => lab.bash('rm "$TRACELAB_ROOT/lab/probes/stap_mine.ko"'),
	["mine"],
	1,
	`lab: "vm" does not see /lab/probes/stap_mine.ko
  what to do: its share with this host is not there; a guest that is started anew has it: virsh destroy quickstart-vm, then ./lab up`,
);
asRoot(
	fails,
	"it is not compiled",
	(lab) => lab.bash(`rm "$TRACELAB_ROOT${shared}/stap_mine.ko"`),
	["mine"],
	1,
	'lab: probe "mine" is not compiled\n  what to do: ./lab up compiles it',
);
asRoot(
	fails,
	"the lab has no such probe",
	nothing,
	["mien"],
	2,
	`lab: the lab of stack "quickstart" has no probe "mien" (did you mean "mine"?)
  what to do: its probes: mine; a script that the stack file does not name is given as a file: ./lab probe run FILE.stp`,
);
asRoot(
	fails,
	"it is another domain's",
	nothing,
	["-d", "held", "mine"],
	2,
	`lab: probe "mine" is compiled for domain "vm", not for "held"
  what to do: leave -d out, or give the script as a file`,
);
asRoot(
	fails,
	"a script for one of two domains",
	nothing,
	["/nowhere.stp"],
	2,
	"lab: for which domain?\n  what to do: say it with -d; the domains there are: held, vm",
);
asRoot(
	fails,
	"a script that is not there",
	nothing,
	["-d", "vm", "/nowhere.stp"],
	2,
	"lab: /nowhere.stp cannot be read\n  what to do: give the path of a SystemTap script that is there",
);

asRoot("a staprun that fails is an error, after its own words", async (t) => {
	const { lab } = await there(t, "echo 'ERROR: no' >&2; exit 1", 1);
	const { code, stderr } = await lab.lab(["probe", "run", "mine"]);
	t.is(code, 1);
	t.deepEqual(stderr.split("\n").slice(1), [
		"ERROR: no",
		`lab: the output of mine is kept in ${lab.root}${kept(lab)}`,
		'lab: staprun ended with 1: probe "mine" did not run to its end',
		"  what to do: its words are above; the kernel's: ./lab exec vm -- dmesg",
	]);
});

asRoot("a QEMU that crashes under a probe is an error, and leaves what the probe had said", async (t) => {
	const { lab, guest } = await there(t, 'echo last; touch "${0%/guest-bin/*}/said"; sleep 60', 1);
	const run = lab.lab(["probe", "run", "mine"]);
	while (!existsSync(join(lab.root, "said"))) await pause(20);
	// What it said is ours after a second.
	await pause(2000);
	guest.reason = "crashed";
	guest.state = "shut off";
	const { code, stdout, stderr } = await run;
	t.deepEqual([code, stdout, lab.read(kept(lab))], [1, "last", "last\n"]);
	t.deepEqual(stderr.split("\n").slice(1), [
		`lab: the output of mine is kept in ${lab.root}${kept(lab)}`,
		'lab: domain "vm" crashed',
		"  what to do: see the last words of its QEMU: sudo tail /var/log/libvirt/qemu/quickstart-vm.log; then start it: ./lab up",
	]);
});

asRoot("a run whose report is lost is an error", async (t) => {
	const { lab } = await there(t, "echo out; exit 0", 1);
	const { code, stdout, stderr } = await lab.lab(["probe", "run", "mine"]);
	t.deepEqual([code, stdout], [1, "out"]);
	t.regex(stderr, /\nlab: probe "mine" gave no account of its hits: the end of its output is lost\n/);
});

asRoot("a script that the stack file does not name is compiled and run, and its module taken away", async (t) => {
	const { lab } = await there(t, "echo fired", 1);
	fakeStap(lab, [[point, own]]);
	const script = lab.write("home/other.stp", "probe …\n");
	const { code, stdout, stderr } = await lab.lab(["probe", "run", script, "-d", "vm"]);
	t.deepEqual([code, stdout], [0, "fired"], stderr);
	t.regex(kept(lab), /\/probe-other-/);
	t.deepEqual(readdirSync(join(lab.root, shared)), ["stap_mine.ko"]);
});

asRoot("a script that was edited since up is compiled for the run, and that is said", async (t) => {
	const { lab } = await there(t, "echo fired", 1);
	fakeStap(lab, [[point, own]]);
	const script = lab.write("home/mine.stp", "probe other…\n");
	const { code, stdout, stderr } = await lab.lab(["probe", "run", "mine"]);
	t.deepEqual([code, stdout], [0, "fired"], stderr);
	t.is(stderr.split("\n")[0], `lab: ${script} was edited since up: it is compiled for this run`);
});

asRoot("a script that does not compile is an error with stap's words first", async (t) => {
	const { lab } = await there(t, "echo never", 1);
	fakeStap(lab, [[point, own]]);
	lab.fake("stap", "echo \"parse error: expected '(' at script.stp:3:8\" >&2; exit 1");
	const script = lab.write("home/other.stp", "probe …\n");
	t.deepEqual(await lab.lab(["probe", "run", "-d", "vm", script]), {
		code: 1,
		stdout: "",
		stderr: `lab: stap does not compile ${script}:
  | parse error: expected '(' at ${script}:3:8
  what to do: mend the script at that place; man stap has the language, stap --dump-probe-types the points`,
	});
});

asRoot("ls shows the probes of the stack file, and what has become of each", async (t) => {
	const { lab } = await there(t, "", 0);
	const script = join(lab.root, "home/mine.stp");
	const line = async () => (await lab.lab(["probe", "ls"])).stdout.split("\n")[1]?.split(/ {2,}/);
	t.deepEqual(await line(), ["mine", "vm", "compiled", "2", script]);
	lab.write("home/mine.stp", "probe other\n");
	t.deepEqual(await line(), ["mine", "vm", "edited since up", "2", script]);
	await lab.bash(`rm -r "$TRACELAB_ROOT${prefix}"`);
	t.deepEqual(await line(), ["mine", "vm", "not there: up compiles it", script]);
	lab.up();
	t.deepEqual(await lab.lab(["probe", "ls"]), {
		code: 1,
		stdout: "",
		stderr: `lab: the lab of stack "quickstart" has no probes
  what to do: name one in probes: of the stack file, as stacks/probes.yaml does, and ./lab up compiles it`,
	});
});
