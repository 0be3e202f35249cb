import { globSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { execaSync } from "execa";
import { ctfClock, ctfEvents, ctfTraces } from "../../../cli/runs/ctf.ts";
import { runSchema } from "../../../spec/run.ts";
import type { ScratchLab } from "../scratch-lab.ts";
import { babeltrace } from "../scratch-run.ts";
import { records, traceable, wallClockAhead } from "../scratch-trace.ts";

// Records the kernel that these tests run on, by an instance of tracefs of their own, beside a fake LTTng.

const tracefs = "/sys/kernel/tracing";

/** Whatever this machine has mounted, this shell sees its tracefs. */
const inTracefs = (script: string) =>
	execaSync("unshare", ["--mount", "sh", "-c", `mount -t tracefs tracefs ${tracefs} && cd ${tracefs} && ${script}`], {
		reject: false,
	});

const cannot = [
	process.geteuid?.() === 0 ? undefined : "needs root",
	babeltrace === undefined ? "no babeltrace2" : undefined,
	inTracefs("[ -e events/sched/sched_switch/format ]").exitCode === 0 ? undefined : "no tracefs that root may mount",
].find((reason) => reason !== undefined);
const real = cannot === undefined ? test.serial : test.serial.skip;
const why = cannot === undefined ? "" : ` (skipped: ${cannot})`;

// No other run, of these tests or of a lab, has an instance of that name.
const run = `host-${process.pid}`;
const instance = `tracelab-quickstart.${run}`;
const folder = `var/lib/tracelab/runs/quickstart/${run}`;

/** A lab on a host whose kernel is this very one. */
async function onThisKernel(t: ExecutionContext): Promise<ScratchLab> {
	const lab = await traceable(t);
	// A busy host has a good many events, each of which is read several times.
	t.timeout(300_000);
	mkdirSync(join(lab.root, "sys/kernel"), { recursive: true });
	symlinkSync(tracefs, join(lab.root, tracefs));
	records(lab, ["cpu_in"], ["irq_handler_entry"]);
	t.teardown(() => inTracefs(`rmdir instances/${instance}*`));
	return lab;
}

const instances = () => inTracefs("ls instances").stdout.split("\n");

/** Those that write the pages of this run. */
function writers(): string[] {
	return readdirSync("/proc").filter((pid) => {
		try {
			return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`/instances/${instance}\0`);
		} catch {
			// It has ended meanwhile.
			return false;
		}
	});
}

const hostLayer = (lab: ScratchLab) =>
	runSchema.parse(JSON.parse(lab.read(`${folder}/run.json`))).layers.find(({ layer }) => layer === "host");

/** Records until somebody ends it. */
async function started(t: ExecutionContext, lab: ScratchLab): Promise<void> {
	const { code, stderr } = await lab.lab(["trace", "start", "exits-and-interrupts", "-d", "vm", "--name", run]);
	t.is(code, 0, stderr);
	t.deepEqual(
		instances().filter((name) => name.startsWith(instance)),
		[instance],
	);
	t.is(writers().length, 1);
}

function gone(t: ExecutionContext): void {
	t.deepEqual(
		instances().filter((name) => name.startsWith(instance)),
		[],
	);
	t.deepEqual(writers(), []);
}

real(`the host's kernel is recorded by its own ftrace where it has no lttng-modules${why}`, async (t) => {
	const lab = await onThisKernel(t);
	const mounts = readFileSync("/proc/mounts", "utf8");
	const before = process.hrtime.bigint();
	const { code, stderr } = await lab.lab([
		...["trace", "run", "exits-and-interrupts", "-d", "vm", "--layer", "host", "--name", run, "--"],
		...["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1; done"],
	]);
	const after = process.hrtime.bigint();
	t.is(code, 0, stderr);
	t.log(stderr);
	const host = hostLayer(lab);
	t.is(host?.tracer, "ftrace");
	t.true((host?.events["sched_switch"] ?? 0) > 9, stderr);
	t.true(stderr.split("\n").includes("the kernel of this host has no lttng-modules: ftrace recorded it"), stderr);
	t.deepEqual(readdirSync(join(lab.root, folder, "host")), ["kernel"]);
	const [trace] = ctfTraces(join(lab.root, folder, "host"));
	if (trace === undefined) return t.fail("the host has no trace");
	const clock = await ctfClock(trace);
	t.is(clock.uuid, readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
	// Within a second, as somebody may set the wall clock meanwhile.
	const wall = wallClockAhead();
	t.true(Math.abs(Number(clock.offset - wall)) < 1e9);
	let total = 0;
	let last = 0n;
	for await (const events of ctfEvents(trace)) {
		for (const { cycles, fields, name } of events) {
			if (cycles < last || cycles < before || cycles > after) t.fail(`${name} at ${cycles}`);
			if (name === "sched_switch" && typeof fields["prev_comm"] !== "string") t.fail("no prev_comm");
			last = cycles;
			total++;
		}
	}
	t.is(host?.total, total);
	gone(t);
	t.deepEqual(readdirSync(join(lab.root, folder)).sort(), ["host", "project", "qemu", "run.json"]);
	t.is(readFileSync("/proc/mounts", "utf8"), mounts);
	const merged = await lab.lab(["events", run, "--layer", "host"]);
	const times = merged.stdout.split("\n").map((line) => Number(line.split(" ")[0]));
	t.is(times.length, total);
	t.deepEqual(
		times,
		times.toSorted((one, two) => one - two),
	);
	const drawn = await lab.lab(["report", run, "--perfetto", join(lab.root, "run.json")]);
	t.is(drawn.code, 0, drawn.stderr);
	t.regex(lab.read("run.json"), /"name":"sleep"/);
});

real(`what trace start records of the host's kernel goes on until trace stop${why}`, async (t) => {
	const lab = await onThisKernel(t);
	await started(t, lab);
	await pause(1000);
	const { code, stdout, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	t.regex(stdout, /^the kernel of this host has no lttng-modules: ftrace recorded it$/m);
	const { events = {}, seconds = 0 } = hostLayer(lab) ?? {};
	t.true((events["sched_switch"] ?? 0) > 9);
	t.true(seconds >= 1);
	gone(t);
});

real(`an instance that somebody removed is why the host's layer lacks what came last${why}`, async (t) => {
	const lab = await onThisKernel(t);
	await started(t, lab);
	const pages = () => globSync(join(lab.root, folder, "ftrace/cpu*"));
	while (!pages().some((file) => statSync(file).size > 0)) await pause(100);
	for (const pid of writers()) process.kill(Number(pid));
	while (inTracefs(`rmdir instances/${instance}`).exitCode !== 0) await pause(100);
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 1);
	const said = `somebody removed the instance ${instance} of tracefs, which recorded the kernel of this host`;
	t.is(stderr, `lab: the layer host lacks what came last: ${said}`);
	t.true((hostLayer(lab)?.total ?? 0) > 0);
});

real(`destroy ends what records the host's kernel${why}`, async (t) => {
	const lab = await onThisKernel(t);
	await started(t, lab);
	lab.write("state/.pulumi/stacks/tracelab/quickstart.json", '{"checkpoint":{"latest":null}}');
	lab.fake("pulumi", "exit 0");
	const { code, stderr } = await lab.lab(["destroy", "-y"]);
	t.deepEqual([code, stderr], [0, `lab: run ${run} was being recorded: its session goes with the lab`]);
	gone(t);
});

real(
	`where somebody removes the run that is being recorded, so does who writes its pages with the instance${why}`,
	async (t) => {
		const lab = await onThisKernel(t);
		await started(t, lab);
		rmSync(join(lab.root, folder), { recursive: true });
		for (let tries = 0; tries < 50 && writers().length > 0; tries++) await pause(100);
		gone(t);
	},
);
