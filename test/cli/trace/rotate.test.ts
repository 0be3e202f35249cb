import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { asRoot } from "../../as-root.ts";
import { card } from "../scratch-lab.ts";
import { bootIds, writeTrace } from "../scratch-run.ts";
import { contexts, folder, held, readRun, records, recordsLines, traceable, traceableGuest } from "../scratch-trace.ts";

// One at a time, since each starts Node.

const start = ["trace", "start", "block-io", "-d", "vm", "--name", "one"];
const chunk = (number: number) => `archives/20261127T14000${number}+0000-20261127T14000${number}+0000-${number}`;
const host = (number: number) => `${folder}/one/qemu/${chunk(number)}/ust`;
const guest = (number: number) => `${folder}/one/guest/vm/${chunk(number)}`;

asRoot(
	"a rotation ends a piece of each part, which is here while the run goes on, and in it when that has ended",
	async (t) => {
		const lab = await traceable(t);
		records(lab, ["blk_co_preadv"], ["block_rq_issue", "block_rq_complete"]);
		t.is((await lab.lab(start)).code, 0);
		const rotated = await lab.lab(["trace", "rotate"]);
		t.is(rotated.code, 0, rotated.stderr);
		const path = (of: string) => join(lab.root, of);
		t.regex(
			rotated.stdout,
			new RegExp(
				`^LAYER +SIZE +FOLDER\nqemu +\\d+ B +${path(host(1))}\nguest vm +\\d+ B +${path(guest(1))}\none records on; \\./lab trace stop ends it$`.replaceAll(
					"+0000",
					"\\+0000",
				),
			),
		);
		t.true(existsSync(path(`${host(1)}/uid/64055/64-bit/metadata`)));
		t.true(existsSync(path(`${guest(1)}/kernel/metadata`)));
		t.deepEqual(readdirSync(path("dev/shm/tracelab/tracelab-quickstart.one/archives")), []);
		t.is(
			(await lab.lab(["trace", "fetch", "one", lab.root])).stderr.split("\n")[0],
			'lab: run "one" is being recorded',
		);
		t.is((await lab.lab(["trace", "rotate", "one"])).code, 0);
		const stopped = await lab.lab(["trace", "stop"]);
		t.is(stopped.code, 0, stopped.stderr);
		t.deepEqual(
			readRun(lab, "one").layers.map(({ layer, events }) => [layer, events]),
			[
				["qemu", { blk_co_preadv: 3 }],
				["guest", { block_rq_complete: 3, block_rq_issue: 3 }],
			],
		);
		// LTTng moves nothing of it any more.
		t.deepEqual(readdirSync(path(`${folder}/one/qemu`)), ["archives"]);
	},
);

asRoot(
	"a guest that cannot be rotated is an error, or is said where ftrace records it, and the others are",
	async (t) => {
		const { lab, guest } = await traceableGuest(t);
		records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
		t.is((await lab.lab(start)).code, 0);
		guest.state = "paused";
		const paused = await lab.lab(["trace", "rotate"]);
		t.is(paused.code, 1);
		t.regex(paused.stdout, /^LAYER .*\nqemu .*$/);
		t.regex(paused.stderr, /^lab: domain "vm" is paused\n {2}what to do: let it go on /);
		guest.state = "running";
		lab.write("guest/sys/kernel/tracing/instances/tracelab-quickstart.one/events", "");
		const byFtrace = await lab.lab(["trace", "rotate"]);
		t.deepEqual(
			[byFtrace.code, byFtrace.stderr],
			[0, "lab: ftrace records the kernel of vm: all of that stays in the guest until the run is stopped"],
		);
		t.regex(byFtrace.stdout, /^LAYER .*\nqemu .*\none records on; /);
		rmSync(join(lab.root, "guest/sys/kernel/tracing/instances"), { recursive: true });
		lab.write("guest-bin/df", "#!/bin/sh\necho Avail\necho 4096\n", 0o755);
		const full = await lab.lab(["trace", "rotate"]);
		t.is(full.code, 1);
		t.regex(full.stdout, /^LAYER .*\nqemu .*$/);
		t.is(
			full.stderr,
			"lab: the memory of guest vm for traces (/dev/shm) is full: LTTng may write nothing more of it\n  what to do: stop the run: ./lab trace stop one; rotate the next one sooner, or give the domain more memory:",
		);
		rmSync(join(lab.root, "guest-bin/df"));
		lab.write("guest-bin/lttng", "#!/bin/sh\necho 'Error: Session name not found' >&2\nexit 1\n", 0o755);
		const gone = await lab.lab(["trace", "rotate"]);
		t.deepEqual([gone.code, gone.stderr], [1, "lab: vm: Error: Session name not found"]);
		rmSync(join(lab.root, "lttng/host"), { recursive: true });
		const ended = await lab.lab(["trace", "rotate"]);
		t.deepEqual(
			[ended.code, ended.stdout, ended.stderr],
			[
				1,
				"",
				'lab: run "one" does not record any more\n  what to do: have it made whole of what there is: ./lab trace stop one',
			],
		);
	},
);

asRoot("of a guest that is gone when its run is stopped, there is what it gave before", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const beacon = `#!/bin/sh\necho 0 1 2\n(while sleep 0.1; do :; done) 2>/dev/null </dev/null &\necho $! >"$4"\n`;
	lab.write("lab/bin/clock-beacon", beacon, 0o755);
	t.is((await lab.lab(start)).code, 0);
	const beacons = Number(lab.read("run/tracelab-tracelab-quickstart.one.clock.pid"));
	t.teardown(() => process.kill(beacons));
	lab.write("lttng/losses", "7 1\n");
	t.is((await lab.lab(["trace", "rotate"])).code, 0);
	t.is(lab.read(`${folder}/one/clock/vm`), "0 1 2\n");
	guest.fault = "error: Guest agent is not responding: QEMU guest agent is not connected";
	const { code, stdout, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 1);
	t.regex(stdout, /^guest vm +1 /m);
	t.regex(stderr, /^lab: the layer guest vm lacks what came after its last piece: /m);
	t.deepEqual(
		readRun(lab, "one").layers.map(({ layer, events, discarded }) => [layer, events, discarded]),
		[
			["qemu", { blk_co_preadv: 2 }, 7],
			["guest", { block_rq_issue: 1 }, 7],
		],
	);
});

const rotatedUntilGone = async (t: ExecutionContext) => {
	const lab = await traceable(t);
	const last = process.hrtime.bigint() + 3_600_000_000_000n;
	const qemu = `ust qemu:blk_co_preadv: { cpu_id = 0 }, ${contexts}{ }`;
	recordsLines(lab, [[last, qemu]], [[900_000_000_000n, "kernel block_rq_issue: { cpu_id = 1 }, { }"]]);
	t.is((await lab.lab(start)).code, 0);
	t.is((await lab.lab(["trace", "rotate"])).code, 0);
	rmSync(join(lab.root, "lttng/host"), { recursive: true });
	return { lab, last };
};
const sessionWent =
	"trace session tracelab-quickstart.one was gone when the run was stopped: what came last is not in the run, and what was lost before is not counted";

asRoot("of a session that is gone when its run is stopped, there is what it wrote before", async (t) => {
	const { lab } = await rotatedUntilGone(t);
	const { code, stdout, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 1);
	t.regex(stdout, /^qemu +1 /m);
	t.regex(
		stderr,
		/^lab: the layer qemu lacks what came last: trace session tracelab-quickstart\.one is gone: root's session daemon was ended or started again/,
	);
	const { layers, notes, monotonic, started, ended = "" } = readRun(lab, "one");
	t.deepEqual(
		layers.map(({ layer, events, absent }) => [layer, events, absent]),
		[
			["qemu", { blk_co_preadv: 1 }, undefined],
			["guest", { block_rq_issue: 2 }, undefined],
		],
	);
	t.true(notes.includes(sessionWent));
	t.true(BigInt(monotonic.ended ?? 0) > BigInt(monotonic.started));
	t.true(Date.parse(ended) - Date.parse(started) < 600_000);
});

asRoot("a run whose host was started again lasted until its last event", async (t) => {
	const { lab, last } = await rotatedUntilGone(t);
	lab.write("proc/sys/kernel/random/boot_id", "another\n");
	t.is((await lab.lab(["trace", "stop"])).code, 1);
	const { notes, monotonic, started, ended = "" } = readRun(lab, "one");
	t.is(monotonic.ended, String(last));
	t.true(Date.parse(ended) - Date.parse(started) > 3_000_000);
	t.true(notes.includes("this host was started again while it recorded: the run ends with the last event of QEMU"));
});

asRoot("of the host's kernel there is as much where its session is gone", async (t) => {
	const lab = await traceable(t);
	lab.write("lttng/kernel", "");
	records(lab, ["cpu_in"], ["irq_handler_entry"]);
	const kernel = "../../../../../lttng/made/host/kernel";
	const events = [[900_000_000_000n, "kernel sched_switch: { cpu_id = 0 }, { }"]] as const;
	writeTrace(lab, kernel, { events, bootId: bootIds.host, offset: 5n });
	t.is((await lab.lab(["trace", "start", "exits-and-interrupts", ...start.slice(3)])).code, 0);
	t.is((await lab.lab(["trace", "rotate"])).code, 0);
	rmSync(join(lab.root, "lttng/host"), { recursive: true });
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 1);
	t.regex(stderr, /^the layer host lacks what came last: that went with QEMU's$/m);
	t.deepEqual(readRun(lab, "one").layers.find(({ layer }) => layer === "host")?.events, { sched_switch: 1 });
});

asRoot("nothing is rotated that does not go on, or that another command is at", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const refused = async (...args: string[]) => {
		const { code, stdout, stderr } = await lab.lab(["trace", "rotate", ...args]);
		t.deepEqual([code, stdout], [1, ""]);
		return stderr;
	};
	t.is(await refused(), "lab: nothing is being recorded\n  what to do: start it: ./lab trace start PROFILE");
	t.is((await lab.lab(start)).code, 0);
	const letGo = await held(t, lab, `${folder}/one`);
	t.regex(await refused("one"), /^lab: another command records run "one", or stops it\n/);
	await letGo();
	t.false(existsSync(join(lab.root, folder, "one/qemu")));
	t.is((await lab.lab(["trace", "stop"])).code, 0);
	t.regex(await refused("one"), /^lab: run "one" is not being recorded\n/);
});

asRoot("of a domain that the lab has lost since, there is what its guest gave before", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(start)).code, 0);
	t.is((await lab.lab(["trace", "rotate"])).code, 0);
	const { vm: _, ...others } = card.domains;
	lab.up({ ...card, domains: others });
	for (const verb of ["rotate", "stop"]) await lab.lab(["trace", verb]);
	const { layers, notes } = readRun(lab, "one");
	t.deepEqual(
		layers.map(({ layer, domain, total }) => [layer, domain, total]),
		[
			["qemu", undefined, 3],
			["guest", "vm", 1],
		],
	);
	t.is(notes.filter((note) => note === "the lab has no domain vm any more: what it had not given is lost").length, 1);
});

asRoot("a run that is recorded is not read half-way", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(start)).code, 0);
	t.is((await lab.lab(["trace", "rotate"])).code, 0);
	const { code, stderr } = await lab.lab(["events", "one"]);
	t.deepEqual(
		[code, stderr],
		[
			1,
			'lab: run "one" is being recorded\n  what to do: ./lab trace stop one ends it; what trace rotate ended of it before, babeltrace2 reads',
		],
	);
	t.false(existsSync(join(lab.root, folder, "one/clock.json")));
});
