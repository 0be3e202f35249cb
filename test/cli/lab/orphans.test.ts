import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { project } from "../../../cli/host.ts";
import { endOrphans } from "../../../cli/lab/orphans.ts";
import { runs } from "../../scripts/run-step.ts";

const own = `${project}/.pulumi/plugins/resource-command/pulumi-resource-command`;
const inner = "/elsewhere/.pulumi/dynamic_tf_plugins/terraform-provider-libvirt";
const host = `${project}/.pulumi/bin/pulumi-language-nodejs`;
const programOf = (folder: string) =>
	`node ${folder}/node_modules/@pulumi/pulumi/cmd/run/index.js --root-directory ${folder} --stack quickstart index.ts`;

/** Starts a process of that name, called `program`, with a child for each command line; their pids, its own first. */
async function started(t: ExecutionContext, name: string, program: string, ...children: string[]): Promise<string[]> {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-orphans-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const file = join(folder, name);
	copyFileSync("/bin/bash", file);
	const script = `for child; do
		(words=($child); exec -a "\${words[0]}" perl -e 'sleep 60' "\${words[@]:1}") & echo $!
	done; echo $$; wait`;
	const shell = spawn(file, ["-c", script, "sh", ...children], { argv0: program });
	const pids: string[] = [];
	for await (const line of createInterface(shell.stdout)) {
		pids.unshift(line);
		if (pids.length > children.length) break;
	}
	t.teardown(() => {
		for (const pid of pids.filter(runs)) process.kill(Number(pid));
	});
	// Until its exec a child is its parent's copy.
	for (const [index, pid] of pids.slice(1).reverse().entries()) await called(pid, children[index]?.split(" ")[0] ?? "");
	return [pids[0] ?? "", ...pids.slice(1).reverse()];
}

async function called(pid: string, program: string): Promise<void> {
	while (readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0] !== program) await pause(10);
}

async function ended(pid: string): Promise<boolean> {
	for (let tries = 0; tries < 200 && runs(pid); tries++) await pause(10);
	return !runs(pid);
}

test.serial("a plugin whose engine is gone is ended with its own, and the script of a step goes on", async (t) => {
	const [plugin = "", nested = "", script = ""] = await started(t, "plugin", own, inner, "bash -s -- apply");
	endOrphans();
	t.true(await ended(plugin));
	t.true(await ended(nested));
	t.true(runs(script));
});

test.serial("a stack's program whose engine is gone is ended, below its language host or alone", async (t) => {
	const [language = "", below = ""] = await started(t, "plugin", host, programOf(project));
	const [, alone = ""] = await started(t, "reaper", "reaper", programOf(project));
	endOrphans();
	for (const pid of [language, below, alone]) t.true(await ended(pid));
});

test.serial("the plugins and the program of an engine that lives, and another project's, are left alone", async (t) => {
	const ours = await started(t, "pulumi", "pulumi", own, programOf(project));
	const others = await started(t, "plugin", "/elsewhere/.pulumi/plugins/x", inner, programOf("/elsewhere"));
	const alone = await started(t, "reaper", "reaper", programOf("/elsewhere"));
	endOrphans();
	await pause(200);
	const all = [...ours, ...others, ...alone];
	t.deepEqual(all.filter(runs), all);
});
