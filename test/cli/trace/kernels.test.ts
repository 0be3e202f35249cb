import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { asRoot } from "../../as-root.ts";
import { fakeFtrace, ftracePart } from "../../scripts/fake-ftrace.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import { babeltrace, bootIds, writeTrace } from "../scratch-run.ts";
import {
	flies,
	folder,
	noBeacon,
	readRun,
	records,
	stopsOnceThereIsRoom,
	traceable,
	traceRun,
} from "../scratch-trace.ts";

// One at a time, since each starts Node. A kernel as a layer of a run: the host's, and one that ftrace records.

const exits = ["trace", "run", "exits-and-interrupts", "-d", "vm", "--name", "one"];

// In place of perl. The fake pages stay when they are read: so they are only once.
const writer = 'echo 1 >"$3/tracing_on"; while sleep 0.1; do :; done';

/** A lab whose guest has ftrace in place of lttng-modules. */
async function withFtrace(t: ExecutionContext): Promise<ScratchLab> {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], []);
	const fake = (name: string, body: string) => lab.write(`guest-bin/${name}`, `#!/bin/sh\n${body}\n`, 0o755);
	fakeFtrace(lab, fake);
	fake("perl", writer);
	return lab;
}

const byFtrace = "guest vm has no lttng-modules for its kernel: ftrace recorded it";
const withBabeltrace = babeltrace === undefined ? test.serial.skip : asRoot;
const why = babeltrace === undefined ? " (skipped: no babeltrace2)" : "";

withBabeltrace(
	`ftrace records the kernel of a guest without lttng-modules, as CTF of LTTng's names${why}`,
	async (t) => {
		const lab = await withFtrace(t);
		const available = "guest/sys/kernel/tracing/available_events";
		lab.write(available, lab.read(available).replace("block:block_rq_merge\n", ""));
		const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
		t.is(code, 0, stderr);
		const run = readRun(lab, "one");
		t.deepEqual(run.notes, [
			noBeacon,
			byFtrace,
			"the kernel of vm has no tracepoint block_rq_merge: nothing of that was recorded",
			"guest vm lost 360 events: its buffers (8 of 1024 KiB for each processor, by a budget of 4 MB/s) were full; record less, by a smaller profile, or allow more, by budget: in a copy of profiles/block-io.yaml or in traces: of the stack file",
		]);
		t.true(stderr.split("\n").includes(byFtrace), stderr);
		t.deepEqual(run.lttng.guests, {});
		const [, guest] = run.layers;
		t.like(guest, { layer: "guest", domain: "vm", tracer: "ftrace", path: "guest/vm", total: 80 });
		t.deepEqual([guest?.discarded, guest?.lostPackets], [184 + 176, 0]);
		// And none of the others in those buffers.
		const [requests, interrupts] = [12, 28];
		t.deepEqual(guest?.events, {
			...{ block_rq_complete: requests, block_rq_issue: requests },
			...{ irq_handler_entry: interrupts, irq_handler_exit: interrupts },
		});
		t.deepEqual(readdirSync(join(lab.root, folder, "one/guest/vm/kernel")).sort(), ["cpu0", "cpu1", "metadata"]);
		t.deepEqual(readdirSync(join(lab.root, "guest/sys/kernel/tracing/instances")), ["README"]);
		t.deepEqual(readdirSync(join(lab.root, "dev/shm/tracelab")), []);
	},
);

asRoot("where ftrace recorded nothing, the cause is that nothing happened", async (t) => {
	const lab = await withFtrace(t);
	for (const cpu of ["cpu0", "cpu1"]) lab.write(`ftrace/instance/per_cpu/${cpu}/trace_pipe_raw`, "");
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 1, stderr);
	t.regex(
		stderr,
		/^lab: the layer guest vm recorded nothing: all is well with the tracing, but none of these happened: /m,
	);
});

withBabeltrace(`a flight recorder's snapshot has what ftrace holds, and that goes on${why}`, async (t) => {
	const lab = await withFtrace(t);
	flies(lab, "host");
	const instance = join(lab.root, "guest/sys/kernel/tracing/instances/tracelab-quickstart-flight");
	cpSync(join(lab.root, "ftrace/instance"), instance, { recursive: true });
	for (const file of ["events", "formats", "system"])
		cpSync(join(ftracePart, file), join(lab.root, "dev/shm/tracelab/tracelab-quickstart-flight", file));
	const { code, stderr } = await lab.lab(["trace", "snapshot", "flight", "--name", "f"]);
	t.is(code, 0, stderr);
	const [, guest] = readRun(lab, "f").layers;
	t.like(guest, { layer: "guest", tracer: "ftrace", total: 382, discarded: 0, lostPackets: 0 });
	t.is(readFileSync(join(instance, "tracing_on"), "utf8"), "1\n");
	t.deepEqual(readdirSync(join(lab.root, "dev/shm/tracelab")), ["tracelab-quickstart-flight"]);
});

const untraced = `the kernel of this host (${release()}) is not traced: it has no lttng-modules, and no tracefs that root may mount`;

asRoot("where the host's kernel cannot be traced, a run says so in a sentence, and is a success", async (t) => {
	const lab = await traceable(t);
	records(lab, ["cpu_in"], ["irq_handler_entry"]);
	const { code, stderr } = await lab.lab([...exits, "--", "true"]);
	t.is(code, 0, stderr);
	t.deepEqual(stderr.split("\n").filter((line) => line === untraced).length, 1);
	t.deepEqual(
		readRun(lab, "one").layers.map(({ layer, total, absent }) => [layer, total, absent]),
		[
			["qemu", 1, undefined],
			["host", 0, untraced],
			["guest", 1, undefined],
		],
	);
	const alone = await lab.lab([...exits.with(-1, "two"), "--layer", "host", "--", "true"]);
	t.is(alone.code, 1);
	t.true(
		alone.stderr.endsWith(
			`lab: ${untraced}\n  what to do: leave --layer host out, or install lttng-modules-dkms on this host`,
		),
		alone.stderr,
	);
});

asRoot("where the host's kernel can be traced, it is a layer of a run, and is not silently empty", async (t) => {
	const lab = await traceable(t);
	records(lab, ["cpu_in"], ["irq_handler_entry"]);
	lab.write("lttng/kernel", "");
	writeTrace(lab, "../../../../../lttng/made/host/kernel", {
		...{
			events: [[900_000_000_000n, "kernel irq_handler_exit: { cpu_id = 0 }, { }"]],
			bootId: bootIds.host,
			offset: 5n,
		},
	});
	const { code, stderr } = await lab.lab([...exits, "--", "true"]);
	t.is(code, 0, stderr);
	t.deepEqual(
		readRun(lab, "one").layers.map(({ layer, events, absent }) => [layer, events, absent]),
		[
			["qemu", { cpu_in: 1 }, undefined],
			["host", { irq_handler_exit: 1 }, undefined],
			["guest", { irq_handler_entry: 1 }, undefined],
		],
	);
	writeTrace(lab, "../../../../../lttng/made/host/kernel", { events: [], bootId: bootIds.host, offset: 5n });
	const empty = await lab.lab([...exits.with(-1, "two"), "--", "true"]);
	t.is(empty.code, 1);
	t.regex(
		empty.stderr,
		/lab: the layer host recorded nothing: all is well with the tracing, but none of these happened: kvm_x86_\*, irq_/,
	);
});

/** A lab on a host that has ftrace in place of lttng-modules. */
async function withHostFtrace(t: ExecutionContext): Promise<ScratchLab> {
	const lab = await traceable(t);
	records(lab, ["cpu_in"], ["irq_handler_entry"]);
	const fake = (name: string, body: string) => lab.fake(name, body);
	fakeFtrace(lab, fake, "host");
	fake("perl", writer);
	return lab;
}

const hostByFtrace = "the kernel of this host has no lttng-modules: ftrace recorded it";

const absent =
	"the kernel of this host has no tracepoint kvm_x86_*, irq_softirq_exit, sched_switch: nothing of that was recorded";

const interrupts = { irq_handler_entry: 28, irq_handler_exit: 28 };

withBabeltrace(
	`ftrace records the host's kernel where it has no lttng-modules, as CTF of LTTng's names${why}`,
	async (t) => {
		const lab = await withHostFtrace(t);
		const { code, stderr } = await lab.lab([...exits, "--", "true"]);
		t.is(code, 0, stderr);
		const run = readRun(lab, "one");
		t.deepEqual(run.notes.slice(0, 3), [noBeacon, hostByFtrace, absent]);
		t.is(
			run.notes.at(-1),
			"host lost 360 events: its buffers (8 of 4096 KiB for each processor, by a budget of 10 MB/s) were full; record less, by a smaller profile, or allow more, by budget: in a copy of profiles/exits-and-interrupts.yaml or in traces: of the stack file",
		);
		const [, host] = run.layers;
		t.like(host, { layer: "host", tracer: "ftrace", path: "host", discarded: 184 + 176, lostPackets: 0 });
		t.like(host?.events, interrupts);
		t.deepEqual(readdirSync(join(lab.root, folder, "one/host/kernel")).sort(), ["cpu0", "cpu1", "metadata"]);
		t.is(statSync(join(lab.root, folder, "one/host")).mode & 0o777, 0o750);
		t.deepEqual(readdirSync(join(lab.root, "sys/kernel/tracing/instances")), ["README"]);
		t.deepEqual(readdirSync(join(lab.root, folder, "one")).sort(), ["guest", "host", "project", "qemu", "run.json"]);
	},
);

withBabeltrace(
	`where the disk has no room for the host's kernel, the run is to be stopped once there is some${why}`,
	async (t) => {
		const lab = await withHostFtrace(t);
		t.is((await lab.lab(["trace", "start", ...exits.slice(2)])).code, 0);
		const instance = "sys/kernel/tracing/instances/tracelab-quickstart.one/per_cpu";
		const { run } = await stopsOnceThereIsRoom(t, lab, "ftrace/stats", () => {
			// What was read of them is not there twice.
			for (const cpu of readdirSync(join(lab.root, instance))) lab.write(`${instance}/${cpu}/trace_pipe_raw`, "");
		});
		t.deepEqual(
			run.layers.map(({ layer }) => layer),
			["qemu", "host", "guest"],
		);
		t.like(run.layers[1]?.events, interrupts);
		t.deepEqual(readdirSync(join(lab.root, folder, "one")).sort(), ["guest", "host", "project", "qemu", "run.json"]);
		t.deepEqual(readdirSync(join(lab.root, "sys/kernel/tracing/instances")), ["README"]);
	},
);

/** A process that has the number of who wrote the pages of the host's kernel, and that ended before. */
function stranger(t: ExecutionContext, lab: ScratchLab): ChildProcess {
	const file = `${folder}/one/ftrace.pid`;
	process.kill(Number(lab.read(file)), "SIGKILL");
	const other = spawn("sleep", ["100"]);
	t.teardown(() => other.kill());
	lab.write(file, `${other.pid}\n`);
	return other;
}

withBabeltrace(`who has the number of the process that wrote a kernel's pages is not ended for it${why}`, async (t) => {
	const lab = await withHostFtrace(t);
	t.is((await lab.lab(["trace", "start", ...exits.slice(2)])).code, 0);
	const other = stranger(t, lab);
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	t.like(readRun(lab, "one").layers[1]?.events, interrupts);
	t.deepEqual(readdirSync(join(lab.root, "sys/kernel/tracing/instances")), ["README"]);
	t.deepEqual([other.exitCode, other.signalCode], [null, null]);
});

withBabeltrace(
	`a flight recorder's snapshot has what ftrace holds of the host's kernel, and that goes on${why}`,
	async (t) => {
		const lab = await withHostFtrace(t);
		const session = "tracelab-quickstart-flight";
		const flight = { domains: ["vm"], profile: "exits-and-interrupts", budget: { rate: 10, events: 150_000 }, session };
		lab.up({ ...card, traces: { flight } });
		flies(lab, "host");
		flies(lab, "guest");
		const snapshot = (name: string) => lab.lab(["trace", "snapshot", "flight", "--name", name]);
		const before = await snapshot("before");
		t.is(before.code, 1);
		t.true(
			before.stderr.includes(
				"lab: the layer host recorded nothing: nothing recorded it any more\n  what to do: ./lab up records it again",
			),
			before.stderr,
		);
		const instance = join(lab.root, "sys/kernel/tracing/instances", session);
		cpSync(join(lab.root, "ftrace/instance"), instance, { recursive: true });
		for (const file of ["events", "formats", "system"])
			cpSync(join(ftracePart, file), join(lab.root, "run/tracelab/ftrace", session, file));
		const { code, stdout, stderr } = await snapshot("f");
		t.is(code, 0, stderr);
		t.true(stdout.split("\n").includes(hostByFtrace), stdout);
		t.like(readRun(lab, "f").layers[1], { layer: "host", tracer: "ftrace", total: 382, discarded: 0, lostPackets: 0 });
		t.is(readFileSync(join(instance, "tracing_on"), "utf8"), "1\n");
		t.deepEqual(readdirSync(join(lab.root, "run/tracelab/ftrace")), [session]);
		t.false(existsSync(join(lab.root, folder, "f/ftrace")));
	},
);
