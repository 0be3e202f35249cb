// How a program is run: what reaches it, how it ended, and that it can be stopped.
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { LanguageHost, languageHosts, type Run, runnable, scratchProgram } from "./language-host.ts";

/** Writes what reached it beside itself. */
const witness = `
	const pulumi = require("@pulumi/pulumi");
	const names = ["PULUMI_NODEJS_TYPESCRIPT", "PULUMI_NODEJS_TSCONFIG_PATH", "PULUMI_NODEJS_DRY_RUN"];
	require("node:fs").writeFileSync(require("node:path").join(__dirname, "witness.json"), JSON.stringify({
		cwd: process.cwd(),
		args: process.argv.slice(2),
		node: process.execArgv,
		is: [pulumi.getOrganization(), pulumi.getProject(), pulumi.getStack(), process.env.PULUMI_NODEJS_PARALLEL],
		config: new pulumi.Config().get("key") ?? null,
		foreign: new pulumi.Config("other").get("key") ?? null,
		secret: pulumi.runtime.isConfigSecret("proj:key"),
		env: Object.fromEntries(names.map((name) => [name, process.env[name]])),
	}));
`;

const nothingSpecial = {
	args: [],
	node: [],
	is: ["org", "proj", "stack", "7"],
	config: null,
	foreign: null,
	secret: false,
	env: {},
};

/** What is asked for, and what of it differs from nothing special. */
const reaches: [what: string, run: Run, difference: Partial<Record<keyof typeof nothingSpecial, unknown>>][] = [
	["nothing but the names, of a stack without configuration", {}, {}],
	["configuration", { config: { "proj:key": "a b\n'\"", "other:key": "{}" } }, { config: "a b\n'\"", foreign: "{}" }],
	["what of it is secret", { config: { "proj:key": "x" }, secretKeys: ["proj:key"] }, { config: "x", secret: true }],
	["arguments", { args: ["one", "two three", "--four"] }, { args: ["one", "two three", "--four"] }],
	["that it is a preview", { dryRun: true }, { env: { PULUMI_NODEJS_DRY_RUN: "true" } }],
	["the wish for ts-node", { options: { typescript: true } }, { env: { PULUMI_NODEJS_TYPESCRIPT: "true" } }],
	[
		"arguments of Node itself",
		{ options: { nodeargs: "--no-warnings --stack-size=2000" } },
		{ node: ["--no-warnings", "--stack-size=2000"] },
	],
];

/** How a program ends, what the engine is told, and what the person is shown. */
const ends: [what: string, program: string, response: { error: string; bail: boolean }, shown: RegExp | undefined][] = [
	["a program that ends well", "", { error: "", bail: false }, undefined],
	[
		"a status of its own choice",
		"process.exit(3)",
		{ error: "Program exited with non-zero exit code: 3", bail: false },
		undefined,
	],
	[
		"a signal",
		'process.kill(process.pid, "SIGKILL")',
		{ error: "Program exited with non-zero exit code: -1", bail: false },
		undefined,
	],
	[
		"a RunError",
		'throw new (require("@pulumi/pulumi").RunError)("the disk is full")',
		{ error: "", bail: true },
		/^the disk is full$/,
	],
	[
		"a ResourceError",
		'throw new (require("@pulumi/pulumi").ResourceError)("no such disk")',
		{ error: "", bail: true },
		/no such disk/,
	],
	[
		"an uncaught error",
		'throw new TypeError("surprise")',
		{ error: "", bail: true },
		/^Running program '[^']*' failed with an unhandled exception:\n.*TypeError: surprise\n {4}at /s,
	],
	[
		"a rejection that nobody handles",
		'Promise.reject(new Error("later")); setTimeout(() => {}, 5000)',
		{ error: "", bail: true },
		/Error: later/,
	],
	["an entry that cannot be read as a program", "not a program", { error: "", bail: true }, /SyntaxError/],
	[
		"a package that is not installed",
		'require("no-such-package")',
		{ error: "", bail: true },
		/Cannot find module 'no-such-package'/,
	],
];

for (const subject of languageHosts()) {
	const { name } = subject;
	const start = (t: ExecutionContext) => LanguageHost.start(t, subject);

	for (const [what, run, difference] of reaches) {
		test(`${name}: a program gets ${what}`, async (t) => {
			const folder = runnable(t, witness);
			const host = await start(t);
			t.deepEqual([await host.run(folder, run), host.engine.lines], [{ error: "", bail: false }, []]);
			t.deepEqual(JSON.parse(readFileSync(join(folder, "witness.json"), "utf8")), {
				cwd: realpathSync(folder),
				...nothingSpecial,
				...difference,
			});
		});
	}

	for (const [what, program, response, shown] of ends) {
		test(`${name}: ${what} is ${response.bail ? "told by the program itself" : "the answer"}`, async (t) => {
			const host = await start(t);
			t.deepEqual(await host.run(runnable(t, program)), response);
			if (shown === undefined) t.deepEqual(host.engine.lines, []);
			else
				t.true(
					host.engine.lines.some(({ text }) => shown.test(text.trim())),
					JSON.stringify(host.engine.lines),
				);
		});
	}

	test(`${name}: what a program prints is passed on`, async (t) => {
		const host = await start(t);
		await host.run(runnable(t, 'process.stdout.write("to stdout\\n"); process.stderr.write("to stderr\\n")'));
		const printed = () => host.plugin.printed().trim().split("\n").sort();
		// The answer and the streams come by different ways.
		while (printed().length < 2) await setTimeout(20);
		t.deepEqual(printed(), ["to stderr", "to stdout"]);
	});

	test(`${name}: without @pulumi/pulumi the answer says to install it`, async (t) => {
		const { error, bail } = await (await start(t)).run(scratchProgram(t, { "index.js": "" }));
		t.false(bail);
		t.regex(error, /Have you run pulumi install\?\s*$/);
	});

	test(`${name}: a folder above may hold @pulumi/pulumi`, async (t) => {
		const folder = scratchProgram(t, {
			"node_modules/@pulumi/pulumi": null,
			"below/package.json": '{"main":"index.js"}',
			"below/index.js": "",
		});
		t.deepEqual(await (await start(t)).run(join(folder, "below")), { error: "", bail: false });
	});

	test(`${name}: a cancelled program is interrupted, its end is told, and the host goes on`, async (t) => {
		const folder = runnable(
			t,
			`const { writeFileSync } = require("node:fs");
			process.on("SIGINT", () => { writeFileSync(__dirname + "/interrupted", ""); process.exit(5); });
			writeFileSync(__dirname + "/running", "");
			setInterval(() => {}, 1000);`,
		);
		const host = await start(t);
		const run = host.run(folder);
		while (!existsSync(join(folder, "running"))) await setTimeout(20);
		await host.cancel();
		t.deepEqual(await run, { error: "Program exited with non-zero exit code: 5", bail: false });
		t.true(existsSync(join(folder, "interrupted")));
		t.regex(await host.version(), /^v3\./);
	});
}
