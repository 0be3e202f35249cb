import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { findDomain } from "../../../cli/card.ts";
import { GuestAgent } from "../../../cli/guest/agent.ts";
import { type GuestProcessEnd, type GuestProcessOptions, runInGuest } from "../../../cli/guest/process.ts";
import { FakeGuest } from "../fake-guest.ts";
import { patient, ScratchLab } from "../scratch-lab.ts";

const lab = await ScratchLab.make();
lab.enter();
lab.up();
const guest = await FakeGuest.on(lab);
const agent = new GuestAgent(findDomain("quickstart", "vm"));

test.beforeEach(patient);

test.after.always(() => {
	guest.close();
	lab.clean();
});

interface Ended extends GuestProcessEnd {
	stdout: Buffer;
	stderr: Buffer;
}

async function run(argv: readonly string[], options: Partial<GuestProcessOptions> = {}): Promise<Ended> {
	const [out, err]: [Buffer[], Buffer[]] = [[], []];
	const end = await runInGuest(agent, argv, {
		stdout: (bytes) => out.push(bytes),
		stderr: (bytes) => err.push(bytes),
		...options,
	});
	return { ...end, stdout: Buffer.concat(out), stderr: Buffer.concat(err) };
}

const sh = (script: string, options?: Partial<GuestProcessOptions>) => run(["sh", "-c", script], options);

/** What every run must leave: nothing. */
function nothingIsLeft(t: { deepEqual(actual: string[], expected: string[]): boolean }): void {
	t.deepEqual(guest.openFiles, []);
	t.deepEqual(readdirSync(`${lab.root}/run`), []);
}

const ends = test.macro({
	title: (_, what: string) => `${what}`,
	async exec(t, _what: string, argv: readonly string[], code: number, stdout: string, stderr: string) {
		const ended = await run(argv);
		t.deepEqual(
			{ ...ended, stdout: `${ended.stdout}`, stderr: `${ended.stderr}` },
			{ code, timedOut: false, stdout, stderr },
		);
		nothingIsLeft(t);
	},
});

test.serial(ends, "a silent command", ["true"], 0, "", "");
test.serial(ends, "output and exit status", ["sh", "-c", "echo out; echo err >&2; exit 42"], 42, "out\n", "err\n");
test.serial(ends, "a command that a signal ended", ["sh", "-c", "kill -KILL $$"], 137, "", "");
test.serial(ends, "124 of the command's own", ["sh", "-c", "exit 124"], 124, "", "");
test.serial(ends, "a program where the shell has a builtin", ["echo", "-e", "a\\tb"], 0, "a\tb\n", "");
test.serial(
	ends,
	"words with spaces, quotes, dollars and newlines",
	["printf", "%s|", "a b", "it's", 'say "hi"', "", "$HOME", "`id`", "new\nline", "--", "ä€"],
	0,
	'a b|it\'s|say "hi"||$HOME|`id`|new\nline|--|ä€|',
	"",
);
test.serial(
	ends,
	"a program that is not in the guest",
	["no-such-program"],
	127,
	"",
	"sh: 5: exec: no-such-program: not found\n",
);

test.serial("bytes of every kind come out as they are", async (t) => {
	const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
	const octal = [...all].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
	t.deepEqual((await run(["/usr/bin/printf", octal])).stdout, all);
});

test.serial("standard input goes in as it is, and ends", async (t) => {
	const input = Buffer.from([0, 255, 10, 13, 0]);
	t.deepEqual((await run(["cat"], { input })).stdout, input);
	t.is(`${(await run(["cat"])).stdout}`, "");
});

test.serial("output over what an answer takes comes whole, on both ways", async (t) => {
	const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
	const expected = Buffer.from(Array.from({ length: 300_000 }, (_, index) => `line ${index + 1}\n`).join(""));
	const { code, stdout, stderr } = await sh("seq -f 'line %.0f' 300000; seq -f 'line %.0f' 300000 >&2; exit 3");
	t.is(code, 3);
	t.is(sha256(stdout), sha256(expected));
	t.is(sha256(stderr), sha256(expected));
	nothingIsLeft(t);
});

test.serial("a command that goes on is heard while it runs, and nothing twice", async (t) => {
	const heard: string[] = [];
	const stdout = (bytes: Buffer) => heard.push(`${bytes}`);
	await sh("echo early; until [ -e $0 ]; do sleep 0.1; done; echo late".replace("$0", `${lab.root}/go`), {
		stdout: (bytes) => {
			stdout(bytes);
			lab.write("go", "");
		},
	});
	t.deepEqual(
		heard.filter((text) => text !== ""),
		["early\n", "late\n"],
	);
	nothingIsLeft(t);
});

test.serial("a command whose time is up is ended, its output kept", async (t) => {
	const begun = Date.now();
	const ended = await sh("echo begun; exec sleep 60", { timeout: 0.5 });
	t.deepEqual(
		{ ...ended, stdout: `${ended.stdout}`, stderr: `${ended.stderr}` },
		{ code: 124, timedOut: true, stdout: "begun\n", stderr: "" },
	);
	t.true(Date.now() - begun < 50_000);
	nothingIsLeft(t);
});

test.serial("a command that does not hear is ended all the same, five seconds later", async (t) => {
	const begun = Date.now();
	const ended = await sh(`trap '' TERM; echo $$; while :; do sleep 0.2; done`, { timeout: 0.5 });
	t.like(ended, { code: 124, timedOut: true });
	t.true(Date.now() - begun > 5000);
	t.false(existsSync(`/proc/${`${ended.stdout}`.trim()}`));
	nothingIsLeft(t);
});

test.serial("a person who interrupts ends the command in the guest", async (t) => {
	const interrupted = new AbortController();
	setTimeout(() => interrupted.abort(), 300);
	const ended = await sh("exec sleep 60", { signal: interrupted.signal });
	t.like(ended, { code: 143, timedOut: false });
	nothingIsLeft(t);
});

test.serial("a command goes on where its guest was stopped in a debugger meanwhile", async (t) => {
	guest.asked.length = 0;
	const running = sh("echo begun; sleep 0.5; echo ended; exit 3");
	while (!guest.asked.includes("guest-exec")) await pause(5);
	guest.state = "paused";
	await pause(1300);
	guest.state = "running";
	const { code, stdout } = await running;
	t.deepEqual([code, `${stdout}`], [3, "begun\nended\n"]);
	nothingIsLeft(t);
});

test.serial("what keeps the wrapper from its work is shown", async (t) => {
	const from = `${lab.root}/run`;
	// Nothing can be made where a folder should be.
	await agent.shell('mv "$1" "$1-away" && touch "$1"', from);
	const { code, stderr } = await sh("echo lost");
	await agent.shell('rm "$1" && mv "$1-away" "$1"', from);
	t.is(code, 2);
	t.regex(`${stderr}`, /^sh: 2: cannot create .*\/run\/tracelab-[0-9a-f]{8}\.out: /);
});
