import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { release } from "node:os";
import { join, relative } from "node:path";
import test, { type ExecutionContext } from "ava";
import { project } from "../../../cli/host.ts";
import { clockRecordSchema } from "../../../spec/clock-record.ts";
import { loadProfile } from "../../../spec/load-profile.ts";
import { runSchema } from "../../../spec/run.ts";
import { asRoot } from "../../as-root.ts";
import { fakeFtrace, ftracePart } from "../../scripts/fake-ftrace.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import { babeltrace, bootIds, writeTrace } from "../scratch-run.ts";
import { buildId, emulator, pid, records, recordsLines, runs, traceable, traceableGuest } from "../scratch-trace.ts";

// One at a time, since each starts Node. `./lab trace` as a whole: what it makes, brings in, counts, says and keeps.

const folder = "var/lib/tracelab/runs/quickstart";
const readRun = (lab: ScratchLab, name: string) => runSchema.parse(JSON.parse(lab.read(`${folder}/${name}/run.json`)));
const noBeacon = "guest vm has no clock-beacon: its clock is not put on the host's";
const overAgent =
	"LTTng sees no beacons of vm's QEMU: the guest's clock is compared over its agent, and known to milliseconds";
const lost = (layer: string, what: string) =>
	`${layer} lost ${what}: its buffers (8 of 1024 KiB for each processor, by a budget of 4 MB/s) were full; record less, by a smaller profile, or allow more, by budget: in a copy of profiles/block-io.yaml or in traces: of the stack file`;
const traceRun = ["trace", "run", "block-io", "-d", "vm", "--name", "one"];

asRoot("a run has the command's output and exit status, both layers, and their counts", async (t) => {
	const lab = await traceable(t);
	records(lab, ["virtio_queue_notify", "blk_co_preadv", "virtio_queue_notify"], ["block_rq_issue"]);
	lab.write("lttng/losses", "3 4\n");
	const { code, stdout, stderr } = await lab.lab([...traceRun, "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
	t.is(code, 7, stderr);
	t.is(stdout, "out");
	const lines = stderr.split("\n");
	t.deepEqual(lines.slice(0, 2), ["lab: one records block-io of vm", "err"]);
	t.regex(lines[2] ?? "", /^run one: block-io of vm for [\d.]+ s, in \S+\/runs\/quickstart\/one$/);
	t.regex(lines[3] ?? "", /^LAYER +EVENTS +A SECOND +SIZE +RATE +DISCARDED EVENTS +LOST PACKETS$/);
	t.regex(lines[4] ?? "", /^qemu +3 +\d+ +\d+ B +[\d.]+ k?B\/s +3 +4$/);
	t.regex(lines[5] ?? "", /^guest vm +1 +\d+ +\d+ B +[\d.]+ k?B\/s +3 +4$/);
	t.deepEqual(lines.slice(6), [
		"qemu:",
		"  virtio_queue_notify  2",
		"  blk_co_preadv        1",
		"guest vm:",
		"  block_rq_issue  1",
		noBeacon,
		lost("qemu", "3 events and 4 packets of events"),
		lost("guest vm", "3 events and 4 packets of events"),
	]);
	const run = readRun(lab, "one");
	t.like(run, {
		stack: "quickstart",
		run: "one",
		profile: "block-io",
		session: "tracelab-quickstart-one",
		mode: "stream",
		command: ["sh", "-c", "echo out; echo err >&2; exit 7"],
		exitStatus: 7,
		lttng: { host: "2.13.9", guests: { vm: "2.13.9" } },
		notes: [noBeacon, ...["qemu", "guest vm"].map((layer) => lost(layer, "3 events and 4 packets of events"))],
	});
	const of = { acceleration: "tcg", builds: ["image-main", "kernel-main", "qemu-main"] } as const;
	t.deepEqual(run.domains, {
		vm: { libvirtName: "quickstart-vm", pid, emulator, ...of, kernel: buildId, modules: {} },
	});
	t.deepEqual(run.lab, card.hashes);
	t.deepEqual(
		run.layers.map(({ layer, path, events, total, discarded, lostPackets }) => ({
			...{ layer, path, events, total, discarded, lostPackets },
		})),
		[
			{
				...{ layer: "qemu", path: "qemu", events: { blk_co_preadv: 1, virtio_queue_notify: 2 }, total: 3 },
				...{ discarded: 3, lostPackets: 4 },
			},
			{
				...{ layer: "guest", path: "guest/vm", events: { block_rq_issue: 1 }, total: 1 },
				...{ discarded: 3, lostPackets: 4 },
			},
		],
	);
	t.true(run.started < (run.ended ?? ""));
	const own = join(lab.root, folder, "one/project");
	const kept = readdirSync(own, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
	t.deepEqual(kept.map(({ parentPath, name }) => relative(own, join(parentPath, name))).sort(), [
		"kconfig/quickstart.config",
		"profiles/block-io.yaml",
		...(card.hashes.lock === undefined ? [] : ["stacks/quickstart.lock.yaml"]),
		"stacks/quickstart.yaml",
	]);
	t.is(
		lab.read(`${folder}/one/project/stacks/quickstart.yaml`),
		readFileSync(`${project}/stacks/quickstart.yaml`, "utf8"),
	);
	t.deepEqual(readdirSync(join(lab.root, "lttng/host")), []);
	t.deepEqual(readdirSync(join(lab.root, "lttng/guest")), []);
	t.false(existsSync(join(lab.root, "dev/shm/tracelab/tracelab-quickstart-one")));
});

asRoot(
	"a stack file that was edited since the lab came up is not taken for the lab's, which the run says",
	async (t) => {
		const lab = await traceable(t);
		lab.up({ ...card, hashes: { ...card.hashes, stack: "1a".repeat(32) } });
		records(lab, ["blk_co_preadv"], []);
		const note =
			"stacks/quickstart.yaml, a fragment or the lock is not what the lab came up from any more: the run has no copy of it";
		const { code, stderr } = await lab.lab([...traceRun, "--layer", "qemu", "--", "true"]);
		t.is(code, 0, stderr);
		t.deepEqual(readRun(lab, "one").notes, [note, noBeacon]);
		t.true(stderr.includes(`\n${note}\n`), stderr);
		t.false(existsSync(join(lab.root, folder, "one/project")));
		lab.up();
		const refused = await lab.lab(again);
		t.is(refused.code, 1);
		t.true(
			refused.stderr.includes(", then take the stack file and the lock of that time, then: ./lab up\n"),
			refused.stderr,
		);
	},
);

asRoot("one layer alone is recorded where that is asked for", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], []);
	lab.write("lttng/no-modules", "");
	const { code, stderr } = await lab.lab([...traceRun, "--layer", "qemu", "--", "true"]);
	t.is(code, 0, stderr);
	t.deepEqual(
		readRun(lab, "one").layers.map(({ layer }) => layer),
		["qemu"],
	);
});

/** Makes LTTng have the session of the stack's flight recorder. */
function flies(lab: ScratchLab, where: "host" | "guest"): void {
	for (const [file, text] of Object.entries({ on: "", mode: "1", pids: "", events: "" }))
		lab.write(`lttng/${where}/tracelab-quickstart-flight/${file}`, text);
}

/** A lab whose guest has ftrace in place of lttng-modules. */
async function withFtrace(t: ExecutionContext): Promise<ScratchLab> {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], []);
	const fake = (name: string, body: string) => lab.write(`guest-bin/${name}`, `#!/bin/sh\n${body}\n`, 0o755);
	fakeFtrace(lab, fake);
	// The fake pages stay when they are read: so they are only once.
	fake("perl", 'echo 1 >"$3/tracing_on"; exec sleep 1000');
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

asRoot("a guest whose QEMU shows LTTng no beacons has its clock compared over its agent, which is said", async (t) => {
	const lab = await traceable(t);
	lab.write("lttng/ust", "");
	// The guest's clock is this machine's own, as the agent's answers are.
	const wall = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
	lab.write("guest/proc/timer_list", `  .get_time:   ktime_get_real\n  .offset:     ${wall} nsecs\n`);
	recordsLines(lab, [], [[process.hrtime.bigint(), "kernel block_rq_issue: { cpu_id = 1 }, { }"]]);
	const limit = ["--clock-bound", "10000000000"];
	const { code, stderr } = await lab.lab([...traceRun, "--layer", "guest", ...limit, "--", "true"]);
	t.is(code, 0, stderr);
	// The fake traces' wall clocks are not those of these systems.
	const [note, ...set] = readRun(lab, "one").notes;
	t.is(note, overAgent);
	t.deepEqual(
		set.map((one) => one.replace(/-?\d+ ns/, "N ns")),
		["guest/vm/kernel", "qemu/ust/uid/64055/64-bit"].map(
			(one) => `${one}: the wall clock was set by N ns since it was recorded`,
		),
	);
	t.true(stderr.split("\n").includes(overAgent), stderr);
	t.regex(stderr, /^guest vm is on the host's clock to \d+ ns \(guest agent, 20 pairs\)$/m);
	const { guests } = clockRecordSchema.parse(JSON.parse(lab.read(`${folder}/one/clock.json`)));
	t.deepEqual([guests["vm"]?.method, guests["vm"]?.pairs], ["guest agent", 20]);
	const merged = await lab.lab(["events", "one"]);
	t.regex(merged.stderr, /^guest vm is on the host's clock to \d+ ns \(guest agent, 20 pairs\)$/m);
	t.regex(merged.stdout, /^\d+\.\d{9} {2}guest {2}vm {8}block_rq_issue /);
});

const listed = (...names: string[]) =>
	`UST events:\n-------------\n\nPID: ${pid} - Name: /x\n${names.map((name) => `      qemu:${name} (loglevel: x) (type: tracepoint)\n`).join("")}`;

interface Empty {
	/** What is the matter. */
	given: (lab: ScratchLab) => void;
	why: RegExp;
}

const empty = test.macro({
	title: (_, what: string) => `an empty layer names its cause: ${what}`,
	async exec(t, _what: string, { given, why }: Empty) {
		const lab = await traceable(t);
		lab.write("lttng/ust", listed("blk_co_preadv"));
		records(lab, ["memory_region_ops_write"], ["block_rq_issue"]);
		given(lab);
		const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
		t.is(code, 1, stderr);
		t.regex(stderr, why);
		t.true(stderr.includes("run one: block-io of vm"), "the summary stands before it");
		t.not(readRun(lab, "one").ended, undefined);
	},
});

asRoot(empty, "nothing of the profile happened", {
	given: () => {},
	why: /^lab: the layer qemu of vm recorded nothing: all is well with the tracing, but none of these happened: virtio_queue_notify, .*\n {2}what to do: have the command do/m,
});
asRoot(empty, "QEMU may not register", {
	given: (lab) => {
		lab.write(`proc/${pid}/status`, "Uid:\t64055\t64055\nGroups:\t106 \n");
		lab.write("run/lttng/lttng-ust-sock-8", "", 0o640);
	},
	why: new RegExp(
		`recorded nothing: process ${pid} of vm may not register .*, and the process the groups 106\\n {2}what to do: open the socket`,
	),
});
asRoot(empty, "QEMU is not registered with the session daemon", {
	given: (lab) => lab.write("lttng/ust", listed().replace(String(pid), "1")),
	why: new RegExp(
		`recorded nothing: process ${pid} of vm is not registered with root's session daemon, as lttng list -u shows`,
	),
});
asRoot(empty, "QEMU has no such events", {
	given: (lab) => lab.write("lttng/ust", listed("virtio_gpu_features")),
	why: /recorded nothing: the QEMU of vm has none of these tracepoints: virtio_queue_notify, .*\n {2}what to do: it is \S+qemu-system-x86_64: see lttng list -u/,
});
asRoot(empty, "the domain is another process by then", {
	given: (lab) => {
		const other = `mkdir -p $root/proc/7; ln -s ${emulator} $root/proc/7/exe; echo 7 >$root/run/libvirt/qemu/quickstart-vm.pid`;
		lab.write("guest-bin/true", `#!/bin/sh\nroot='${lab.root}'; ${other}\n`, 0o755);
	},
	why: new RegExp(`recorded nothing: vm is process 7 now, and ${pid} was traced\\n`),
});
asRoot(empty, "the guest's kernel did nothing of the kind", {
	given: (lab) => records(lab, ["blk_co_preadv"], []),
	why: /^lab: the layer guest vm recorded nothing: all is well with the tracing, but none of these happened: block_rq_insert, /m,
});
asRoot(empty, "the guest's kernel has no such events", {
	given: (lab) => {
		records(lab, ["blk_co_preadv"], []);
		lab.write("lttng/guest-kernel", "Kernel events:\n      sched_switch (loglevel: x) (type: tracepoint)\n");
	},
	why: /the layer guest vm recorded nothing: the kernel of vm has none of these tracepoints: block_rq_insert, .*\n {2}what to do: see those that it has/,
});
asRoot(empty, "the guest has lost its lttng-modules", {
	given: (lab) => {
		records(lab, ["blk_co_preadv"], []);
		lab.write("guest-bin/true", `#!/bin/sh\n: >'${lab.root}/lttng/no-modules'\n`, 0o755);
	},
	why: /the layer guest vm recorded nothing: guest vm has no lttng-modules for its kernel\n {2}what to do: give the domain the modules lttng/,
});

asRoot("a process that is another program is refused before anything is recorded", async (t) => {
	const lab = await traceable(t);
	rmSync(join(lab.root, `proc/${pid}`), { recursive: true });
	runs(lab, "/usr/bin/qemu-system-x86_64");
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 1);
	t.is(
		stderr,
		`lab: domain vm (process ${pid}) runs on /usr/bin/qemu-system-x86_64, not on ${emulator}\n  what to do: ./lab up starts it on this lab's QEMU`,
	);
	t.false(existsSync(join(lab.root, folder, "one")));
});

asRoot("a session daemon that was started again while it recorded is the cause that is named", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	lab.write("guest-bin/true", `#!/bin/sh\nrm -r '${lab.root}/lttng/host'\n`, 0o755);
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 1);
	t.regex(
		stderr,
		/lab: trace session tracelab-quickstart-one is gone: root's session daemon was ended or started again while it recorded, somebody destroyed it, or what made it was killed before\n/,
	);
	t.deepEqual(readRun(lab, "one").notes.at(-1), "trace session tracelab-quickstart-one was gone when the run ended");
});

/** What a session of these costs, at a budget of 2 events a second. */
function isOverBudget(t: ExecutionContext, text: string): void {
	const at = text.split("\n").findIndex((line) => line.startsWith("lab: qemu costs"));
	const [cost = "", ...rest] = text.split("\n").slice(at, at + 3);
	t.regex(
		cost,
		/^lab: qemu costs \d+ B and 3 events a second, and its budget is 8 MB and 2: a long run is large, and may lose events$/,
	);
	t.deepEqual(rest, [
		"  67 % of the events are virtio_queue_notify",
		"  what to do: record without virtio_queue_notify, by a copy of profiles/block-io.yaml that does not name it; or allow more, by budget: in traces: of the stack file",
	]);
}

const three = ["virtio_queue_notify", "blk_co_preadv", "virtio_queue_notify"];
const calibration = (lab: ScratchLab, run: string): string[] =>
	["lttng/host", "lttng/guest", "var/lib/tracelab/traces"]
		.map((where) => `${where}/tracelab-quickstart-${run}-calibration`)
		.concat(`${folder}/${run}/calibration`, `dev/shm/tracelab/tracelab-quickstart-${run}-calibration`)
		.filter((path) => existsSync(join(lab.root, path)));

asRoot("a recording of unknown length is calibrated beforehand, and what is over its budget is said", async (t) => {
	const lab = await traceable(t);
	records(lab, three, ["block_rq_issue"]);
	const started = await lab.lab(["trace", "start", "flight", "--name", "one"]);
	t.is(started.code, 0, started.stderr);
	isOverBudget(t, started.stderr);
	t.notRegex(started.stderr, /guest vm costs/);
	t.deepEqual(calibration(lab, "one"), []);
	t.is((await lab.lab(["trace", "stop"])).code, 0);
});

asRoot("a command is calibrated once it is a long one, and what is over the budget is said meanwhile", async (t) => {
	const lab = await traceable(t);
	records(lab, three, ["block_rq_issue"]);
	lab.write("guest-bin/true", "#!/bin/sh\nsleep 8\n", 0o755);
	const { code, stderr } = await lab.lab(["trace", "run", "flight", "--name", "one", "--", "true"]);
	t.is(code, 0, stderr);
	t.true(stderr.indexOf("lab: qemu costs") < stderr.indexOf("run one:"), "while it runs");
	isOverBudget(t, stderr);
	t.deepEqual(calibration(lab, "one"), []);
	t.deepEqual(
		readRun(lab, "one").layers.map(({ total }) => total),
		[3, 1],
	);
	const short = await lab.lab(["trace", "run", "flight", "--name", "two", "--", "sleep", "0.1"]);
	t.notRegex(short.stderr, /costs/);
});

asRoot("of a start that is killed while it calibrates, stop leaves nothing", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	lab.fake("babeltrace2", "kill -9 $PPID");
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, undefined);
	t.true(calibration(lab, "one").length > 0);
	t.regex((await lab.lab(["trace", "ls"])).stdout, /^one +block-io +vm +\S+Z +recording$/m);
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 1);
	t.regex(stderr, /^lab: trace session tracelab-quickstart-one is gone: .* or what made it was killed before$/m);
	t.deepEqual(calibration(lab, "one"), []);
	t.is((await lab.lab(["trace", "stop"])).code, 1, "there is nothing more to stop");
});

asRoot("a calibration that fails is said, and the recording goes on", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const traces = join(lab.root, "var/lib/tracelab/traces");
	mkdirSync(join(traces, "tracelab-quickstart-one-calibration"), { recursive: true });
	const { code, stderr } = await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"]);
	t.is(code, 0, stderr);
	t.regex(stderr, /^lab: what this recording costs could not be measured: /m);
	rmSync(join(traces, "tracelab-quickstart-one-calibration"), { recursive: true });
	t.is((await lab.lab(["trace", "stop"])).code, 0);
});

asRoot("what was over the budget is said of a run that has ended, for each layer", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const big = '$(cat "$root/lttng/host/tracelab-quickstart-one/output")';
	lab.write(
		"guest-bin/true",
		`#!/bin/sh\nroot='${lab.root}'; mkdir -p "${big}"; truncate -s 200M "${big}/x"\nsleep 2\n`,
		0o755,
	);
	const { stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.regex(stderr, /^qemu is over the budget of block-io: [\d.]+ [MG]B\/s instead of 4 MB\/s$/m);
});

asRoot("a run that is started goes on until it is stopped, is listed, and fetched", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const started = await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"]);
	t.is(started.code, 0, started.stderr);
	t.is(started.stdout, "one records; ./lab trace stop ends it");
	t.regex((await lab.lab(["trace", "ls"])).stdout, /^one +block-io +vm +\S+Z +recording$/m);
	t.is(
		(await lab.lab(["trace", "fetch", "one", lab.root])).stderr,
		'lab: run "one" is being recorded\n  what to do: end it: ./lab trace stop one',
	);
	const stopped = await lab.lab(["trace", "stop"]);
	t.is(stopped.code, 0, stopped.stderr);
	t.regex(stopped.stdout, /^run one: block-io of vm for /);
	t.regex((await lab.lab(["trace", "ls"])).stdout, /^one +block-io +vm +\S+Z +(?:\d+ min )?[\d.]+ s +2 +\d+ B +0$/m);
	const fetched = await lab.lab(["trace", "fetch", "one", lab.root]);
	t.deepEqual([fetched.code, fetched.stdout], [0, join(lab.root, "one")]);
	t.true(existsSync(join(lab.root, "one/guest/vm/kernel/metadata")));
	t.is(
		(await lab.lab(["trace", "stop"])).stderr,
		"lab: nothing is being recorded\n  what to do: start it: ./lab trace start PROFILE",
	);
});

asRoot("of runs that begin in one second, each has a folder and a session of its own", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const run = () => lab.lab(["trace", "run", "block-io", "-d", "vm", "--", "true"]);
	for (const { code, stderr } of await Promise.all([run(), run(), run()])) t.is(code, 0, stderr);
	const names = readdirSync(join(lab.root, folder));
	t.is(names.length, 3, names.join(", "));
	t.is(new Set(names.map((name) => readRun(lab, name).session)).size, 3);
	for (const name of names) t.regex(name, /^block-io-\d{8}T\d{6}Z(-[23])?$/);
});

asRoot("a run whose domain the lab has lost since is stopped all the same, which it says", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	const { vm: _, ...others } = card.domains;
	lab.up({ ...card, domains: others });
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	t.true(readRun(lab, "one").notes.includes("the lab has no domain vm any more: its part is lost"));
	t.deepEqual(readdirSync(join(lab.root, "lttng/host")), []);
});

asRoot("a run that cannot be read is said, and stands in no other's way", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	lab.write(`${folder}/old/run.json`, "{}");
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	const listed = await lab.lab(["trace", "ls"]);
	t.deepEqual(
		[listed.code, listed.stdout.split("\n").length, listed.stderr.split("\n").length],
		[0, 2, 2],
		listed.stderr,
	);
	t.regex(listed.stderr, /old\/run\.json is no record of a run of this version: /);
	t.is((await lab.lab(["trace", "stop"])).code, 0);
});

const untraced = `the kernel of this host is not traced: it has no lttng-modules (${release()})`;
const exits = ["trace", "run", "exits-and-interrupts", "-d", "vm", "--name", "one"];

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

asRoot("a trace session of the stack's is recorded by its name, of its domains and at its own budget", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const { code, stderr } = await lab.lab(["trace", "run", "flight", "--", "true"]);
	t.is(code, 0, stderr);
	const name = /^lab: (flight-\S+) records block-io of vm$/m.exec(stderr)?.[1] ?? "";
	const { profile, budget, session } = readRun(lab, name);
	t.deepEqual(
		{ profile, budget, session },
		{ profile: "block-io", budget: { rate: 8, events: 2 }, session: `tracelab-quickstart-${name}` },
	);
	t.false(existsSync(join(lab.root, `lttng/host/${session}`)));
});

/** A lab whose run `one` ended with 7, and whatever is changed of its record. */
async function recordedOnce(t: ExecutionContext, changes: object = {}): Promise<ScratchLab> {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv", "virtio_queue_notify"], ["block_rq_issue"]);
	t.is((await lab.lab([...traceRun, "--layer", "qemu", "--", "sh", "-c", "exit 7"])).code, 7);
	lab.write(`${folder}/one/run.json`, JSON.stringify({ ...readRun(lab, "one"), ...changes }));
	return lab;
}

const again = ["trace", "again", "one", "--name", "two"];

asRoot(
	"a run is recorded again by the same command, in the same layers at the same budget, and what differs is shown",
	async (t) => {
		const lab = await recordedOnce(t, { budget: { rate: 9, events: 7 } });
		records(lab, ["blk_co_preadv", "blk_co_preadv"], []);
		const { code, stderr } = await lab.lab(again);
		t.is(code, 7, stderr);
		const { command, asked, budget, lab: hashes } = readRun(lab, "two");
		t.deepEqual(
			{ command, guest: asked.guest, budget, hashes },
			{ command: ["sh", "-c", "exit 7"], guest: [], budget: { rate: 9, events: 7 }, hashes: card.hashes },
		);
		const lines = stderr.split("\n");
		const table = lines.slice(lines.findIndex((line) => /^ +one +two *$/.test(line)) + 1);
		t.regex(table[0] ?? "", /^seconds +[\d.]+ +[\d.]+ /);
		t.deepEqual(
			table.slice(1).map((line) => line.trimEnd().replaceAll(/(?<=\S) {2,}/g, " | ")),
			[
				"lost events and packets | 0 | 0",
				"qemu | 2 | 2",
				"  blk_co_preadv | 1 | 2 | +100.0 %",
				"  virtio_queue_notify | 1 | 0 | gone",
			],
		);
	},
);

asRoot("a run of another lab is not recorded again unless that is asked for, and what differs is named", async (t) => {
	const builds = { ...card.hashes.builds, "kernel-main": "99".repeat(32) };
	const domain = { libvirtName: "quickstart-vm", pid, emulator, acceleration: "kvm", modules: {} };
	const other = { commit: "9c010146f0aa, edited", lab: { ...card.hashes, builds }, domains: { vm: domain } };
	const lab = await recordedOnce(t, other);
	const differences = ["kernel-main: 999999999999 → 4d4d4d4d4d4d", "acceleration of vm: kvm → tcg"];
	const refused = await lab.lab(again);
	t.deepEqual(refused, {
		code: 1,
		stdout: "",
		stderr: [
			"lab: the lab is not what it was when one was recorded:",
			...differences.map((line) => `  ${line}`),
			`  what to do: git checkout 9c010146f0aa, then cp -r ${lab.root}/${folder}/one/project/. ${project}, then: ./lab up`,
			"    or compare with the lab as it is: ./lab trace again one --anyway",
		].join("\n"),
	});
	t.false(existsSync(join(lab.root, folder, "two")));
	const { code, stderr } = await lab.lab([...again, "--anyway"]);
	t.is(code, 7, stderr);
	t.deepEqual(
		stderr.split("\n").slice(0, 2),
		differences.map((line) => `lab: ${line}`),
	);
});

asRoot("a run of an older tracelab, or one of other events, is not taken for the same", async (t) => {
	const asked = { qemu: ["virtio_*"], guest: [], host: [] };
	const lab = await recordedOnce(t, { lab: undefined, asked });
	t.deepEqual((await lab.lab(again)).stderr.split("\n").slice(1, 3), [
		"  what the lab was is not known: an older tracelab recorded one",
		"  profile block-io names other events",
	]);
});

asRoot(
	"a lab that is not up is brought up for a run that is to be recorded again, or why it does not come is said",
	async (t) => {
		const lab = await recordedOnce(t);
		const labCard = `${lab.root}/var/lib/tracelab/labs/quickstart.json`;
		lab.write("state/.pulumi/stacks/tracelab/quickstart.json", '{"checkpoint":{"latest":null}}');
		renameSync(labCard, `${lab.root}/card`);
		lab.fake("pulumi", "exit 255");
		const failed = await lab.lab(again);
		t.is(failed.code, 1);
		t.regex(
			failed.stderr,
			/^lab: the lab of stack "quickstart" is not up: bringing it up for one\n(?:.*\n)+lab: the lab did not come up \(exit status 255\)\n {2}what to do: what up said is above$/,
		);
		lab.fake("pulumi", `case $1 in up) mv "$root/card" '${labCard}' ;; esac`);
		const { code, stderr } = await lab.lab(again);
		t.is(code, 7, stderr);
		t.deepEqual(readRun(lab, "two").command, ["sh", "-c", "exit 7"]);
	},
);

asRoot("a run without a command cannot be recorded again", async (t) => {
	const lab = await recordedOnce(t, { command: undefined });
	t.deepEqual(await lab.lab(again), {
		code: 2,
		stdout: "",
		stderr:
			'lab: run "one" has no command that could run again: it is no finished run of trace run\n  what to do: record one: ./lab trace run block-io -- COMMAND',
	});
});

asRoot("a guest that went while it was recorded leaves QEMU's part, and is the cause that is named", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	guest.state = "shut off";
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 1);
	t.is(
		stderr,
		`lab: the layer guest vm recorded nothing: the part of guest vm is not to be had: domain "vm" is not running\n  what to do: start it: ./lab up`,
	);
	const { layers, ended } = readRun(lab, "one");
	t.not(ended, undefined);
	t.deepEqual(
		layers.map(({ layer, total }) => [layer, total]),
		[
			["qemu", 1],
			["guest", 0],
		],
	);
	t.deepEqual(readdirSync(join(lab.root, "lttng/host")), []);
});

asRoot("a guest that gave no part is asked for nothing more", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	guest.calls.length = 0;
	guest.fault = "error: Guest agent is not responding: QEMU guest agent is not connected";
	t.is((await lab.lab(["trace", "stop"])).code, 1);
	const requests = guest.calls.filter(([command]) => command === "qemu-agent-command");
	// For its beacons, and for its part.
	t.is(requests.filter((words) => words.at(-1)?.includes('"guest-exec"')).length, 2);
	t.is(readRun(lab, "one").layers[1]?.total, 0);
});

asRoot("a guest that a debugger holds keeps its part until it goes on", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	guest.state = "paused";
	const held = await lab.lab(["trace", "stop"]);
	t.is(held.code, 1);
	t.regex(held.stderr, /^lab: domain "vm" is paused\n {2}what to do: let it go on/);
	guest.state = "running";
	t.is((await lab.lab(["trace", "stop"])).code, 0);
	t.deepEqual(
		readRun(lab, "one").layers.map(({ total }) => total),
		[1, 1],
	);
});

asRoot("a tracepoint that QEMU or the guest's kernel has not is said, beside what was recorded", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const { qemu, guest } = loadProfile("block-io");
	lab.write(
		"lttng/ust",
		listed("memory_region_ops_write", ...Object.keys(qemu).filter((name) => name !== "thread_pool_submit")),
	);
	const kernel = Object.keys(guest).filter((name) => name !== "block_rq_insert");
	lab.write("lttng/guest-kernel", kernel.map((name) => `      ${name} (loglevel: x) (type: tracepoint)\n`).join(""));
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 0, stderr);
	t.deepEqual(readRun(lab, "one").notes, [
		noBeacon,
		"the QEMU of vm has no tracepoint qemu:thread_pool_submit: nothing of that was recorded",
		"the kernel of vm has no tracepoint block_rq_insert: nothing of that was recorded",
	]);
});

asRoot("a run has not the name of a flight recorder, which is a session of LTTng's, too", async (t) => {
	const lab = await traceable(t);
	const { code, stderr } = await lab.lab(["trace", "run", "block-io", "-d", "vm", "--name", "flight", "--", "true"]);
	t.deepEqual(
		[code, stderr],
		[2, `lab: "flight" is a flight recorder of the stack file\n  what to do: give the run another --name`],
	);
});

asRoot("a flight recorder's snapshot is a run, and it goes on", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv", "blk_co_preadv"], ["block_rq_issue"]);
	const made = lab.root;
	flies(lab, "host");
	flies(lab, "guest");
	lab.write("lttng/losses", "0 4\n");
	const { code, stdout, stderr } = await lab.lab(["trace", "snapshot", "flight", "--name", "f"]);
	t.is(code, 0, stderr);
	t.regex(stdout, /^run f: block-io of vm for /);
	// What it wrote over is not lost.
	t.notRegex(stdout, / lost /);
	const run = readRun(lab, "f");
	t.deepEqual([run.mode, run.layers.map(({ total }) => total)], ["snapshot", [2, 1]]);
	t.deepEqual(run.budget, { rate: 8, events: 2 });
	t.true(existsSync(join(made, "lttng/host/tracelab-quickstart-flight/on")));
	t.true(existsSync(join(made, "lttng/guest/tracelab-quickstart-flight/on")));
	rmSync(join(made, "lttng/host/tracelab-quickstart-flight"), { recursive: true });
	const gone = await lab.lab(["trace", "snapshot", "flight"]);
	t.is(gone.code, 1);
	t.regex(
		gone.stderr,
		/^lab: the flight recorder cannot be read: lttng snapshot failed: Error: Session name not found\n/,
	);
	t.is(
		(await lab.lab(["trace", "snapshot", "fligth"])).stderr,
		'lab: the lab of stack "quickstart" has no flight recorder "fligth" (did you mean "flight"?)\n  what to do: those that it has: flight',
	);
});

const refused = test.macro({
	title: (_, what: string) => `${what} is refused`,
	async exec(t, _what: string, args: readonly string[], said: string) {
		const lab = await traceable(t);
		const { code, stderr } = await lab.lab(["trace", ...args]);
		t.deepEqual([code, stderr], [2, said]);
		t.false(existsSync(join(lab.root, folder)));
	},
});

const profiles = "the profiles there are: block-io, boot, everything, exits-and-interrupts, memory";

asRoot(
	refused,
	"a profile that there is not",
	["run", "blockio", "--", "true"],
	`lab: there is no profile "blockio" (did you mean "block-io"?)\n  what to do: ${profiles}`,
);
asRoot(
	refused,
	"a run without a command",
	["run", "block-io"],
	"lab: there is no command to trace\n  what to do: for example: ./lab trace run block-io -- uname -a",
);
asRoot(
	refused,
	"a lab of several domains without one",
	["run", "block-io", "--", "true"],
	"lab: which domain?\n  what to do: say it with -d; the domains there are: held, vm",
);
asRoot(
	refused,
	"a name that is none",
	["run", "block-io", "-d", "vm", "--name", "../x", "--", "true"],
	'lab: "../x" is no name for a run\n  what to do: take at most 64 of A-Z, a-z, 0-9, _, . and -',
);
asRoot(
	refused,
	"a layer that the profile has not",
	["run", "boot", "-d", "vm", "--layer", "guest"],
	'lab: profile "boot" has nothing in guest\n  what to do: leave --layer out',
);
asRoot(
	refused,
	"a start with a profile that resets",
	["start", "boot", "-d", "vm"],
	'lab: profile "boot" begins with a reset of the guest, and ends when that has booted\n  what to do: record it by: ./lab trace run boot',
);
asRoot(
	refused,
	"a fetch of what there is not",
	["fetch", "one"],
	'lab: stack "quickstart" has no run "one"\n  what to do: record one: ./lab trace run PROFILE -- COMMAND',
);
