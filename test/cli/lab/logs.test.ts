import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, utimesSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { project } from "../../../cli/host.ts";
import { ScratchLab } from "../scratch-lab.ts";

async function there(t: ExecutionContext): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	const now = Date.now() / 1000;
	const log = (name: string, text: string, ago: number) =>
		utimesSync(lab.write(`var/log/tracelab/quickstart/${name}`, text), now, now - ago);
	log("qemu-main.log", "x".repeat(1_234_567), 3 * 3600 + 60);
	log("host-packages.log", "one\ntwo\n", 4 * 3600);
	log("a-file.txt", "", 0);
	return lab;
}

test.serial("the logs are listed, the newest last", async (t) => {
	const lab = await there(t);
	const { code, stdout, stderr } = await lab.lab(["logs"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	t.deepEqual(stdout.split("\n"), [
		"STEP           SIZE    LAST WRITTEN",
		"host-packages  8 B     4 h 00 min ago",
		"qemu-main      1.2 MB  3 h 01 min ago",
	]);
});

test.serial("a log is printed as it is", async (t) => {
	const lab = await there(t);
	t.deepEqual(await lab.lab(["logs", "host-packages"]), { code: 0, stdout: "one\ntwo", stderr: "" });
	t.is((await lab.lab(["logs", "qemu-main"])).stdout.length, 1_234_567);
});

test.serial("what moved aside when a log got long is a part of it, and no step of its own", async (t) => {
	const lab = await there(t);
	lab.write("var/log/tracelab/quickstart/host-packages.log.1", "zero\n");
	t.regex((await lab.lab(["logs"])).stdout, /^host-packages +13 B +4 h 00 min ago$/m);
	t.is((await lab.lab(["logs", "host-packages"])).stdout, "zero\none\ntwo");
	const { stderr } = await lab.lab(["logs", "nope"]);
	t.regex(stderr, /the logs there are: host-packages, qemu-main$/);
});

test.serial("a log is followed until Ctrl-C", async (t) => {
	const lab = await there(t);
	const child = spawn(process.execPath, [`${project}/cli/main.ts`, "logs", "-f", "host-packages"], {
		env: lab.env,
		detached: true,
		stdio: ["ignore", "pipe", "ignore"],
	});
	// With what follows the log.
	t.teardown(() => child.exitCode ?? process.kill(-(child.pid ?? 0), "SIGKILL"));
	t.is(String((await once(child.stdout, "data"))[0]), "one\ntwo\n");
	appendFileSync(`${lab.root}/var/log/tracelab/quickstart/host-packages.log`, "three\n");
	t.is(String((await once(child.stdout, "data"))[0]), "three\n");
	process.kill(-(child.pid ?? 0), "SIGINT");
	t.deepEqual(await once(child, "close"), [130, null]);
});

test.serial("whoever has read enough ends it", async (t) => {
	const lab = await there(t);
	lab.write("pipe", 'set -o pipefail\n"$@" | head -c 3\n');
	const args = [`${lab.root}/pipe`, process.execPath, `${project}/cli/main.ts`, "logs", "qemu-main"];
	const { exitCode, stdout, stderr } = await execa("bash", args, { env: lab.env, reject: false });
	t.deepEqual({ exitCode, stdout, stderr }, { exitCode: 0, stdout: "xxx", stderr: "" });
});

const refuses = test.macro({
	title: (_, args: string[]) => `./lab ${args.join(" ")} has nothing to show`,
	async exec(t, args: string[], code: number, stderr: string) {
		const lab = await there(t);
		t.deepEqual(await lab.lab(args), { code, stdout: "", stderr });
	},
});

test.serial(
	refuses,
	["logs", "qemu-mian"],
	2,
	'lab: there is no log of a step "qemu-mian" (did you mean "qemu-main"?)\n  what to do: the logs there are: host-packages, qemu-main',
);
test.serial(
	refuses,
	["logs", "../quickstart/qemu-main"],
	2,
	'lab: there is no log of a step "../quickstart/qemu-main"\n  what to do: the logs there are: host-packages, qemu-main',
);
test.serial(
	refuses,
	["logs", "-s", "debug"],
	1,
	'lab: stack "debug" has no logs yet\n  what to do: bring it up: ./lab -s debug up',
);
test.serial(
	refuses,
	["logs", "-s", "nope", "-f", "x"],
	2,
	'lab: there is no stack "nope"\n  what to do: the stacks there are: debug, probes, quickstart, versions',
);
