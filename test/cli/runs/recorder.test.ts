import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execaSync } from "execa";
import { recorder } from "../../../cli/runs/recorder.ts";
import { treeSha256 } from "../../../spec/content-hash.ts";

/** Puts what records into a project; returns its hash. */
function recorders(folder: string, text = "record();\n"): string {
	mkdirSync(join(folder, "cli"), { recursive: true });
	writeFileSync(join(folder, "cli", "main.ts"), text);
	return treeSha256(join(folder, "cli"));
}

/** A project of version 1.2.3 in a folder of its own. */
function project(t: ExecutionContext): { folder: string; git: (...args: string[]) => string } {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-test-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	writeFileSync(join(folder, "package.json"), '{ "version": "1.2.3" }\n');
	recorders(folder);
	const person = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
	return { folder, git: (...args) => execaSync("git", ["-C", folder, ...person, ...args]).stdout };
}

test("a clone has a commit, which says whether its files are others", async (t) => {
	const { folder, git } = project(t);
	git("init", "-q");
	const cli = recorders(folder);
	t.deepEqual(await recorder(folder), { tracelab: "1.2.3", cli, hostKernel: release() });
	git("add", ".");
	git("commit", "-q", "-m", "one");
	const commit = git("rev-parse", "HEAD").slice(0, 12);
	t.deepEqual(await recorder(folder), { tracelab: "1.2.3", commit, cli, hostKernel: release() });
	writeFileSync(join(folder, "of-no-commit"), "");
	t.is((await recorder(folder)).commit, commit);
	writeFileSync(join(folder, "package.json"), '{ "version": "1.2.4" }\n');
	t.deepEqual(await recorder(folder), { tracelab: "1.2.4", commit: `${commit}, edited`, cli, hostKernel: release() });
	const other = recorders(folder, "record(1);\n");
	t.not(other, cli);
	t.is((await recorder(folder)).cli, other);
});

test("a folder in somebody's clone has no commit", async (t) => {
	const { folder, git } = project(t);
	git("init", "-q");
	git("commit", "-q", "--allow-empty", "-m", "one");
	const inner = join(folder, "inner");
	mkdirSync(inner);
	writeFileSync(join(inner, "package.json"), '{ "version": "1" }\n');
	const cli = recorders(inner);
	t.deepEqual(await recorder(inner), { tracelab: "1", cli, hostKernel: release() });
});
