import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { execaSync } from "execa";
import { laterSymbols } from "../../../cli/debug/debugger.ts";
import { commandOutput, guestScript } from "../../../cli/debug/record.ts";
import { type Recording, recordingArguments } from "../../../cli/debug/recording.ts";
import { project } from "../../../cli/host.ts";
import { treeSha256 } from "../../../spec/content-hash.ts";
import { asRoot } from "../../as-root.ts";
import { elf, note } from "../elf-file.ts";
import { FakeGuest } from "../fake-guest.ts";
import { card, patient, ScratchLab } from "../scratch-lab.ts";

test.beforeEach(patient);

const [emulator, kernel] = [card.domains["vm"]?.emulator ?? "", card.kernels["main"]?.prefix ?? ""];
const [qemu, image] = [card.qemu["main"]?.prefix ?? "", card.images["main"]?.prefix ?? ""];
const results = { [qemu]: "5e".repeat(32), [kernel]: "4d".repeat(32), [image]: "3c".repeat(32) };
const buildId = "ab".repeat(20);
const vmlinux = elf([{ name: ".notes", type: 7, bytes: note("GNU", 3, Buffer.from(buildId, "hex")) }]);
const runs = "/var/lib/tracelab/runs/quickstart";
const xml =
	"<domain>\n  <memory unit='KiB'>524288</memory>\n  <os>\n    <kernel>/k/bzImage</kernel>\n    <cmdline>root=/dev/vda a=&quot;b &amp;lt; c&quot;</cmdline>\n  </os>\n</domain>";
const console_ = (rest: string) => `Linux version 6.1\r\n${rest}`;
const whole = console_(
	"tracelab: the command begins\r\n42\r\ntracelab: the command ended with 3\r\nreboot: Power down\r\n",
);

/** A lab whose QEMU writes a console, and notes how it was called, where, and on what. */
async function there(t: ExecutionContext, console = whole, ends = "exit 0") {
	const lab = await ScratchLab.for(t);
	lab.up();
	writeFileSync(lab.write(`${kernel}/vmlinux`, ""), vmlinux);
	for (const [prefix, result] of Object.entries(results)) lab.write(`${prefix}/.tracelab-build-record/result`, result);
	lab.write("var/lib/tracelab/domains/quickstart-vm/root/lib/modules/load", "mymodule\n");
	lab.write("said", console);
	lab.write(
		emulator,
		`#!/bin/bash\nprintf '%s\\n' "$@" >'${lab.root}/qemu-arguments'\ncp '${lab.root}/said' console.log\n${ends}\n`,
		0o755,
	);
	lab.fake("qemu-img", 'echo disk >"${*: -1}"; echo "$*" >"$root/qemu-img-arguments"');
	// -d TREE FILE SIZE
	lab.fake("mke2fs", 'cp -r "$5" "$root/lab-tree"; echo lab >"$6"; echo "$7" >"$root/lab-size"');
	const guest = await FakeGuest.on(lab);
	t.teardown(() => guest.close());
	guest.definition = xml;
	return { lab, guest };
}

const lines = (file: string): string[] => readFileSync(file, "utf8").trimEnd().split("\n");

asRoot(
	"a command is recorded on the domain's kernel, image, memory and command line; its output and status are ours",
	async (t) => {
		const { lab } = await there(t);
		const { code, stdout, stderr } = await lab.lab(["record", "--name", "one", "vm", "--", "cat", "it's"]);
		t.deepEqual([code, stdout], [3, "42"], stderr);
		t.regex(
			stderr,
			/^lab: recording a boot of vm, and: cat it's\nlab: recorded one in \S+ s; replay it in gdb: \.\/lab replay one$/,
		);
		const recording = JSON.parse(lab.read(`${runs}/one/recording.json`)) as Recording;
		t.like(recording, {
			stack: "quickstart",
			domain: "vm",
			emulator,
			kernel,
			buildId,
			results,
			memory: 512,
			commandLine: 'panic=-1 root=/dev/vda a="b &lt; c"',
			command: ["cat", "it's"],
			status: 3,
			lab: card.hashes,
			tracelab: "0.1.0",
			cli: treeSha256(`${project}/cli`),
		});
		t.deepEqual(lines(join(lab.root, "qemu-arguments")), recordingArguments("record", recording));
		t.is(
			lab.read("qemu-img-arguments").trimEnd(),
			`create -q -f qcow2 -F qcow2 -b ${lab.root}${card.images["main"]?.prefix}/image.qcow2 ${lab.root}${runs}/one/disk.qcow2`,
		);
		t.deepEqual(readdirSync(join(lab.root, "lab-tree")).sort(), ["lib", "record"]);
		t.is(lab.read("lab-tree/record"), guestScript("vm", ["cat", "it's"]));
	},
);

const fails = test.macro({
	title: (_, what: string) => `no recording, and nothing of it is kept: ${what}`,
	async exec(t, _what: string, made: [console?: string, ends?: string], stderr: string) {
		const { lab } = await there(t, ...made);
		const ran = await lab.lab(["record", "--name", "one", "vm", "--", "true"]);
		t.is(ran.code, 1);
		t.is(ran.stderr, `lab: recording a boot of vm, and: true\nlab: ${stderr}`);
		t.false(existsSync(join(lab.root, runs, "one")));
	},
});

asRoot(fails, "QEMU fails", ["", "echo 'qemu: no' >&2; exit 1"], "QEMU ended with 1: qemu: no");
asRoot(
	fails,
	"QEMU aborts while the guest runs",
	[console_("half"), "echo 'qemu: no' >&2; kill -ABRT $$"],
	"QEMU ended with 134: qemu: no; its console's last words:\n  | Linux version 6.1\n  | half",
);
asRoot(
	fails,
	"QEMU finds no room for it, and goes on",
	[whole, "echo 'qemu-system-x86_64: replay write error' >&2"],
	"QEMU found no room for the recording\n  what to do: make room (df -h shows on which disk), then record it again",
);
asRoot(
	fails,
	"somebody has removed its folder",
	[whole, 'rm -r "$PWD"; echo "qemu: no" >&2; exit 1'],
	"QEMU ended with 1: qemu: no",
);
const numbered = (word: string, count: number) => Array.from({ length: count }, (_, index) => `${word} ${index + 1}`);

const keeps = test.macro({
	title: (_, what: string) => `a guest that does not come to the end of the command is kept: ${what}`,
	async exec(t, _what: string, said: readonly string[], last: readonly string[]) {
		const { lab } = await there(t, said.map((line) => `${line}\r\n`).join(""));
		const { code, stdout, stderr } = await lab.lab(["record", "--name", "one", "vm", "--", "true"]);
		t.deepEqual([code, stdout], [1, ""]);
		t.deepEqual(stderr.split("\n"), [
			"lab: recording a boot of vm, and: true",
			"lab: the guest did not come to the end of the command; its console's last words:",
			...last.map((line) => `  | ${line}`),
			"  what to do: it is kept as recording one: go back from its end in gdb: ./lab replay one, then continue, bt, break FUNCTION and reverse-continue",
		]);
		const recording = JSON.parse(lab.read(`${runs}/one/recording.json`)) as Recording;
		t.false("status" in recording);
		lab.write(`${runs}/one/replay.bin`, "log");
		lab.write(emulator, "#!/bin/bash\ntouch gdb.sock; exec sleep 60\n", 0o755);
		lab.fake("gdb", "exit 5");
		t.is((await lab.lab(["replay", "one"])).code, 5);
	},
});

const oops = ["BUG: kernel NULL pointer dereference, address: 0000000000000000", ...numbered("trace", 60)];
const panic = [...oops, "Kernel panic - not syncing: Fatal exception"];
asRoot(keeps, "a panic is shown from its fault on", ["Linux", "tracelab: the command begins", ...panic], panic);
asRoot(keeps, "without a fault, its last lines are shown", numbered("line", 50), numbered("line", 50).slice(10));
asRoot(keeps, "a fault of long ago is not", [...oops, ...numbered("line", 200)], numbered("line", 200).slice(160));

asRoot("a domain that libvirt does not know has no memory and command line to record with", async (t) => {
	const { lab, guest } = await there(t);
	guest.definition = undefined;
	const { code, stderr } = await lab.lab(["record", "vm", "--", "true"]);
	t.is(code, 1);
	t.is(stderr, 'lab: libvirt knows no domain "quickstart-vm"\n  what to do: ./lab up defines it again');
});

// A QEMU that is at work when its recording is ended. It is below the scratch root's /opt, as one of the lab is.
const stays = 'echo $$ >"${0%/opt/*}/pid"; exec sleep 60';

asRoot("Ctrl-C ends the recording's QEMU, and nothing of the recording stays", async (t) => {
	const { lab } = await there(t, whole, stays);
	const child = spawn(process.execPath, [`${project}/cli/main.ts`, "record", "vm", "--", "true"], {
		detached: true,
		env: lab.env,
		stdio: ["ignore", "ignore", "pipe"],
	});
	const said = text(child.stderr);
	const ended = once(child, "exit");
	while (!existsSync(join(lab.root, "pid")) || lab.read("pid") === "") await pause(20);
	process.kill(-(child.pid ?? 0), "SIGINT");
	t.deepEqual(await ended, [1, null]);
	const words = whole.trimEnd().split("\r\n");
	t.deepEqual((await said).trimEnd().split("\n").slice(1), [
		"lab: interrupted: nothing of the recording is kept; its console's last words:",
		...words.map((line) => `  | ${line}`),
	]);
	t.deepEqual(readdirSync(join(lab.root, runs)), []);
	t.false(existsSync(`/proc/${lab.read("pid").trim()}`));
});

asRoot("a recording that is killed has no QEMU any more", async (t) => {
	const { lab } = await there(t, whole, stays);
	const child = spawn(process.execPath, [`${project}/cli/main.ts`, "record", "vm", "--", "true"], { env: lab.env });
	while (!existsSync(join(lab.root, "pid")) || lab.read("pid") === "") await pause(20);
	child.kill("SIGKILL");
	// One that has ended has no program, though whoever should look has not looked yet.
	while (existsSync(`/proc/${lab.read("pid").trim()}/exe`)) await pause(20);
	t.pass();
});

asRoot("a run of that name stays", async (t) => {
	const { lab } = await there(t);
	lab.write(`${runs}/one/output`, "mine");
	const { code, stderr } = await lab.lab(["record", "--name", "one", "vm", "--", "true"]);
	t.is(code, 2);
	t.regex(stderr, /^lab: stack "quickstart" has a run "one" already\n/);
	t.is(lab.read(`${runs}/one/output`), "mine");
});

/** A lab with a recording, whose QEMU replays until it is killed. */
async function recorded(t: ExecutionContext) {
	const { lab } = await there(t);
	t.is((await lab.lab(["record", "--name", "one", "vm", "--", "true"])).code, 3);
	lab.write(`${runs}/one/replay.bin`, "log");
	// It does not hear of SIGTERM, as QEMU itself.
	const replays = `echo $$ >'${lab.root}/qemu-pid'; trap '' TERM; touch gdb.sock; while :; do sleep 0.1; done`;
	lab.write(
		emulator,
		`#!/bin/bash\nprintf '%s\\n' "$@" >'${lab.root}/qemu-arguments'\nls >'${lab.root}/there'\ncp '${lab.root}/said' console.log\n${replays}\n`,
		0o755,
	);
	lab.fake("gdb", 'printf "%s\\n" "$@"; exit 5');
	return lab;
}

asRoot("a replay is gdb on a QEMU of its own, which ends with it, and the recording stays", async (t) => {
	const lab = await recorded(t);
	const before = readdirSync(join(lab.root, runs, "one"));
	const { code, stdout, stderr } = await lab.lab(["replay", "one", "--", "--batch", "-ex", "c"]);
	t.is(code, 5, stderr);
	const folder = /its console: (\S+)\/console\.log$/.exec(stderr)?.[1];
	t.deepEqual(stdout.split("\n"), [
		...["-q", "-eiex", "set python dont-write-bytecode on"],
		...["-iex", `add-auto-load-safe-path ${kernel}`, "-iex", "set remotetimeout 300"],
		...["-iex", `directory ${kernel}/source`, `${kernel}/vmlinux`, "-ex", `target remote ${folder}/gdb.sock`],
		...["-ex", `source ${project}/cli/debug/gdb-replay.py`],
		...laterSymbols(join(lab.root, runs, "one/modules")),
		...["--batch", "-ex", "c"],
	]);
	const recording = JSON.parse(lab.read(`${runs}/one/recording.json`)) as Recording;
	const gdbstub = ["-S", "-no-shutdown", "-gdb", "unix:gdb.sock,server=on,wait=off"];
	t.deepEqual(lines(join(lab.root, "qemu-arguments")), [...recordingArguments("replay", recording), ...gdbstub]);
	t.deepEqual(lines(join(lab.root, "there")), ["disk.qcow2", "lab.img", "replay.bin"]);
	t.deepEqual(readdirSync(join(lab.root, runs, "one")), [...before, "replayed-console.log"].sort());
	t.false(existsSync(String(folder)));
	t.false(existsSync(`/proc/${lab.read("qemu-pid").trim()}`));
});

asRoot("a replay whose QEMU fails by itself says what QEMU said of it", async (t) => {
	const lab = await recorded(t);
	lab.write(
		emulator,
		`#!/bin/bash\necho $$ >'${lab.root}/qemu-pid'; touch gdb.sock; echo 'qemu: Assertion failed' >&2; exec sleep 60\n`,
		0o755,
	);
	lab.fake("gdb", 'kill -ABRT "$(<"$root/qemu-pid")"; echo "Remote connection closed"; exit 5');
	const { code, stdout, stderr } = await lab.lab(["replay", "one"]);
	t.deepEqual([code, stdout], [5, "Remote connection closed"]);
	t.is(stderr.split("\n").slice(1).join("\n"), "lab: QEMU ended with SIGABRT: qemu: Assertion failed");
});

const refuses = test.macro({
	title: (_, what: string) => `no replay: ${what}`,
	async exec(t, _what: string, change: (lab: ScratchLab) => void, stderr: string, ...args: string[]) {
		const lab = await recorded(t);
		change(lab);
		const ran = await lab.lab(["replay", "one", ...args]);
		t.not(ran.code, 0);
		t.is(ran.stderr, `lab: ${stderr}`);
	},
});

const again = "what to do: record it again, on what is there now: ./lab record";
/** A build of a lab with that lock came to something else since. */
const madeAgain = (prefix: string, lock?: string) => (lab: ScratchLab) => {
	const file = `${runs}/one/recording.json`;
	const recording = JSON.parse(lab.read(file)) as Recording;
	lab.write(file, JSON.stringify({ ...recording, lab: { ...card.hashes, lock } }));
	lab.write(`${prefix}/.tracelab-build-record/result`, "99".repeat(32));
};
const remove = (path: string) => (lab: ScratchLab) => void execaSync("rm", [join(lab.root, path)]);
asRoot(
	refuses,
	"the kernel is gone",
	remove(`${kernel}/vmlinux`),
	`it was recorded on ${kernel}/vmlinux, which is gone\n  ${again}`,
);
asRoot(refuses, "the QEMU is gone", remove(emulator), `it was recorded by ${emulator}, which is gone\n  ${again}`);
asRoot(
	refuses,
	"the kernel is another",
	(lab) => writeFileSync(join(lab.root, kernel, "vmlinux"), elf([])),
	`it was recorded on a kernel with build-id ${buildId}, and ${kernel}/vmlinux has none now\n  ${again}`,
);
asRoot(
	refuses,
	"the image was made again, of other packages",
	madeAgain(image, "7f".repeat(32)),
	[
		"it was recorded on other builds than are there now:",
		`  ${image}: its result is 999999999999, and was 3c3c3c3c3c3c`,
		`  what to do: with the stack file and the lock (sha256 7f7f7f7f7f7f…) of that time, ./lab up makes them as they were; or record it again, on what is there now: ./lab record`,
	].join("\n"),
);
asRoot(
	refuses,
	"the QEMU was made again, without a lock",
	madeAgain(qemu),
	`it was recorded on other builds than are there now:\n  ${qemu}: its result is 999999999999, and was 5e5e5e5e5e5e\n  ${again}`,
);
asRoot(
	refuses,
	"the run is no recording",
	remove(`${runs}/one/recording.json`),
	'run "one" is no recording that can be replayed in gdb\n  what to do: make one: ./lab record DOMAIN -- COMMAND',
);
asRoot(
	refuses,
	"the run is a trace, for gdb",
	(lab) => {
		remove(`${runs}/one/recording.json`)(lab);
		lab.write(`${runs}/one/run.json`, "{}");
	},
	'run "one" is no recording that can be replayed in gdb\n  what to do: it is a traced run, which is recorded once more by: ./lab replay one',
	"--batch",
);
asRoot(
	refuses,
	"QEMU does not start",
	(lab) => lab.write(emulator, "#!/bin/sh\necho 'qemu: no' >&2\nexit 1\n", 0o755),
	"QEMU ended with 1: qemu: no",
);

test("the guest's script is shell that a shell reads as it was meant, whatever is in the command", (t) => {
	const words = ["printf", "%s|", "a b", "it's", "$HOME", '"', "\n", ""];
	const line = guestScript("vm", words).split('echo "tracelab: the command begins"\n')[1]?.split('\necho "tracelab')[0];
	t.is(execaSync("sh", ["-c", String(line)]).stdout, "a b|it's|$HOME|\"|\n||");
});

test("the command's output is what is between its marks", (t) => {
	t.deepEqual(commandOutput(whole), { output: "42\n", status: 3 });
	t.deepEqual(commandOutput("boot\r\n"), { output: "boot\n", status: undefined });
	t.deepEqual(commandOutput("tracelab: the command begins\r\nhalf"), {
		output: "tracelab: the command begins\nhalf",
		status: undefined,
	});
});

test("what records and what replays is the same machine, emulated, with one processor", (t) => {
	const of = (mode: "record" | "replay") =>
		recordingArguments(mode, { kernel: "/k", memory: 512, commandLine: "root=/dev/vda" });
	t.deepEqual(
		of("record").map((word) => word.replace("rr=record", "rr=replay")),
		of("replay"),
	);
	const text = of("record").join(" ");
	for (const part of [
		"-accel tcg",
		"-smp 1",
		"-m 512",
		"apic-common.vapic=off",
		"rr=record,rrfile=replay.bin,rrsnapshot=start",
	])
		t.true(text.includes(part), part);
	t.true(
		of("record").includes(
			'root=/dev/vda init=/bin/sh -- -c "mount -n -t ext4 -o ro /dev/vdb /lab && exec /bin/sh /lab/record"',
		),
	);
});
