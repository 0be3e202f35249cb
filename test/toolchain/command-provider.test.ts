// The contract of command:local:Command, told from the official provider's sources (pulumi-command 1.2.1).
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import {
	archiveSignature,
	assetSignature,
	CommandProvider,
	commandProviders,
	type Properties,
	secret,
	secretSignature,
	signature,
	unknown,
} from "./command-provider.ts";

function scratchFolder(t: ExecutionContext): string {
	const folder = realpathSync(mkdtempSync(join(tmpdir(), "tracelab-command-")));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

/** Everything that decides what the command prints, less the command. */
interface Case {
	readonly inputs: Properties;
	readonly stdout: string;
	readonly stderr?: string;
}

const ways: Record<string, Case> = {
	"both streams are outputs, each less one newline at its end": {
		inputs: { create: "printf 'a\\n\\n'; printf 'b\\nc\\n' >&2" },
		stdout: "a\n",
		stderr: "b\nc",
	},
	"standard input reaches the command to the last byte": {
		inputs: { create: "cat", stdin: "é\n$HOME '\"\\ \n\nend" },
		stdout: "é\n$HOME '\"\\ \n\nend",
	},
	"without standard input there is nothing to read": { inputs: { create: "cat; echo read" }, stdout: "read" },
	"the environment is the provider's own and the resource's, which wins": {
		inputs: { create: 'echo "$KEPT $CHANGED $ADDED"', environment: { CHANGED: "resource", ADDED: "a b" } },
		stdout: "provider resource a b",
	},
	"the folder is the resource's": { inputs: { create: "pwd", dir: "/usr" }, stdout: "/usr" },
	"the interpreter gets the command as its last argument": {
		inputs: { create: "one two", interpreter: ["printf", "<%s>", "x"] },
		stdout: "<x><one two>",
	},
	"an empty interpreter is none": { inputs: { create: "echo $0", interpreter: [] }, stdout: "/bin/sh" },
	"what a child prints after the command has ended is waited for": {
		inputs: { create: "(sleep 0.3; echo late) & echo now" },
		stdout: "now\nlate",
	},
	// A line over 64 KiB makes the official provider wait for ever; ours takes it.
	"a long line and much output are returned whole": {
		inputs: { create: "head -c 60000 /dev/zero | tr '\\0' x; yes | head -n 500 >&2" },
		stdout: "x".repeat(60_000),
		stderr: "y\n".repeat(500).slice(0, -1),
	},
	"without a create command nothing runs": { inputs: { delete: "false" }, stdout: "" },
};

for (const subject of commandProviders()) {
	const { name } = subject;
	const env = { KEPT: "provider", CHANGED: "provider" };
	const start = (t: ExecutionContext) => CommandProvider.start(t, subject, env);

	test(`${name}: it says its version and what it serves`, async (t) => {
		const provider = await start(t);
		t.is(await provider.version(), "1.2.1");
		const schema = await provider.schema();
		t.is(schema.name, "command");
		t.is(schema.version, "1.2.1");
		t.true(schema.resources.includes("command:local:Command"));
		t.true(schema.functions.includes("command:local:run"));
	});

	test(`${name}: any configuration of it is as it was given`, async (t) => {
		const { inputs, failures } = await (await start(t)).checkConfig({ version: "1.2.1" });
		// The framework under both adds its own version, which the engine keeps and nobody compares.
		delete inputs["__pulumi-go-provider-version"];
		t.deepEqual({ inputs, failures }, { inputs: { version: "1.2.1" }, failures: [] });
	});

	test(`${name}: inputs are checked and come back as they were`, async (t) => {
		const provider = await start(t);
		const inputs = {
			create: "true",
			stdin: secret("s"),
			interpreter: ["bash", "-c"],
			logging: "stderr",
			triggers: ["x", 1, { deep: [true] }],
			environment: { A: unknown },
		};
		t.deepEqual(await provider.check(inputs), { inputs, failures: [] });
	});

	test(`${name}: an input of the wrong type is refused by name`, async (t) => {
		const provider = await start(t);
		const { failures } = await provider.check({ create: ["true"] });
		t.is(failures.length, 1);
		t.regex(failures[0] ?? "", /^create: /);
	});

	for (const [what, { inputs, stdout, stderr = "" }] of Object.entries(ways)) {
		test(`${name}: ${what}`, async (t) => {
			const { id, state } = await (await start(t)).create(inputs);
			t.deepEqual(state, { ...inputs, stdout, stderr });
			t.regex(id, /^greet[0-9a-f]{8}$/);
		});
	}

	test(`${name}: without a folder the command runs where the provider does`, async (t) => {
		t.is((await (await start(t)).create({ create: "pwd" })).state["stdout"], process.cwd());
	});

	test(`${name}: a preview of a creation runs nothing and knows no output`, async (t) => {
		const file = join(scratchFolder(t), "ran");
		const { state } = await (await start(t)).create({ create: `touch ${file}` }, true);
		t.deepEqual(state, { create: `touch ${file}`, stdout: unknown, stderr: unknown });
		t.false(existsSync(file));
	});

	test(`${name}: a failure tells the status, the command and both streams`, async (t) => {
		const provider = await start(t);
		await t.throwsAsync(provider.create({ create: "echo out; sleep 0.3; echo err >&2; exit 7" }), {
			message: 'exit status 7: running "echo out; sleep 0.3; echo err >&2; exit 7":\nout\nerr\n',
		});
		await t.throwsAsync(provider.create({ create: "kill -9 $$" }), {
			message: 'signal: killed: running "kill -9 $$":\n',
		});
	});

	test(`${name}: a program that is not there and a folder that is not there are told`, async (t) => {
		const provider = await start(t);
		await t.throwsAsync(provider.create({ create: "x", interpreter: ["/no/such"] }), {
			message: 'fork/exec /no/such: no such file or directory: running "x":\n',
		});
		await t.throwsAsync(provider.create({ create: "x", interpreter: ["no-such-program"] }), {
			message: 'exec: "no-such-program": executable file not found in $PATH: running "x":\n',
		});
		await t.throwsAsync(provider.create({ create: "x", dir: "/no/such" }), {
			message: 'chdir /no/such: no such file or directory: running "x":\n',
		});
	});

	test(`${name}: files that were asked for come back, the last pattern that fits decides`, async (t) => {
		const dir = scratchFolder(t);
		mkdirSync(join(dir, "out", "deep"), { recursive: true });
		for (const file of ["a.txt", "secret.txt", "deep/b.txt", "c.bin"]) writeFileSync(join(dir, "out", file), file);
		const { state } = await (await start(t)).create({
			create: "true",
			dir,
			assetPaths: ["out/**", "!**.txt", "out/a.txt"],
			archivePaths: ["out/*.txt", "!**secret*"],
		});
		const assets = { ...(state["assets"] as Properties) };
		t.deepEqual(Object.keys(assets).sort(), ["out/a.txt", "out/c.bin"]);
		t.like(assets["out/a.txt"], { [signature]: assetSignature, path: join(dir, "out/a.txt") });
		const archive = state["archive"] as Properties;
		t.is(archive[signature], archiveSignature);
		t.deepEqual(Object.keys({ ...(archive["assets"] as Properties) }), ["out/a.txt"]);
	});

	test(`${name}: secret inputs reach the command as they are and stay secret in the state`, async (t) => {
		const inputs = { create: 'cat; echo " $WORD"', stdin: secret("hush"), environment: { WORD: secret("word") } };
		const { state } = await (await start(t)).create(inputs);
		t.deepEqual(state["stdin"], secret("hush"));
		t.is((state["environment"] as Record<string, Properties>)["WORD"]?.[signature], secretSignature);
		const { stdout } = state;
		t.is(typeof stdout === "object" ? (stdout as Properties)["value"] : stdout, "hush word");
	});
}
