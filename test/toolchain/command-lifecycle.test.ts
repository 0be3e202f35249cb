// What the engine does with a command after its creation, and what it shows of it.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { CommandProvider, commandProviders, type Properties } from "./command-provider.ts";

function scratchFile(t: ExecutionContext): string {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-command-"));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	return join(folder, "file");
}

async function until(holds: () => boolean): Promise<void> {
	while (!holds()) await setTimeout(20);
}

/** Is the process of that pid file at work? */
function runs(file: string): boolean {
	try {
		return !readFileSync(`/proc/${readFileSync(file, "utf8").trim()}/stat`, "utf8").includes(") Z ");
	} catch {
		return false;
	}
}

const stdin = { stdin: "s" };
const triggers = { triggers: ["one", { two: 2 }] };
const rest: Properties = {
	create: "c",
	update: "u",
	delete: "d",
	interpreter: ["bash", "-c"],
	environment: { A: "1" },
	dir: "/",
	logging: "stderr",
};
const base: Properties = { ...rest, ...stdin, ...triggers };

/**
 * What is changed, and what the engine is told to do about it. That a change inside triggers replaces is the npm
 * package's saying, by its replaceOnChanges.
 */
const changes: [what: string, change: Properties, detail: Record<string, string>][] = [
	["nothing", {}, {}],
	["create", { create: "c2" }, { create: "UPDATE" }],
	["update", { update: "u2" }, { update: "UPDATE" }],
	["delete", { delete: "d2" }, { delete: "UPDATE" }],
	["stdin", { stdin: "s2" }, { stdin: "UPDATE" }],
	["dir", { dir: "/tmp" }, { dir: "UPDATE" }],
	["logging", { logging: "none" }, { logging: "UPDATE" }],
	["the interpreter", { interpreter: ["sh", "-c"] }, { "interpreter[0]": "UPDATE" }],
	["a variable", { environment: { A: "2" } }, { "environment.A": "UPDATE" }],
	["one more variable", { environment: { A: "1", B: "2" } }, { "environment.B": "ADD" }],
	["a trigger", { triggers: ["other", { two: 2 }] }, { "triggers[0]": "UPDATE" }],
	["a trigger's inside", { triggers: ["one", { two: 3 }] }, { "triggers[1].two": "UPDATE" }],
	["one more trigger", { triggers: ["one", { two: 2 }, "three"] }, { "triggers[2]": "ADD" }],
];

const logging: [mode: string, lines: string[]][] = [
	["", ["err", "out"]],
	["stdout", ["out"]],
	["stderr", ["err"]],
	["stdoutAndStderr", ["err", "out"]],
	["none", []],
];

for (const subject of commandProviders()) {
	const { name } = subject;
	const start = (t: ExecutionContext) => CommandProvider.start(t, subject);

	for (const [what, change, detail] of changes) {
		const title = what === "nothing" ? "nothing changed is no difference" : `a change of ${what} is told as such`;
		test(`${name}: ${title}`, async (t) => {
			t.deepEqual(await (await start(t)).diff(base, { ...base, ...change }), {
				changes: what !== "nothing",
				deleteBeforeReplace: false,
				detail,
			});
		});
	}

	test(`${name}: an input that is gone and one that came are updates, triggers that came or went replace`, async (t) => {
		const provider = await start(t);
		t.deepEqual((await provider.diff(base, { ...rest, ...triggers })).detail, { stdin: "DELETE" });
		t.deepEqual((await provider.diff({ ...rest, ...triggers }, base)).detail, { stdin: "ADD" });
		t.deepEqual((await provider.diff(base, { ...rest, ...stdin })).detail, { triggers: "DELETE_REPLACE" });
		t.deepEqual((await provider.diff({ ...rest, ...stdin }, base)).detail, { triggers: "ADD_REPLACE" });
	});

	test(`${name}: an update runs the update command with the new inputs`, async (t) => {
		const inputs = {
			create: "echo created",
			update: 'echo "updated $A"; cat >&2',
			environment: { A: "2" },
			stdin: "in",
		};
		const state = await (await start(t)).update({ create: "echo created", stdout: "created", stderr: "" }, inputs);
		t.deepEqual(state, { ...inputs, stdout: "updated 2", stderr: "in" });
	});

	test(`${name}: without an update command an update runs create again, and without both nothing`, async (t) => {
		const provider = await start(t);
		const again = await provider.update({ create: "a", stdout: "a", stderr: "" }, { create: "echo again" });
		t.is(again["stdout"], "again");
		const nothing = await provider.update({ delete: "a", stdout: "kept", stderr: "too" }, { delete: "b" });
		t.deepEqual(nothing, { delete: "b", stdout: "kept", stderr: "too" });
	});

	test(`${name}: a preview of an update runs nothing and knows no output`, async (t) => {
		const file = scratchFile(t);
		const inputs = { create: `touch ${file}` };
		const state = await (await start(t)).update({ create: "true", stdout: "before", stderr: "" }, inputs, true);
		t.is(state["create"], `touch ${file}`);
		t.not(state["stdout"], "");
		t.false(existsSync(file));
	});

	const print = 'echo "<$PULUMI_COMMAND_STDOUT|$PULUMI_COMMAND_STDERR>"';

	test(`${name}: an update knows what the last run printed, and a creation nothing`, async (t) => {
		const provider = await start(t);
		const { state } = await provider.create({ create: print });
		t.is(state["stdout"], "<|>");
		t.is((await provider.update({ ...state, stderr: "words" }, { create: print }))["stdout"], "<<|>|words>");
	});

	test(`${name}: an update that wants no former output has none`, async (t) => {
		const inputs = { create: print, addPreviousOutputInEnv: false };
		t.is((await (await start(t)).update({ ...inputs, stdout: "a", stderr: "b" }, inputs))["stdout"], "<|>");
	});

	test(`${name}: a failed update tells its streams`, async (t) => {
		const provider = await start(t);
		await t.throwsAsync(provider.update({ stdout: "", stderr: "" }, { update: "echo no >&2; exit 3" }), {
			message: 'exit status 3: running "echo no >&2; exit 3":\nno\n',
		});
	});

	test(`${name}: a deletion runs the delete command with the inputs and outputs of the state`, async (t) => {
		const file = scratchFile(t);
		const command = `printf '%s|%s|%s|' "$A" "$PULUMI_COMMAND_STDOUT" "$PULUMI_COMMAND_STDERR" >${file}; cat >>${file}`;
		const state = { delete: command, environment: { A: "a" }, stdin: "in", stdout: "out", stderr: "err" };
		await (await start(t)).delete(state);
		t.is(readFileSync(file, "utf8"), "a|out|err|in");
	});

	test(`${name}: a deletion without a command is no fault, and one that fails is`, async (t) => {
		const provider = await start(t);
		await t.notThrowsAsync(provider.delete({ create: "true", stdout: "", stderr: "" }));
		await t.throwsAsync(provider.delete({ delete: "echo still in use; exit 1", stdout: "", stderr: "" }), {
			message: 'exit status 1: running "echo still in use; exit 1":\nstill in use\n',
		});
	});

	test(`${name}: run answers with its arguments and what the command printed`, async (t) => {
		const args = { command: 'cat; echo "$A" >&2', stdin: "in", environment: { A: "a" }, interpreter: ["bash", "-c"] };
		t.deepEqual(await (await start(t)).invoke("command:local:run", args), {
			result: { ...args, stdout: "in", stderr: "a" },
			failures: [],
		});
	});

	test(`${name}: a run that fails, or has no command, is refused`, async (t) => {
		const provider = await start(t);
		await t.throwsAsync(provider.invoke("command:local:run", { command: "echo no >&2; exit 2" }), {
			message: 'exit status 2: running "echo no >&2; exit 2":\nno\n',
		});
		const { failures } = await provider.invoke("command:local:run", {});
		t.is(failures.length, 1);
		t.regex(failures[0] ?? "", /^command: /);
	});

	for (const [mode, lines] of logging) {
		test(`${name}: logging ${mode === "" ? "unset" : mode} shows ${lines.join(" and ") || "nothing"}`, async (t) => {
			const provider = await start(t);
			const { state } = await provider.create({
				create: "echo out; echo err >&2",
				...(mode === "" ? {} : { logging: mode }),
			});
			t.is(state["stdout"], "out");
			t.is(state["stderr"], "err");
			const shown = provider.engine.lines.toSorted((a, b) => (a.text < b.text ? -1 : 1));
			t.deepEqual(
				shown,
				lines.map((text) => ({ text, status: true })),
			);
		});
	}

	test(`${name}: a cancelled command ends, and the call says so`, async (t) => {
		const provider = await start(t);
		const file = scratchFile(t);
		const created = provider.create({ create: `echo $$ >${file}; exec sleep 60` });
		await until(() => runs(file));
		await provider.cancel();
		await t.throwsAsync(created, { message: /^signal: (killed|terminated): running / });
		t.false(runs(file));
	});

	test(`${name}: a provider that the engine is done with leaves no command behind`, async (t) => {
		const provider = await start(t);
		const file = scratchFile(t);
		const created = provider.create({ create: `echo $$ >${file}; exec sleep 60` });
		const ended = t.throwsAsync(created);
		await until(() => runs(file));
		await provider.plugin.stop();
		await ended;
		t.false(runs(file));
	});
}
