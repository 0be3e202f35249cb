import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { LabError, UsageError } from "../../../cli/errors.ts";
import { copy } from "../../../cli/guest/copy.ts";
import { project } from "../../../cli/host.ts";
import { treeHash } from "../../scripts/run-step.ts";
import { FakeGuest } from "../fake-guest.ts";
import { patient, ScratchLab } from "../scratch-lab.ts";

const lab = await ScratchLab.make();
lab.enter();
lab.up();
const guest = await FakeGuest.on(lab);
// The guest is this machine: each side has a folder of it.
const [here, there] = [`${lab.root}/here`, `${lab.root}/there`];

test.beforeEach(() => {
	for (const folder of [here, there]) {
		rmSync(folder, { recursive: true, force: true });
		mkdirSync(folder);
	}
});

test.beforeEach(patient);

test.after.always(() => {
	guest.close();
	lab.clean();
});

const mode = (path: string) => (statSync(path).mode & 0o7777).toString(8);

test.serial("a file goes into a folder of the guest under its own name, with its mode", async (t) => {
	const bytes = randomBytes(200_000);
	writeFileSync(`${here}/run me`, bytes);
	chmodSync(`${here}/run me`, 0o750);
	await copy("quickstart", `${here}/run me`, `vm:${there}/`);
	t.deepEqual(readdirSync(there), ["run me"]);
	t.true(readFileSync(`${there}/run me`).equals(bytes));
	t.is(mode(`${there}/run me`), "750");
	t.deepEqual(guest.openFiles, []);
});

test.serial("a file takes the place of another one, under the name that was asked for", async (t) => {
	writeFileSync(`${here}/new`, "new");
	writeFileSync(`${there}/old`, "old and longer");
	await copy("quickstart", `${here}/new`, `vm:${there}/old`);
	t.deepEqual(readdirSync(there), ["old"]);
	t.is(readFileSync(`${there}/old`, "utf8"), "new");
});

test.serial("an empty file is a file", async (t) => {
	writeFileSync(`${here}/empty`, "");
	await copy("quickstart", `${here}/empty`, `vm:${there}`);
	await copy("quickstart", `vm:${there}/empty`, `${here}/back`);
	t.is(readFileSync(`${here}/back`, "utf8"), "");
});

test.serial("a file comes out into a folder, with its mode", async (t) => {
	const bytes = randomBytes(200_000);
	writeFileSync(`${there}/it's`, bytes);
	chmodSync(`${there}/it's`, 0o600);
	await copy("quickstart", `vm:${there}/it's`, here);
	t.deepEqual(readdirSync(here), ["it's"]);
	t.true(readFileSync(`${here}/it's`).equals(bytes));
	t.is(mode(`${here}/it's`), "600");
	t.deepEqual(guest.openFiles, []);
});

test.serial("a file comes out under another name, into folders that are made for it", async (t) => {
	writeFileSync(`${there}/file`, "text");
	await copy("quickstart", `vm:${there}/file`, `${here}/a/b/renamed`);
	t.is(readFileSync(`${here}/a/b/renamed`, "utf8"), "text");
});

test.serial("a file that says it is empty comes out with what is in it", async (t) => {
	await copy("quickstart", "vm:/proc/version", here);
	t.is(readFileSync(`${here}/version`, "utf8"), readFileSync("/proc/version", "utf8"));
});

test.serial("a link comes out as the file that it names, under that one's name", async (t) => {
	writeFileSync(`${there}/real\nname`, "text");
	symlinkSync("real\nname", `${there}/link`);
	await copy("quickstart", `vm:${there}/link`, here);
	t.deepEqual(readdirSync(here), ["real\nname"]);
});

test.serial("a folder goes in and comes out as it was", async (t) => {
	mkdirSync(`${here}/tree/below`, { recursive: true });
	writeFileSync(`${here}/tree/below/file`, randomBytes(100_000), { mode: 0o640 });
	symlinkSync("below/file", `${here}/tree/link`);
	const before = treeHash(`${here}/tree`);
	await copy("quickstart", `${here}/tree`, `vm:${there}`);
	t.deepEqual(readdirSync(there), ["tree"]);
	t.is(treeHash(`${there}/tree`), before);
	await copy("quickstart", `vm:${there}/tree`, `${here}/back`);
	t.is(treeHash(`${here}/back`), before);
});

test.serial("a path of this machine with a colon in it is written with its folder", async (t) => {
	writeFileSync(`${here}/a:b`, "text");
	await copy("quickstart", `${here}/a:b`, `vm:${there}`);
	t.deepEqual(readdirSync(there), ["a:b"]);
});

const neither = test.macro({
	title: (_, from: string, to: string) => `from ${from} to ${to} is no copy between two machines`,
	async exec(t, from: string, to: string) {
		const error = await t.throwsAsync(copy("quickstart", from, to), { instanceOf: UsageError });
		t.like(error, {
			message: "exactly one of SRC and DST is DOMAIN:PATH",
			todo: "for example: ./lab cp trace.sh vm:/root/",
		});
	},
});

test.serial(neither, "a", "b");
test.serial(neither, "vm:/a", "held:/b");
test.serial(neither, "./vm:a", "b");

const refuses = test.macro({
	title: (_, what: string) => what,
	async exec(t, _what: string, from: string, to: string, message: string) {
		writeFileSync(`${here}/file`, "text");
		writeFileSync(`${there}/file`, "text");
		mkdirSync(`${there}/folder`);
		writeFileSync(`${there}/folder/inside`, "text");
		const error = await t.throwsAsync(copy("quickstart", from, to), { instanceOf: LabError });
		t.is(error?.message, message);
		// No half file.
		t.deepEqual(readdirSync(here), ["file"]);
		t.deepEqual(readdirSync(there), ["file", "folder"]);
		t.deepEqual(guest.openFiles, []);
	},
});

test.serial(
	refuses,
	"a source that is not on this machine",
	`${here}/none`,
	`vm:${there}`,
	`${here}/none: no such file or directory`,
);
test.serial(
	refuses,
	"a source that is not in the guest",
	`vm:${there}/none`,
	here,
	`vm: stat: cannot statx '${there}/none': No such file or directory`,
);
test.serial(
	refuses,
	"a target in the guest below a folder that is not there",
	`${here}/file`,
	`vm:${there}/none/file`,
	`vm: failed to open file '${there}/none/file.tracelab-part' (mode: 'w'): no such file or directory`,
);
test.serial(
	refuses,
	"a target on this machine below a file",
	`vm:${there}/file`,
	`${here}/file/below`,
	`${here}/file: file already exists`,
);
test.serial(
	refuses,
	"a folder where a file is",
	`vm:${there}/folder`,
	`${here}/file`,
	`${here}/file: file already exists`,
);
test.serial(
	refuses,
	"a domain that there is not",
	"hled:/etc/fstab",
	here,
	'the lab of stack "quickstart" has no domain "hled" (did you mean "held"?)',
);

test.serial("Ctrl-C ends a copy, and leaves no half of a file on either side", async (t) => {
	writeFileSync(`${here}/big`, randomBytes(40_000_000));
	// Of a folder, what has come by then stays; it comes by an archive in the guest's /tmp.
	const left = () => [
		...readdirSync(there).filter((name) => name !== "here"),
		...readdirSync("/tmp").filter((name) => /^tracelab-\w{6}$/.test(name)),
	];
	const before = left();
	for (const [from, to] of [
		[`${here}/big`, `vm:${there}/`],
		[`vm:${here}`, there],
	] as const) {
		guest.asked.length = 0;
		const child = spawn(process.execPath, [`${project}/cli/main.ts`, "cp", from, to], {
			...{ detached: true, env: lab.env, stdio: ["ignore", "ignore", "pipe"] },
		});
		const said = text(child.stderr as Readable);
		const ended = once(child, "exit");
		while (guest.asked.filter((asked) => /guest-file-(read|write)/.test(asked)).length < 2) await pause(5);
		process.kill(-(child.pid ?? 0), "SIGINT");
		t.deepEqual(await ended, [1, null]);
		t.regex(await said, /^lab: (?:interrupted: .* is not copied|tar failed:)/);
		t.deepEqual(left(), before, from);
	}
	t.deepEqual(guest.openFiles, []);
});

test.serial("a guest that is paused is said to be", async (t) => {
	guest.state = "paused";
	const error = await t.throwsAsync(copy("quickstart", "vm:/etc/fstab", here), { instanceOf: LabError });
	guest.state = "running";
	t.is(error?.message, 'domain "vm" is paused');
	t.deepEqual(readdirSync(here), []);
});
