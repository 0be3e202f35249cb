import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";

const script = fileURLToPath(new URL("../../scripts/test", import.meta.url));

/** Runs `scripts/test host` over an ava that prints `said` and ends with `code`; returns the closing line and the status. */
async function closing(t: ExecutionContext, said: string, code: number): Promise<[string, number | undefined]> {
	const { stdout, exitCode } = await over(t, said, code);
	return [stdout.split("\n").at(-1) ?? "", exitCode];
}

async function over(t: ExecutionContext, said: string, code: number) {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-test-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	for (const inner of ["scripts", "node_modules/.bin"]) mkdirSync(join(folder, inner), { recursive: true });
	cpSync(script, join(folder, "scripts/test"));
	writeFileSync(join(folder, "said"), said);
	writeFileSync(join(folder, "node_modules/.bin/ava"), `#!/bin/sh\ncat said\nexit ${code}\n`, { mode: 0o755 });
	return execa(join(folder, "scripts/test"), ["host"], { reject: false });
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

test("what failed is told once more before the closing line, wherever in the output it was", async (t) => {
	const { stdout } = await over(t, failing, 1);
	const told = failing.slice(failing.indexOf("  ─")).trim();
	t.true(stdout.endsWith(`${told}\n\n2 passed, 1 failed, 4 skipped`), stdout);
});

test("a test that says that it was skipped is no passed one", async (t) => {
	const said =
		"  ✔ lab › one\n  ✔ lab › kvm\n    ℹ skipped: this host has no /dev/kvm\n  - [skip] lab › later\n  ─\n\n  2 tests passed\n  1 test skipped\n";
	t.deepEqual(await closing(t, said, 0), ["1 passed, 0 failed, 2 skipped", 0]);
});

test("a run that died without a word is a failure", async (t) => {
	t.deepEqual(await closing(t, "  ✔ lab › one\n", 137), ["1 passed, 1 failed, 0 skipped", 1]);
});
