// The contract of the Node.js language host, told from the official one's sources (pulumi 3.259.0): what it says of
// a program's folder. How it runs programs is in language-host-run.test.ts.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { isAtLeast } from "../../toolchain/on-path.ts";
import { pulumiVersion } from "../../toolchain/parts.ts";
import { LanguageHost, languageHosts, scratchProgram } from "./language-host.ts";

const project = join(import.meta.dirname, "../..");

function manifest(name: string, pulumi?: object, version = "1.0.0"): string {
	return JSON.stringify({ name, version, ...(pulumi === undefined ? {} : { pulumi }) });
}

const value = Buffer.from("its value").toString("base64");

/** An installed package, and what it makes the program need. */
const installed: [what: string, files: Record<string, string>, needs: string[]][] = [
	["a package that is no provider's", { "node_modules/plain/package.json": manifest("plain") }, []],
	[
		"a package that says it has no plugin",
		{ "node_modules/@pulumi/x/package.json": manifest("@pulumi/x", { resource: false, name: "x" }) },
		[],
	],
	[
		"a provider that says its plugin's name, version and server",
		{
			"node_modules/mine/package.json": manifest("mine", {
				...{ resource: true, name: "yours", version: "v3.2.1", server: "https://example.org" },
			}),
		},
		["resource yours v3.2.1 https://example.org"],
	],
	[
		"an official provider that says nothing more",
		{ "node_modules/@pulumi/random/package.json": manifest("@pulumi/random", { resource: true }, "4.5.6") },
		["resource random v4.5.6"],
	],
	[
		"another's provider without its plugin's name",
		{ "node_modules/@them/x/package.json": manifest("@them/x", { resource: true }) },
		[],
	],
	[
		"a provider with parameters",
		{
			"node_modules/@pulumi/p/package.json": manifest("@pulumi/p", {
				...{ resource: true, name: "base", version: "1.1.3" },
				parameterization: { name: "p", version: "0.8.3", value },
			}),
		},
		["resource base v1.1.3  p@0.8.3=its value"],
	],
	[
		"a provider with an extension",
		{
			"node_modules/@pulumi/p/package.json": manifest("@pulumi/p", {
				...{ resource: true, name: "base", version: "1.1.3" },
				extensionParameterization: { name: "e", version: "0.1.0", value },
			}),
		},
		["resource base v1.1.3  e@0.1.0=its value"],
	],
	[
		"a provider inside another package",
		{
			"node_modules/outer/package.json": manifest("outer"),
			"node_modules/outer/node_modules/@pulumi/inner/package.json": manifest("@pulumi/inner", { resource: true }),
		},
		["resource inner v1.0.0"],
	],
	["a package.json that is no JSON", { "node_modules/broken/package.json": "{,}" }, []],
	["no package at all", {}, []],
];

for (const subject of languageHosts()) {
	const { name } = subject;
	const start = (t: ExecutionContext, bin?: string) => LanguageHost.start(t, subject, bin);

	test(`${name}: it says its version, on the command line and to the engine`, async (t) => {
		const { stdout } = await execa(subject.program, ["-version"]);
		t.true(isAtLeast(stdout, pulumiVersion));
		t.is(await (await start(t)).version(), stdout);
	});

	test(`${name}: it takes the engine's hand`, async (t) => {
		await t.notThrowsAsync((await start(t)).handshake());
	});

	for (const [what, files, needs] of installed) {
		test(`${name}: ${what} makes a program need ${needs.length === 0 ? "nothing" : "its plugin"}`, async (t) => {
			const folder = scratchProgram(t, { "package.json": manifest("program"), ...files });
			t.deepEqual(await (await start(t)).requiredPackages(folder), needs);
		});
	}

	test(`${name}: this project needs the command provider and the bridge with libvirt's parameters`, async (t) => {
		const [command, bridge, ...more] = await (await start(t)).requiredPackages(project);
		t.is(command, "resource command v1.2.1");
		t.regex(bridge ?? "", /^resource terraform-provider v1\.1\.3 {2}libvirt@0\.8\.3=\{"remote":/);
		t.deepEqual(more, []);
	});

	test(`${name}: a package that is linked to a folder above it is read to an end`, async (t) => {
		const folder = scratchProgram(t, {
			"package.json": manifest("program"),
			"node_modules/@pulumi/x/package.json": manifest("@pulumi/x", { resource: true }),
		});
		await execa("ln", ["-s", "..", join(folder, "node_modules", "self")]);
		t.deepEqual(await (await start(t)).requiredPackages(folder), ["resource x v1.0.0"]);
	});

	test(`${name}: a folder's name may have any character`, async (t) => {
		const below = "[*] a?/node_modules/@pulumi/x/package.json";
		const folder = scratchProgram(t, { [below]: manifest("@pulumi/x", { resource: true }) });
		t.deepEqual(await (await start(t)).requiredPackages(join(folder, "[*] a?")), ["resource x v1.0.0"]);
	});

	test(`${name}: the program's dependencies are those of its lock file`, async (t) => {
		const lock = {
			...{ name: "program", version: "1.0.0", lockfileVersion: 3, requires: true },
			packages: {
				"": { name: "program", version: "1.0.0", dependencies: { one: "^1.0.0" } },
				"node_modules/one": {
					version: "1.2.3",
					resolved: "https://example.org/one.tgz",
					dependencies: { two: "^2.0.0" },
				},
				"node_modules/two": { version: "2.3.4", resolved: "https://example.org/two.tgz" },
			},
		};
		const folder = scratchProgram(t, {
			"package.json": JSON.stringify({ name: "program", version: "1.0.0", dependencies: { one: "^1.0.0" } }),
			"package-lock.json": JSON.stringify(lock, undefined, 2),
		});
		const host = await start(t);
		t.deepEqual(await host.programDependencies(folder, false), ["one 1.2.3"]);
		t.deepEqual(await host.programDependencies(folder, true), ["one 1.2.3", "two 2.3.4"]);
	});

	test(`${name}: an installation is npm's, in the program's folder, and what npm says is passed on`, async (t) => {
		const folder = scratchProgram(t, {
			"package.json": manifest("program"),
			"node_modules/.keep": "",
			"bin/npm": '#!/bin/sh\necho "npm $* in $PWD"\necho words >&2\n',
		});
		const printed = await (await start(t, join(folder, "bin"))).install(folder);
		t.is(
			printed.stdout,
			`Installing dependencies...\n\nnpm install --loglevel=error in ${folder}\nFinished installing dependencies\n\n`,
		);
		t.is(printed.stderr, "words\n");
	});

	test(`${name}: an installation that fails is told`, async (t) => {
		const folder = scratchProgram(t, {
			"package.json": manifest("program"),
			"bin/npm": "#!/bin/sh\nexit 9\n",
		});
		const host = await start(t, join(folder, "bin"));
		await t.throwsAsync(host.install(folder), { message: /exit status 9/ });
	});

	test(`${name}: a provider's schema becomes an npm package`, async (t) => {
		const folder = scratchProgram(t, {});
		await (await start(t)).generatePackage(folder, {
			name: "greeter",
			version: "1.2.3",
			resources: { "greeter:index:Greeting": { inputProperties: { text: { type: "string" } } } },
		});
		const generated: { name: string; pulumi: object } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
		t.is(generated.name, "@pulumi/greeter");
		t.like(generated.pulumi, { resource: true, name: "greeter" });
		t.true(readdirSync(folder).includes("greeting.ts"));
		t.regex(readFileSync(join(folder, "greeting.ts"), "utf8"), /^ {4}text\?: pulumi\.Input</m);
	});
}
