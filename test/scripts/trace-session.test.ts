import { spawn } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import anyTest, { type ExecutionContext } from "ava";
import { fakeFtrace, ftracePart } from "./fake-ftrace.ts";
import { domain, emulator, fakeGuest } from "./fake-guest.ts";
import { fakeLttng } from "./fake-lttng.ts";
import { ScratchHost, type StepRun } from "./run-step.ts";

// One after the other: each starts a good many processes.
const test = anyTest.serial;

const step = "trace-session";
const session = "tracelab-quick-flight";
const inputs = {
	session,
	mode: "snapshot",
	folder: "",
	domains: `vm ${domain} ${emulator}`,
	qemu: "qemu:blk_*\nqemu:virtio_notify\nqemu:memory_region_ops_write addr == 2592",
	guest: "block_rq_complete\nblock_rq_issue",
	host: "",
	size: "1048576",
	count: "8",
};

// No process has such a number.
const pid = "4194305";

/** A domain that runs on the lab's QEMU as process `pid`. */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	fakeGuest(scratch);
	fakeLttng(scratch);
	scratch.write("lttng/there", "");
	registers(scratch, pid, ...tracepoints);
	runs(scratch, pid, emulator);
	return scratch;
}

const tracepoints = ["blk_co_preadv", "virtio_notify", "memory_region_ops_write"];

/** The session daemon sees a process, with these tracepoints of QEMU's. */
function registers(scratch: ScratchHost, process: string, ...names: readonly string[]): void {
	const listed = names.map((name) => `      qemu:${name} (loglevel: TRACE_DEBUG_LINE (13)) (type: tracepoint)\n`);
	scratch.write("lttng/ust", `UST events:\n-------------\n\nPID: ${process} - Name: /x\n${listed.join("")}\n`);
}

function runs(scratch: ScratchHost, process: string, program: string): void {
	scratch.write("virt/state", "running\n");
	scratch.write(`run/libvirt/qemu/${domain}.pid`, process);
	rmSync(join(scratch.root, "proc"), { recursive: true, force: true });
	scratch.write(`proc/${process}/comm`, "vm\n");
	symlinkSync(program, join(scratch.root, `proc/${process}/exe`));
}

const drift = async (scratch: ScratchHost, given: object = {}) =>
	(await scratch.step(step, "probe", { ...inputs, ...given })).stdout["drift"];

/** What was done to sessions. */
const done = ({ calls }: StepRun): string[] =>
	calls
		.filter((call) => call.startsWith("lttng ") && !/ list( |$)/.test(call))
		.map((call) => call.replace("lttng --no-sessiond ", ""));

const mended = [`trace-session: trace session ${session} records process ${pid}`];

test("a session is made in QEMU and in the guest, once, and goes", async (t) => {
	const scratch = host(t);
	t.is(await drift(scratch), `there is no trace session ${session}; there is no trace session ${session} in guest vm`);
	const run = await scratch.step(step, "apply", inputs);
	t.is(run.stderr, [...mended, `trace-session: trace session ${session} records the kernel of vm`].join("\n"));
	const channel = `enable-channel --session=${session}`;
	const event = `enable-event --session=${session}`;
	const buffers = "--subbuf-size=1048576 --num-subbuf=8 --overwrite main";
	t.deepEqual(done(run), [
		`destroy ${session}`,
		`create ${session} --snapshot`,
		`${channel} --userspace ${buffers}`,
		`track --session=${session} --userspace --vpid=${pid}`,
		`${event} --userspace --channel=main qemu:blk_*,qemu:virtio_notify`,
		`${event} --userspace --channel=main qemu:memory_region_ops_write --filter=addr == 2592`,
		`add-context --session=${session} --userspace --channel=main --type=vpid --type=vtid`,
		`start ${session}`,
		`destroy ${session}`,
		`create ${session} --snapshot`,
		`${channel} --kernel --output=mmap ${buffers}`,
		`${event} --kernel --channel=main --tracepoint block_rq_complete,block_rq_issue`,
		`add-context --session=${session} --kernel --channel=main --type=tid --type=procname`,
		`start ${session}`,
	]);
	t.is(await drift(scratch), "");
	const applied = scratch.tree();
	const again = await scratch.step(step, "apply", inputs);
	t.is(again.stderr, `trace-session: trace session ${session} is up to date`);
	t.deepEqual(done(again), []);
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "remove", inputs)).code, 0);
	t.false(existsSync(join(scratch.root, "lttng/host", session)));
	t.false(existsSync(join(scratch.root, "lttng/guest", session)));
});

test("what a flight recorder held is kept when it is made again, three times, and goes with it", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write("lttng/made/host/ust/main_0", "the last that a QEMU did before it crashed");
	const kept = join(scratch.root, `var/lib/tracelab/traces/${session}.kept`);
	t.false(existsSync(kept));
	for (const old of ["20261101T000000Z", "20261102T000000Z", "20261103T000000Z"])
		mkdirSync(join(kept, old), { recursive: true });
	registers(scratch, "4194304", ...tracepoints);
	runs(scratch, "4194304", emulator);
	const { stderr } = await scratch.step(step, "apply", inputs);
	const [first, second, last = "", ...more] = readdirSync(kept).sort();
	t.deepEqual([first, second, more], ["20261102T000000Z", "20261103T000000Z", []]);
	t.true(
		stderr.startsWith(
			`trace-session: what trace session ${session} held is in ${kept}/${last}: babeltrace2 reads it\n`,
		),
		stderr,
	);
	t.regex(readFileSync(join(kept, last, "snapshot-1/ust/main_0"), "utf8"), /crashed/);
	await scratch.step(step, "remove", inputs);
	t.false(existsSync(join(scratch.root, "var/lib/tracelab/traces")));
});

test("a flight recorder is not made again where what it holds cannot be kept", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write("lttng/refuse-snapshot", "Error: Create directory failed\n");
	rmSync(join(scratch.root, `lttng/host/${session}/on`));
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.is(
		stderr,
		[
			`tracelab: trace-session: what trace session ${session} holds cannot be kept: Error: Create directory failed`,
			`  what to do: make room (df -h ${scratch.root}/var/lib/tracelab shows how much there is), then run up again; lttng destroy ${session} lets go of it`,
		].join("\n"),
	);
	t.true(existsSync(join(scratch.root, "lttng/host", session)));
	scratch.write("lttng/refuse-snapshot", "Error: Session needs to be started once\n");
	t.is((await scratch.step(step, "apply", inputs)).code, 0);
	t.false(existsSync(join(scratch.root, `var/lib/tracelab/traces/${session}.kept`)));
});

test("a run's session takes nothing along that another run has by the name of what is kept", async (t) => {
	const scratch = host(t);
	const run = { ...inputs, mode: "stream", folder: "/traces/one" };
	await scratch.step(step, "apply", run);
	const other = scratch.write(`var/lib/tracelab/traces/${session}.kept`, "");
	await scratch.step(step, "remove", run);
	t.true(existsSync(other));
});

test("a session that is to have no guest's kernel any more lets go of it", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	t.true(existsSync(join(scratch.root, `lttng/guest/${session}`)));
	t.is((await scratch.step(step, "apply", { ...inputs, guest: "" })).code, 0);
	t.false(existsSync(join(scratch.root, `lttng/guest/${session}`)));
	t.true(existsSync(join(scratch.root, `lttng/host/${session}`)));
});

test("a session that writes has a folder, and discards what finds no room", async (t) => {
	const scratch = host(t);
	const run = await scratch.step(step, "apply", { ...inputs, mode: "stream", folder: "/traces/one" });
	t.is(run.code, 0, run.stderr);
	t.true(done(run).includes(`create ${session} --output=/traces/one`));
	t.true(done(run).includes(`create ${session} --output=/dev/shm/tracelab/${session}`));
	t.true(
		done(run).includes(`enable-channel --session=${session} --userspace --subbuf-size=1048576 --num-subbuf=8 main`),
	);
	t.true(
		done(run).includes(
			`enable-channel --session=${session} --kernel --output=mmap --subbuf-size=1048576 --num-subbuf=8 --discard main`,
		),
	);
	t.is(
		await drift(scratch),
		`trace session ${session} is none of mode snapshot; trace session ${session} in guest vm is none of mode snapshot`,
	);
});

const drifted = anyTest.macro({
	title: (_, what: string) => `${what} is drift, and is mended`,
	async exec(
		t: ExecutionContext,
		_what: string,
		byHand: (scratch: ScratchHost) => void,
		said: string,
		mendedIn: "host" | "guest",
	) {
		const scratch = host(t);
		await scratch.step(step, "apply", inputs);
		byHand(scratch);
		t.is(await drift(scratch), said);
		const run = await scratch.step(step, "apply", inputs);
		t.is(run.code, 0, run.stderr);
		t.is(done(run).filter((call) => call.startsWith("start ")).length, 1);
		t.is(
			done(run).some((call) => call.startsWith("track ")),
			mendedIn === "host",
		);
		t.is(await drift(scratch), "");
	},
});

const own = (scratch: ScratchHost, file: string) => join(scratch.root, "lttng", file.replace("S", session));

test(
	drifted,
	"a session killed by hand",
	(scratch) => rmSync(own(scratch, "host/S"), { recursive: true }),
	`there is no trace session ${session}`,
	"host",
);
test(
	drifted,
	"a session killed in the guest",
	(scratch) => rmSync(own(scratch, "guest/S"), { recursive: true }),
	`there is no trace session ${session} in guest vm`,
	"guest",
);
test(
	drifted,
	"a stopped session",
	(scratch) => rmSync(own(scratch, "host/S/on")),
	`trace session ${session} is stopped`,
	"host",
);
test(
	drifted,
	"a disabled event",
	(scratch) => scratch.write(`lttng/host/${session}/events`, "qemu:blk_*\nqemu:memory_region_ops_write\n"),
	`trace session ${session} does not record: qemu:virtio_notify`,
	"host",
);
test(
	drifted,
	"an event of the guest's that is disabled",
	(scratch) => scratch.write(`lttng/guest/${session}/events`, "block_rq_issue\n"),
	`trace session ${session} in guest vm does not record: block_rq_complete`,
	"guest",
);
test(
	drifted,
	"one that was enabled by hand",
	(scratch) =>
		scratch.write(
			`lttng/host/${session}/events`,
			"qemu:blk_*\nqemu:memory_region_ops_write\nqemu:virtio_notify\nqemu:exec_tb\n",
		),
	`trace session ${session} records as well: qemu:exec_tb`,
	"host",
);
test(
	drifted,
	"a buffer of another size",
	(scratch) => scratch.write(`lttng/host/${session}/size`, "262144\n"),
	`trace session ${session} has buffers of another size than its budget asks for`,
	"host",
);
test(
	drifted,
	"a domain that was started again",
	(scratch) => {
		runs(scratch, "4194306", emulator);
		registers(scratch, "4194306", ...tracepoints);
	},
	`trace session ${session} follows process ${pid}, and its domains have 4194306`,
	"host",
);

const unregistered = `process ${pid} of vm is not registered with root's session daemon`;
const none = "the QEMU of vm has none of these tracepoints: qemu:blk_* qemu:virtio_notify";
const nothing: [why: string, seen: (scratch: ScratchHost) => void, said: string][] = [
	["whose QEMU is not registered", (scratch) => registers(scratch, "1", ...tracepoints), unregistered],
	["whose QEMU has none of its events", (scratch) => registers(scratch, pid, "blk", "xvirtio_notify"), none],
];
for (const [why, seen, said] of nothing) {
	test(`a flight recorder ${why} is drift, and an error that says so`, async (t) => {
		const scratch = host(t);
		await scratch.step(step, "apply", inputs);
		seen(scratch);
		t.is(await drift(scratch), said);
		scratch.fake("sleep", "");
		const { code, stderr } = await scratch.step(step, "apply", inputs);
		t.is(code, 1);
		t.is(stderr.split("\n")[0], `tracelab: trace-session: ${said}, so nothing of it is recorded`);
		registers(scratch, pid, ...tracepoints);
		t.is(await drift(scratch), "");
	});
}

test("a QEMU that registers within some seconds is waited for", async (t) => {
	const scratch = host(t);
	registers(scratch, "1", ...tracepoints);
	scratch.write("ust", scratch.read("lttng/ust").replace("PID: 1 ", `PID: ${pid} `));
	scratch.fake("sleep", 'cp "$root/ust" "$root/lttng/ust"');
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 0, stderr);
});

test("an event that is none of QEMU's is said, and no drift, as the others are recorded", async (t) => {
	const scratch = host(t);
	registers(scratch, pid, "blk_co_preadv");
	scratch.fake("sleep", "");
	const lacks = "trace-session: the QEMU of vm has no tracepoint qemu:virtio_notify: nothing of that is recorded";
	for (const first of [mended[0], `trace-session: trace session ${session} is up to date`]) {
		const { code, stderr } = await scratch.step(step, "apply", inputs);
		t.deepEqual([code, stderr.split("\n")[0], stderr.split("\n").at(-1)], [0, first, lacks]);
	}
	t.is(await drift(scratch), "");
});

test("what LTTng sees of a QEMU is no matter to a run, nor to a recorder of the guest alone", async (t) => {
	for (const given of [
		{ mode: "stream", folder: "/traces/one" },
		{ qemu: "qemu:memory_region_ops_write addr == 2592" },
	]) {
		const scratch = host(t);
		registers(scratch, "1");
		const { code, stderr } = await scratch.step(step, "apply", { ...inputs, ...given });
		t.is(code, 0, stderr);
		t.is(await drift(scratch, given), "");
	}
});

test("a domain that does not run, or that a debugger holds, is its own steps' to say", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write("virt/state", "paused\n");
	t.is(await drift(scratch), "");
	rmSync(join(scratch.root, `run/libvirt/qemu/${domain}.pid`));
	scratch.write("virt/state", "shut off\n");
	t.is(await drift(scratch), "");
});

const untraced = (why: string) =>
	`the kernel of this host (${release()}) is not traced: it has no lttng-modules, and ${why}`;

test("the host's kernel is traced where it can be, and where it cannot, that is said", async (t) => {
	const scratch = host(t);
	const given = { ...inputs, host: "sched_switch" };
	const without = await scratch.step(step, "apply", given);
	t.is(without.stdout["host"], untraced("no tracefs that root may mount"));
	t.true(without.stderr.endsWith(`trace-session: ${without.stdout["host"]}`));
	t.is(await drift(scratch, given), "");
	scratch.write("lttng/kernel", "");
	t.is(await drift(scratch, given), `trace session ${session} does not record: sched_switch`);
	const traced = await scratch.step(step, "apply", given);
	t.deepEqual(traced.stdout, {});
	t.true(done(traced).includes(`enable-event --session=${session} --kernel --channel=main --tracepoint sched_switch`));
	t.true(done(traced).includes(`add-context --session=${session} --kernel --channel=main --type=tid --type=procname`));
	t.is(await drift(scratch, given), "");
});

/** A host without lttng-modules, and with a tracefs. */
function hostOfFtrace(t: ExecutionContext) {
	const scratch = host(t);
	fakeFtrace(scratch, (name, body) => scratch.fake(name, body), "host");
	const given = { ...inputs, guest: "", host: "irq_softirq_*\nblock_rq_issue" };
	return { scratch, given, instance: `sys/kernel/tracing/instances/${session}` };
}

test("ftrace records the host's kernel where there are no lttng-modules, once, and its instance goes", async (t) => {
	const { scratch, given, instance } = hostOfFtrace(t);
	const missing = `there is no trace session ${session}`;
	t.is(await drift(scratch, given), `${missing}; ${missing} in the kernel of this host`);
	const run = await scratch.step(step, "apply", given);
	const records = `trace-session: trace session ${session} records the kernel of this host by ftrace, as it has no lttng-modules`;
	t.is(run.stderr, [...mended, records].join("\n"));
	t.deepEqual(run.stdout, {});
	const has = (file: string) => scratch.read(`${instance}/${file}`);
	t.deepEqual(["tracing_on", "trace_clock", "buffer_size_kb"].map(has), ["1\n", "mono\n", "8192\n"]);
	t.is(has("set_event"), "irq:softirq_entry\nblock:block_rq_issue\n");
	t.is(await drift(scratch, given), "");
	const again = await scratch.step(step, "apply", given);
	t.is(again.stderr, `trace-session: trace session ${session} is up to date`);
	const byHand: [harm: () => void, said: string][] = [
		[
			() => scratch.write(`${instance}/tracing_on`, "0\n"),
			`trace session ${session} in the kernel of this host is stopped`,
		],
		[() => rmSync(join(scratch.root, instance), { recursive: true }), `${missing} in the kernel of this host`],
	];
	for (const [harm, said] of byHand) {
		harm();
		t.is(await drift(scratch, given), said);
		const back = await scratch.step(step, "apply", given);
		t.is(back.stderr, records);
		t.false(done(back).some((call) => call.startsWith("track ")));
		t.is(await drift(scratch, given), "");
	}
	t.is((await scratch.step(step, "remove", given)).code, 0);
	t.false(existsSync(join(scratch.root, instance)));
	t.false(existsSync(join(scratch.root, "run/tracelab/ftrace")));
});

test("an instance that records the host's kernel goes where LTTng can do so, and where nobody asks for it any more", async (t) => {
	const { scratch, given, instance } = hostOfFtrace(t);
	const there = () => existsSync(join(scratch.root, instance));
	await scratch.step(step, "apply", given);
	t.true(there());
	scratch.write("lttng/kernel", "");
	const traced = await scratch.step(step, "apply", given);
	t.true(done(traced).some((call) => call.endsWith("--tracepoint irq_softirq_*,block_rq_issue")));
	t.false(there());
	rmSync(join(scratch.root, "lttng/kernel"));
	await scratch.step(step, "apply", given);
	t.true(there());
	await scratch.step(step, "apply", { ...given, host: "" });
	t.false(there());
});

/** Does a process go on? One that has ended has no arguments, until its parent has asked how. */
function goesOn(pid: number): boolean {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
	} catch {
		return false;
	}
}

test("the host's pages are written beside what LTTng writes, and who does so is ended with the session", async (t) => {
	const { scratch, given, instance } = hostOfFtrace(t);
	const run = join(scratch.root, "runs/one");
	const stream = { ...given, mode: "stream", folder: `${run}/qemu` };
	t.is((await scratch.step(step, "apply", stream)).code, 0);
	const writer = Number(readFileSync(`${run}/ftrace.pid`, "utf8"));
	const size = () => (existsSync(`${run}/ftrace/cpu1`) ? statSync(`${run}/ftrace/cpu1`).size : 0);
	for (let tries = 0; tries < 100 && size() < 8192; tries++) await pause(100);
	t.deepEqual(readFileSync(`${run}/ftrace/cpu1`), readFileSync(join(ftracePart, "cpu1")));
	t.is(statSync(`${run}/ftrace`).mode & 0o777, 0o700);
	t.is((await scratch.step(step, "remove", stream)).code, 0);
	t.false(goesOn(writer));
	t.false(existsSync(join(scratch.root, instance)));
	t.deepEqual(readdirSync(run), []);
});

test("who has the number of the process that wrote the pages is not ended for it", async (t) => {
	const { scratch, given, instance } = hostOfFtrace(t);
	const run = join(scratch.root, "runs/one");
	const stream = { ...given, mode: "stream", folder: `${run}/qemu` };
	t.is((await scratch.step(step, "apply", stream)).code, 0);
	process.kill(Number(readFileSync(`${run}/ftrace.pid`, "utf8")), "SIGKILL");
	const other = spawn("sleep", ["100"]);
	t.teardown(() => other.kill());
	writeFileSync(`${run}/ftrace.pid`, `${other.pid}\n`);
	t.is((await scratch.step(step, "remove", stream)).code, 0);
	t.false(existsSync(join(scratch.root, instance)));
	t.deepEqual([other.exitCode, other.signalCode], [null, null]);
});

test("a host whose ftrace has none of the tracepoints, or whose tracefs cannot be mounted, is not traced, which is said", async (t) => {
	const { scratch, given } = hostOfFtrace(t);
	const without = await scratch.step(step, "apply", { ...given, host: "no_such_event\nnone_*" });
	const none = untraced("ftrace has none of these tracepoints: no_such_event none_*");
	t.deepEqual([without.code, without.stdout["host"]], [0, none]);
	t.is(without.stderr, [...mended, `trace-session: ${none}`].join("\n"));
	rmSync(join(scratch.root, "sys/kernel/tracing"), { recursive: true });
	mkdirSync(join(scratch.root, "sys/kernel/tracing"));
	scratch.fake("unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1");
	const unmounted = await scratch.step(step, "apply", given);
	t.is(unmounted.stdout["host"], untraced("no tracefs that root may mount"));
	t.is(await drift(scratch, given), "");
});

test("a tracefs that nobody has mounted is mounted for the script alone", async (t) => {
	const { scratch, given, instance } = hostOfFtrace(t);
	const tracefs = join(scratch.root, "sys/kernel/tracing");
	renameSync(tracefs, `${tracefs}-mounted`);
	mkdirSync(tracefs);
	scratch.fake("unshare", '[ "$1 $2 $3" = "--mount --propagation slave" ] && "${@:4}"');
	scratch.fake("mount", '[ "$1 $2" = "-t tracefs" ] && rmdir "$4" && ln -s "$4-mounted" "$4"');
	const run = await scratch.step(step, "apply", given);
	t.is(run.code, 0, run.stderr);
	t.is(run.calls.filter((call) => call === `mount -t tracefs tracefs ${tracefs}`).length, 1);
	t.is(scratch.read(`${instance}/tracing_on`), "1\n");
});

test("a process that is not this lab's QEMU is not traced", async (t) => {
	const scratch = host(t);
	runs(scratch, pid, "/usr/bin/qemu-system-x86_64");
	const { code, stderr, calls } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.is(
		stderr,
		`tracelab: trace-session: domain vm (process ${pid}) runs on /usr/bin/qemu-system-x86_64, not on ${emulator}\n  what to do: ./lab -s quick up starts it on this lab's QEMU`,
	);
	t.deepEqual(
		calls.filter((call) => call.startsWith("lttng")),
		[],
	);
});

/** A guest without lttng-modules, whose folder in memory is no other test's. */
function guestOfFtrace(t: ExecutionContext) {
	const scratch = host(t);
	fakeFtrace(scratch, (name, body) => scratch.fake(name, body));
	const session = `tracelab-quick-${process.pid}`;
	const given = { ...inputs, session };
	t.teardown(() => scratch.step(step, "remove", given));
	const instance = `guest/sys/kernel/tracing/instances/${session}`;
	const parts = (what: string) => `trace session ${session} in guest vm ${what}`;
	return { scratch, given, session, instance, parts };
}

test("ftrace records the kernel of a guest without lttng-modules, once, and its instance goes", async (t) => {
	const { scratch, given, session, instance } = guestOfFtrace(t);
	t.is(
		await drift(scratch, given),
		`there is no trace session ${session}; there is no trace session ${session} in guest vm`,
	);
	const run = await scratch.step(step, "apply", given);
	t.is(
		run.stderr,
		[
			`trace-session: trace session ${session} records process ${pid}`,
			`trace-session: trace session ${session} records the kernel of vm by ftrace, as it has no lttng-modules`,
		].join("\n"),
	);
	t.false(done(run).some((call) => call.includes("--kernel")));
	const has = (file: string) => scratch.read(`${instance}/${file}`);
	t.deepEqual(["tracing_on", "trace_clock", "buffer_size_kb"].map(has), ["1\n", "mono\n", "8192\n"]);
	t.is(has("set_event"), "block:block_rq_issue\nblock:block_rq_complete\n");
	t.is(await drift(scratch, given), "");
	const again = await scratch.step(step, "apply", given);
	t.is(again.stderr, `trace-session: trace session ${session} is up to date`);
	t.is((await scratch.step(step, "remove", given)).code, 0);
	t.false(existsSync(join(scratch.root, instance)));
	t.false(existsSync(`/dev/shm/tracelab/${session}`));
});

test("what an instance of ftrace has other than wanted is drift, and is mended", async (t) => {
	const { scratch, given, session, instance, parts } = guestOfFtrace(t);
	await scratch.step(step, "apply", given);
	const byHand: [file: string, text: string, said: string][] = [
		["tracing_on", "0\n", parts("is stopped")],
		["buffer_size_kb", "1411\n", parts("has buffers of another size than its budget asks for")],
		["set_event", "block:block_rq_issue\n", parts("does not record: block_rq_complete")],
		[
			"set_event",
			"block:block_rq_complete\nblock:block_rq_issue\nirq:softirq_entry\n",
			parts("records as well: irq_softirq_entry"),
		],
	];
	for (const [file, text, said] of byHand) {
		const before = scratch.read(`${instance}/${file}`);
		scratch.write(`${instance}/${file}`, text);
		t.is(await drift(scratch, given), said);
		scratch.write(`${instance}/${file}`, before);
	}
	scratch.write(`${instance}/tracing_on`, "0\n");
	const run = await scratch.step(step, "apply", given);
	t.is(run.code, 0, run.stderr);
	t.is(await drift(scratch, given), "");
	rmSync(join(scratch.root, instance), { recursive: true });
	t.is(await drift(scratch, given), `there is no trace session ${session} in guest vm`);
});

test("a guest's pages are written to its memory, and who does so is ended with the session", async (t) => {
	const { scratch, given, session, instance } = guestOfFtrace(t);
	await scratch.step(step, "apply", { ...given, mode: "stream", folder: "/traces/one" });
	const writer = Number(readFileSync(`/dev/shm/tracelab/${session}.pid`, "utf8"));
	t.true(goesOn(writer));
	const written = `/dev/shm/tracelab/${session}/cpu1`;
	const size = () => (existsSync(written) ? statSync(written).size : 0);
	for (let tries = 0; tries < 100 && size() < 8192; tries++) await pause(100);
	t.deepEqual(readFileSync(written), readFileSync(join(ftracePart, "cpu1")));
	t.is((await scratch.step(step, "remove", given)).code, 0);
	t.false(goesOn(writer));
	t.false(existsSync(join(scratch.root, instance)));
	t.false(existsSync(`/dev/shm/tracelab/${session}.pid`));
});

test("a guest in which nothing writes the pages is an error that says so", async (t) => {
	const { scratch, given, session } = guestOfFtrace(t);
	scratch.fake("perl", "exit 2");
	const { code, stderr } = await scratch.step(step, "apply", { ...given, mode: "stream", folder: "/traces/one" });
	t.is(code, 1);
	t.is(
		stderr,
		[
			`trace-session: trace session ${session} records process ${pid}`,
			"tracelab: trace-session: the kernel of vm cannot be traced: perl, which is to write the pages, ended at once",
			"  what to do: see the guest's log: ./lab -s quick exec vm -- dmesg",
		].join("\n"),
	);
});

test("a guest with neither lttng-modules nor ftrace is an error that says how it gets either", async (t) => {
	const scratch = host(t);
	scratch.write("lttng/no-modules", "");
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.is(
		stderr,
		[
			...mended,
			"tracelab: trace-session: guest vm has no lttng-modules for its kernel, and no ftrace in it, so its kernel cannot be traced",
			"  what to do: give the domain the modules lttng in the stack file, as stacks/quickstart.yaml does, or its kernel CONFIG_FTRACE and CONFIG_FUNCTION_TRACER, as kconfig/quickstart.config does; then run up",
		].join("\n"),
	);
});

test("a guest whose ftrace has none of the tracepoints is an error that names them", async (t) => {
	const { scratch, given, session } = guestOfFtrace(t);
	const { code, stderr } = await scratch.step(step, "apply", { ...given, guest: "no_such_event\nnone_*" });
	t.is(code, 1);
	t.is(
		stderr,
		[
			`trace-session: trace session ${session} records process ${pid}`,
			"tracelab: trace-session: the kernel of vm has none of these tracepoints: no_such_event none_*",
			"  what to do: see those that it has, in the guest: /sys/kernel/tracing/available_events; some need another kernel configuration",
		].join("\n"),
	);
});

test("a guest's session daemon is started where it does not run", async (t) => {
	const scratch = host(t);
	scratch.write("lttng/guest-down", "");
	const { code, stderr, calls } = await scratch.step(step, "apply", inputs);
	t.is(code, 0, stderr);
	t.true(calls.includes("systemctl start lttng-sessiond"));
});

test("no session daemon on the host is an error that says so", async (t) => {
	const scratch = host(t);
	scratch.write("lttng/down", "");
	const { code, stderr } = await scratch.step(step, "apply", { ...inputs, guest: "" });
	t.is(code, 1);
	t.is(
		stderr,
		"tracelab: trace-session: root's session daemon does not answer, so nothing can be traced\n  what to do: ./lab -s quick up starts it",
	);
});

test("an event that the guest's kernel does not have is an error with lttng's words", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	rmSync(own(scratch, "guest/S"), { recursive: true });
	scratch.write("lttng/refuse", "Error: Event block_rq_issue: Kernel event not found\n");
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.is(
		stderr,
		[
			"tracelab: trace-session: the kernel of vm cannot be traced: Error: Event block_rq_issue: Kernel event not found",
			"  what to do: see the guest's log: ./lab -s quick exec vm -- journalctl -u lttng-sessiond",
		].join("\n"),
	);
});
