import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { loadProfile, profileNames } from "../../spec/load-profile.ts";
import { matches } from "../../spec/profile.ts";
import { drifted } from "./drifted.ts";
import { card, copy, domainCard, host, lab, libvirtName, pidOf, skip, stack } from "./proof.ts";
import { readDisk, readRun, remove, runs, traced, tracepoints } from "./traced.ts";

/** How many events of each name babeltrace2 finds below a folder; what it warns of is an error. */
function counted(folder: string): Record<string, number> {
	const command = `babeltrace2 ${folder} 2>&1 | grep -oE ' ([a-z]+:)?[a-z0-9_]+: \\{ cpu_id' | sed 's/^ //; s/^qemu://; s/:.*//' | sort | uniq -c`;
	if (host(`babeltrace2 ${folder} 2>&1 >/dev/null`) !== "")
		throw new Error(`babeltrace2 has something against ${folder}`);
	return Object.fromEntries(
		host(command)
			.split("\n")
			.map((line) => line.trim().split(" "))
			.map(([count = "0", name = ""]) => [name, Number(count)]),
	);
}

const sessions = () => host(`lttng list | grep -o 'tracelab-${stack}[-.]\\S*' || :`);

test("each tracepoint that a profile names is there, in QEMU and in the guest's kernel", async (t) => {
	const listed = await lab(
		"exec",
		"vm",
		"--",
		"sh",
		"-c",
		"systemctl start lttng-sessiond; for i in 1 2 3 4 5 6 7 8 9; do lttng -n list -k && break; sleep 1; done",
	);
	t.is(listed.code, 0, listed.all);
	const kernel = [...listed.stdout.matchAll(/^ +(\w+) \(loglevel/gm)].map(([, name = ""]) => name);
	const qemu = tracepoints(pidOf());
	for (const name of profileNames()) {
		const profile = loadProfile(name);
		for (const [layer, there] of [
			["qemu", qemu],
			["guest", kernel],
		] as const) {
			for (const event of Object.keys(profile[layer]))
				t.true(
					there.some((one) => matches(event, one)),
					`${name}: ${layer}: ${event}`,
				);
		}
	}
});

test("a run of block-io has both layers of the disk's work, whole, and in the numbers that babeltrace2 counts", async (t) => {
	const dd = readDisk(200);
	const { code, all } = await traced(t, "disk", "block-io", "--", ...dd);
	t.is(code, 0, all);
	t.log(all);
	t.regex(all, /^200\+0 records out$/m);
	const run = readRun("disk");
	t.deepEqual(
		run.layers.map(({ layer, domain, discarded, lostPackets }) => ({ layer, domain, discarded, lostPackets })),
		[
			{ layer: "qemu", domain: undefined, discarded: 0, lostPackets: 0 },
			{ layer: "guest", domain: "vm", discarded: 0, lostPackets: 0 },
		],
	);
	for (const { path, events } of run.layers) t.deepEqual(counted(`${runs}/disk/${path}`), events);
	const [qemu = {}, guest = {}] = run.layers.map(({ events }) => events);
	for (const event of ["virtio_queue_notify", "virtio_blk_handle_read", "blk_co_preadv", "virtio_blk_req_complete"])
		t.true((qemu[event] ?? 0) >= 200, event);
	for (const event of ["block_rq_issue", "block_rq_complete"]) t.true((guest[event] ?? 0) >= 200, event);
	t.deepEqual(run.notes, []);
	t.regex(all, /^guest vm is on the host's clock to \d+ ns \(in-band beacon, \d+ pairs\)$/m);
	t.regex(all, /^causes come first: \d{3,} effects, none before its cause$/m);
	t.deepEqual(
		[run.domains["vm"]?.emulator, String(run.domains["vm"]?.pid), run.domains["vm"]?.kernel],
		[domainCard().emulator, pidOf(), readFileSync(`${card().kernels["main"]?.prefix}/build-id`, "utf8").trim()],
	);
	t.is(sessions(), "");
	const events = await lab("events", "disk", "--match", "^vm:(block_rq|qemu:virtio_blk)");
	t.regex(events.stderr, /then QEMU handles it .*: \d+ times, never violated/);
	t.regex(events.stderr, /then the guest sees it \(irq_handler_entry\): \d{3,} times, never violated; \d+ ns at least/);
});

test("a run that is rotated gives what it has so far while it goes on, its guest has the memory back, and nothing is lost", async (t) => {
	remove("rotated");
	t.teardown(() => remove("rotated"));
	const works = async (...args: string[]) => {
		const { code, all, stdout } = await lab(...args);
		t.is(code, 0, all);
		return stdout;
	};
	const pieces = async () => {
		const said = await works("trace", "rotate", "rotated");
		const folders = [...said.matchAll(new RegExp(`^(?:qemu|guest vm) +[\\d.]+ \\S*B +(${runs}/rotated/\\S+)$`, "gm"))];
		t.is(folders.length, 2, said);
		return folders.map(([, folder = ""]) => counted(folder));
	};
	await works("trace", "start", "block-io", "--name", "rotated");
	await works("exec", "vm", "--", ...readDisk(200));
	const first = await pieces();
	const left = await works(
		"exec",
		"vm",
		"--",
		"find",
		`/dev/shm/tracelab/tracelab-${stack}.rotated/archives`,
		"-type",
		"f",
	);
	t.is(left, "");
	await works("exec", "vm", "--", ...readDisk(100));
	const second = await pieces();
	await works("exec", "vm", "--", ...readDisk(50));
	const stopped = await works("trace", "stop", "rotated");
	t.log(stopped);
	const run = readRun("rotated");
	for (const { path, events, discarded, lostPackets } of run.layers) {
		t.deepEqual(counted(`${runs}/rotated/${path}`), events);
		t.deepEqual([discarded, lostPackets], [0, 0]);
	}
	t.deepEqual(run.notes, []);
	for (const [layer, event] of ["virtio_blk_handle_read", "block_rq_issue"].entries()) {
		const of = (counts: readonly Record<string, number>[]) => counts[layer]?.[event] ?? 0;
		const [one, two, all] = [of(first), of(second), of(run.layers.map(({ events }) => events))];
		t.true(one >= 200 && two >= 100 && all >= one + two + 50, `${event}: ${one}, ${two}, of ${all}`);
	}
	t.regex(stopped, /^guest vm is on the host's clock to \d+ ns \(in-band beacon, \d+ pairs\)$/m);
	t.regex(stopped, /^causes come first: \d{3,} effects, none before its cause$/m);
	t.is(sessions(), "");
	t.regex((await lab("events", "rotated")).stderr, /then QEMU handles it .*: \d{3,} times, never violated/);
});

test("the kernel of a guest without lttng-modules is recorded by ftrace, as CTF on the same clock", async (t) => {
	const file = host(`find /var/lib/tracelab/domains/${libvirtName}/root/lib/modules -name lttng-tracer.ko`);
	const said = "guest vm has no lttng-modules for its kernel: ftrace recorded it";
	try {
		host(`mv ${file} ${file}.aside`);
		const { code, all } = await traced(t, "unmodular", "block-io", "--", ...readDisk(200));
		t.is(code, 0, all);
		t.log(all);
		const run = readRun("unmodular");
		t.deepEqual(run.notes, [said]);
		t.deepEqual(run.lttng.guests, {});
		t.deepEqual(
			run.layers.map(({ layer, tracer, discarded, lostPackets }) => ({ layer, tracer, discarded, lostPackets })),
			[
				{ layer: "qemu", tracer: undefined, discarded: 0, lostPackets: 0 },
				{ layer: "guest", tracer: "ftrace", discarded: 0, lostPackets: 0 },
			],
		);
		for (const { path, events } of run.layers) t.deepEqual(counted(`${runs}/unmodular/${path}`), events);
		for (const event of ["block_rq_issue", "block_rq_complete"])
			t.true((run.layers[1]?.events[event] ?? 0) >= 200, event);
		t.regex(all, /^guest vm is on the host's clock to \d+ ns \(in-band beacon, \d+ pairs\)$/m);
		const { stderr } = await lab("events", "unmodular", "--match", "^vm:(block_rq|qemu:virtio_blk)");
		t.regex(stderr, /then QEMU handles it .*: \d{3,} times, never violated/);
		t.regex(stderr, /then the guest sees it \(block_rq_complete\): \d{3,} times, never violated/);
		t.regex(stderr, /then the guest sees it \(irq_handler_entry\): \d{3,} times, never violated; \d+ ns at least/);
		const exits = await traced(t, "unmodular-exits", "exits-and-interrupts", "--", "sleep", "1");
		t.is(exits.code, 0, exits.all);
		t.true(exits.stderr.split("\n").includes(said), exits.stderr);
		const guest = readRun("unmodular-exits").layers.find(({ layer }) => layer === "guest");
		for (const event of ["x86_irq_vectors_local_timer_entry", "timer_hrtimer_expire_entry", "irq_softirq_entry"])
			t.true((guest?.events[event] ?? 0) > 0, event);
		t.is(guest?.discarded, 0);
	} finally {
		host(`mv ${file}.aside ${file}`);
	}
	const left = await lab("exec", "vm", "--", "ls", "/sys/kernel/tracing/instances", "/dev/shm/tracelab");
	t.notRegex(left.stdout, /unmodular/);
});

test("a command's exit status is the run's", async (t) => {
	const { code, stdout } = await traced(
		t,
		"status",
		"block-io",
		"--layer",
		"qemu",
		"--",
		"sh",
		"-c",
		"echo said; sync; dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct; exit 7",
	);
	t.deepEqual([code, stdout], [7, "said"]);
	t.is(readRun("status").exitStatus, 7);
});

test("of two QEMUs on this host, only the chosen domain's is in the trace", async (t) => {
	const { emulator, kernel } = domainCard();
	const other = execa(
		emulator,
		[
			...["-machine", "pc", "-accel", "tcg", "-nodefaults", "-display", "none", "-no-reboot"],
			...["-serial", "null", "-kernel", `${card().kernels[kernel]?.prefix}/bzImage`, "-append", "console=ttyS0"],
		],
		{ reject: false },
	);
	t.teardown(() => other.kill("SIGKILL"));
	const pid = String(other.pid);
	for (let tries = 0; tries < 100 && tracepoints(pid).length === 0; tries++)
		await new Promise((done) => setTimeout(done, 200));
	t.true(tracepoints(pid).length > 4000, "the other one could be traced as well");
	const { code, all } = await traced(t, "two", "exits-and-interrupts", "--layer", "qemu", "--", "sleep", "1");
	t.is(code, 0, all);
	t.is(host(`babeltrace2 ${runs}/two/qemu | grep -o 'vpid = [0-9]*' | sort -u`), `vpid = ${pidOf()}`);
	t.true((readRun("two").layers[0]?.total ?? 0) > 100);
});

/** In a shell that has this host's tracefs, whether anybody has mounted it or not; nothing where root may not mount it. */
const inTracefs = (script: string) =>
	host(
		`unshare --mount sh -c 'mount -t tracefs tracefs /sys/kernel/tracing && cd /sys/kernel/tracing && ${script}' 2>/dev/null || :`,
	);

/** What can trace this host's kernel. */
function hostTracer(): "lttng" | "ftrace" | undefined {
	if (host("lttng list --kernel >/dev/null 2>&1 && echo traced || :") === "traced") return "lttng";
	return inTracefs("ls -d events/sched/sched_switch") === "" ? undefined : "ftrace";
}

test("the host's kernel is a layer of a run, by LTTng or by ftrace, in which the processors' threads come and go", async (t) => {
	const tracer = hostTracer();
	if (tracer === undefined) return skip(t, "this host has neither lttng-modules nor a tracefs that root may mount");
	const mounts = () => host("grep -w tracefs /proc/mounts || :");
	const before = mounts();
	const { code, all, stderr } = await traced(t, "exits", "exits-and-interrupts", "--", "sleep", "1");
	t.is(code, 0, all);
	t.log(all);
	const layer = readRun("exits").layers.find((one) => one.layer === "host");
	const said = "the kernel of this host has no lttng-modules: ftrace recorded it";
	t.is(layer?.absent, undefined);
	t.is(layer?.tracer, tracer === "ftrace" ? "ftrace" : undefined);
	t.is(stderr.split("\n").filter((line) => line === said).length, tracer === "ftrace" ? 1 : 0, stderr);
	t.deepEqual(counted(`${runs}/exits/host`), layer?.events);
	t.is(layer?.discarded, 0);
	const switches = host(`babeltrace2 ${runs}/exits/host | grep ' sched_switch: '`).split("\n");
	// A kernel has the numbers of its first pid namespace, which in a container are others than ours.
	const outermost = readlinkSync("/proc/self/ns/pid") === "pid:[4026531836]";
	const threads = host(`cd /proc/${pidOf()}/task && ${outermost ? "ls" : "cat */comm"}`).split("\n");
	const next = outermost ? / next_(?:pid|tid) = (\d+)/ : / next_comm = "(CPU [^"]*)"/;
	const own = switches.filter((line) => threads.includes(next.exec(line)?.[1] ?? ""));
	t.true(own.length > 0, `none of ${switches.length} is to a thread of the domain's QEMU`);
	const merged = await lab("events", "exits");
	t.is(merged.code, 0, merged.stderr);
	const lines = merged.stdout.split("\n");
	// A guest's clock is not that of the other two.
	const times = lines.filter((line) => !/^\S+ +guest /.test(line)).map((line) => Number(line.split(" ")[0]));
	t.deepEqual(
		times,
		times.toSorted((one, two) => one - two),
	);
	for (const name of ["host", "qemu", "guest"])
		t.true(
			lines.some((line) => line.split(/ +/)[1] === name),
			name,
		);
	const alone = await traced(t, "alone", "exits-and-interrupts", "--layer", "host", "--", "true");
	t.is(alone.code, 0, alone.all);
	t.false(existsSync(`${runs}/alone/ftrace`));
	t.notRegex(inTracefs("ls instances"), new RegExp(`^tracelab-${stack}-`, "m"));
	t.is(mounts(), before);
});

test("where the host's kernel cannot be traced, a run says so in a sentence, and is a success", async (t) => {
	if (hostTracer() !== undefined) return skip(t, "this host's kernel can be traced");
	const { code, stderr } = await traced(t, "exits", "exits-and-interrupts", "--", "sleep", "1");
	t.is(code, 0, stderr);
	const sentence = `the kernel of this host (${release()}) is not traced: it has no lttng-modules, and no tracefs that root may mount`;
	const layer = readRun("exits").layers.find((one) => one.layer === "host");
	t.is(stderr.split("\n").filter((line) => line === sentence).length, 1, stderr);
	t.deepEqual([layer?.total, layer?.absent], [0, sentence]);
	const alone = await traced(t, "alone", "exits-and-interrupts", "--layer", "host", "--", "true");
	t.is(alone.code, 1, alone.all);
	t.true(alone.all.includes(`lab: ${sentence}\n  what to do: leave --layer host out, `), alone.all);
	const page = `${copy.folder}/exits.html`;
	t.is((await lab("report", "exits", "-o", page)).code, 0);
	t.true(readFileSync(page, "utf8").includes(`not recorded: ${sentence}`));
});

test("a run is started, listed, stopped and fetched, and what was fetched is CTF of both layers", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-fetched-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	t.teardown(() => remove("whole-disk"));
	const started = await lab("trace", "start", "block-io", "--name", "whole-disk");
	t.is(started.code, 0, started.all);
	t.is(started.stdout, `whole-disk records; ./lab -s ${stack} trace stop ends it`);
	t.is(sessions(), `tracelab-${stack}.whole-disk`);
	t.regex((await lab("trace", "ls")).stdout, /^whole-disk +block-io +vm +\S+Z +recording$/m);
	t.is(
		(await lab("trace", "fetch", "whole-disk", folder)).stderr,
		`lab: run "whole-disk" is being recorded\n  what to do: end it: ./lab -s ${stack} trace stop whole-disk`,
	);
	const dd = readDisk(100);
	t.is((await lab("exec", "vm", "--", ...dd)).code, 0);
	const stopped = await lab("trace", "stop");
	t.is(stopped.code, 0, stopped.all);
	t.regex(stopped.stdout, /^run whole-disk: block-io of vm for /);
	t.is(sessions(), "");
	const { layers } = readRun("whole-disk");
	const total = layers.reduce((sum, layer) => sum + layer.total, 0);
	t.regex(
		(await lab("trace", "ls")).stdout,
		new RegExp(`^whole-disk +block-io +vm +\\S+Z +[\\d.]+ s +${total} +[\\d.]+ k?M?B +0$`, "m"),
	);
	const fetched = await lab("trace", "fetch", "whole-disk", folder);
	t.deepEqual([fetched.code, fetched.stdout], [0, join(folder, "whole-disk")]);
	for (const [path, event] of [
		["qemu", "virtio_blk_handle_read"],
		["guest/vm", "block_rq_issue"],
	] as const) {
		const there = counted(join(folder, "whole-disk", path));
		t.deepEqual(there, layers.find((layer) => layer.path === path)?.events);
		t.true((there[event] ?? 0) >= 100, event);
	}
	t.is(
		(await lab("trace", "stop")).stderr,
		`lab: nothing is being recorded\n  what to do: start it: ./lab -s ${stack} trace start PROFILE`,
	);
});

test("a long run is calibrated: what is over its budget is said, with the event that makes most of it", async (t) => {
	copy.write(
		"profiles/costly.yaml",
		"description: What is over its budget.\nbudget: { rate: 4, events: 1 }\nqemu: { memory_region_ops_*: Registers., cpu_*: Ports., virtio_*: Devices. }\n",
	);
	const costs =
		/^lab: qemu costs [\d.]+ k?M?B and \d+ events a second, and its budget is 4 MB and 1: a long run is large, and may lose events\n {2}\d+ % of the events are ((memory_region_ops|cpu|virtio)_)\w+\n {2}what to do: record without \2_?\*, by a copy of profiles\/costly\.yaml that does not name it; or allow more, by budget: in traces: of the stack file$/m;
	// Eight seconds of some work: an idle guest may have no event at all in the second that is measured.
	const work =
		"for i in $(seq 80); do dd if=/dev/vda of=/dev/null bs=4k count=5 iflag=direct 2>/dev/null; sleep 0.1; done";
	t.teardown(() => remove("before"));
	const beside = await lab("exec", "vm", "--", "sh", "-c", `setsid sh -c '${work}' >/dev/null 2>&1 </dev/null &`);
	t.is(beside.code, 0, beside.all);
	const started = await lab("trace", "start", "costly", "--name", "before");
	const stopped = await lab("trace", "stop", "before");
	t.is(started.code, 0, started.all);
	t.regex(started.stderr, costs);
	t.is(started.stdout, `before records; ./lab -s ${stack} trace stop ends it`);
	t.is(stopped.code, 0, stopped.all);
	const long = await traced(t, "long", "costly", "--", "sh", "-c", work);
	t.is(long.code, 0, long.all);
	t.regex(long.stderr, costs);
	t.true(long.stderr.indexOf("lab: qemu costs") < long.stderr.indexOf("run long:"));
	for (const name of ["before", "long"]) t.false(existsSync(`${runs}/${name}/calibration`));
	t.is(sessions(), "");
	const cheap = await traced(t, "cheap", "block-io", "--", "sh", "-c", "touch /; sync; sleep 8");
	t.is(cheap.code, 0, cheap.all);
	t.notRegex(cheap.stderr, /costs/);
});

test("what LTTng loses is counted, and is said with the buffers that were full and what to do", async (t) => {
	t.timeout(600_000);
	copy.write(
		"profiles/lossy.yaml",
		"description: More than its buffers hold.\nbudget: { rate: 0.001, events: 1 }\nqemu: { memory_region_ops_*: Registers., cpu_*: Ports., virtio_*: Devices. }\n",
	);
	remove("lossy");
	t.teardown(() => remove("lossy"));
	const started = await lab("trace", "start", "lossy", "--name", "lossy");
	t.is(started.code, 0, started.all);
	// Whatever this machine can do, the buffers fill where nobody reads them.
	const consumer = (signal: string) =>
		host(`pkill -${signal} -P "$(head -n 1 /run/lttng/lttng-sessiond.pid)" -f lttng-consumerd`);
	try {
		consumer("STOP");
		const read = await lab(
			"exec",
			"vm",
			"--",
			..."dd if=/dev/vda of=/dev/null bs=4k count=20000 iflag=direct".split(" "),
		);
		t.is(read.code, 0, read.all);
	} finally {
		consumer("CONT");
	}
	// The guest's beacons between may be lost as well.
	const stopped = await lab("trace", "stop", "lossy", "--clock-bound", "1000000000");
	t.log(stopped.all);
	const { layers, notes } = readRun("lossy");
	const discarded = layers[0]?.discarded ?? 0;
	t.true(discarded > 0, stopped.all);
	const [said = ""] = notes.filter((note) => note.startsWith("qemu lost "));
	t.true(
		said.startsWith(`qemu lost ${discarded} events`) &&
			said.endsWith(
				": its buffers (8 of 128 KiB for each processor, by a budget of 0.001 MB/s) were full; record less, by a smaller profile, or allow more, by budget: in a copy of profiles/lossy.yaml or in traces: of the stack file",
			),
		said,
	);
	t.true(stopped.stdout.split("\n").includes(said), stopped.all);
	const listed = (await lab("trace", "ls")).stdout;
	t.regex(listed, new RegExp(`^lossy +lossy +vm .* ${discarded + (layers[0]?.lostPackets ?? 0)}$`, "m"));
});

test("a layer that recorded nothing is an error that names its cause", async (t) => {
	copy.write(
		"profiles/absent.yaml",
		"description: What this QEMU has not.\nbudget: { rate: 1, events: 1 }\nqemu: { no_such_tracepoint: None has it. }\n",
	);
	const absent = await traced(t, "absent", "absent", "--", "true");
	t.is(absent.code, 1);
	t.regex(
		absent.all,
		/lab: the layer qemu of vm recorded nothing: the QEMU of vm has none of these tracepoints: no_such_tracepoint\n/,
	);
	copy.write(
		"profiles/idle.yaml",
		"description: What does not happen.\nbudget: { rate: 1, events: 1 }\nqemu: { qemu_system_powerdown_request: Not here. }\n",
	);
	const idle = await traced(t, "idle", "idle", "--", "true");
	t.is(idle.code, 1);
	t.regex(
		idle.all,
		/recorded nothing: all is well with the tracing, but none of these happened: qemu_system_powerdown_request\n/,
	);
	const guest = await traced(t, "unknown", "block-io", "--layer", "host", "--", "true");
	t.is(guest.code, 2);
});

test("a run of boot has the guest from its reset on, in the same process", async (t) => {
	const pid = pidOf();
	const { code, all } = await traced(t, "boot", "boot");
	t.is(code, 0, all);
	t.log(all);
	t.is(pidOf(), pid);
	const [qemu] = readRun("boot").layers;
	// The guest sets its devices up anew.
	t.true((qemu?.events["virtio_set_status"] ?? 0) > 10);
	t.true((qemu?.events["virtio_blk_handle_read"] ?? 0) > 100);
	t.is(qemu?.discarded, 0);
	const mended = await lab("up");
	t.is(mended.code, 0, mended.all);
});

test("a flight recorder of the stack file is there after an up, comes back when it is killed, and goes", async (t) => {
	const file = `stacks/${stack}.yaml`;
	const name = `tracelab-${stack}-flight`;
	const traces = "traces: { flight: { domains: [vm], profile: block-io } }\n";
	copy.edit(file, "domains:", `${traces}domains:`);
	const up = await lab("up");
	t.is(up.code, 0, up.all);
	t.is(sessions(), name);
	const byHand: [title: string, command: string, said: string][] = [
		["a trace session destroyed", `lttng destroy ${name}`, `there is no trace session ${name}`],
		["a trace session stopped", `lttng stop ${name}`, `trace session ${name} is stopped`],
		[
			"an event disabled",
			`lttng disable-event --session=${name} --userspace --channel=main qemu:blk_co_preadv`,
			`trace session ${name} does not record: qemu:blk_co_preadv`,
		],
		[
			"a trace session destroyed in the guest",
			`${copy.folder}/lab -s ${stack} exec vm -- lttng -n destroy ${name}`,
			`there is no trace session ${name} in guest vm`,
		],
		[
			"an event disabled in the guest",
			`${copy.folder}/lab -s ${stack} exec vm -- lttng -n disable-event --session=${name} --kernel --channel=main block_rq_issue`,
			`trace session ${name} in guest vm does not record: block_rq_issue`,
		],
	];
	for (const [title, command, said] of byHand)
		await drifted(t, title, { byHand: () => command, said: [said], guest: "goes on" });
	const larger = "traces: { flight: { domains: [vm], profile: block-io, budget: { rate: 8, events: 60000 } } }\n";
	copy.edit(file, traces, larger);
	const budgeted = await lab("up");
	t.is(budgeted.code, 0, budgeted.all);
	t.is(
		host(`lttng --mi xml list ${name} | grep -oE '<subbuffer_(size|count)>[0-9]+' | paste -sd ' '`),
		"<subbuffer_size>2097152 <subbuffer_count>8",
	);
	t.deepEqual(card().traces["flight"]?.budget, { rate: 8, events: 60000 });
	const after = await lab("preview", "--", "--expect-no-changes");
	t.is(after.code, 0, after.all);
	const dd = readDisk(50);
	await lab("exec", "vm", "--", ...dd);
	t.teardown(() => remove("flown"));
	const snapshot = await lab("trace", "snapshot", "flight", "--name", "flown");
	t.is(snapshot.code, 0, snapshot.all);
	const run = readRun("flown");
	for (const { path, events } of run.layers) t.deepEqual(counted(`${runs}/flown/${path}`), events);
	t.true((run.layers[0]?.events["virtio_blk_handle_read"] ?? 0) >= 50);
	t.deepEqual(run.budget, { rate: 8, events: 60000 });
	t.is(sessions(), name);
	t.teardown(() => remove("held"));
	host(`virsh -c qemu:///system suspend ${libvirtName}`);
	const held = await lab("trace", "snapshot", "flight", "--name", "held");
	host(`virsh -c qemu:///system resume ${libvirtName}`);
	t.is(held.code, 1, held.all);
	t.true(held.all.includes('the part of guest vm is not to be had: domain "vm" is paused'), held.all);
	t.true((readRun("held").layers[0]?.events["virtio_blk_handle_read"] ?? 0) >= 50);
	t.teardown(() => remove("crashed"));
	const killed = Number(pidOf());
	host(
		`kill -SEGV ${killed}; until virsh -c qemu:///system domstate ${libvirtName} | grep -q 'shut off'; do sleep 0.1; done`,
	);
	const crashed = await lab("trace", "snapshot", "flight", "--name", "crashed");
	t.is(crashed.code, 1, crashed.all);
	t.true(crashed.all.includes('the part of guest vm is not to be had: domain "vm" crashed'), crashed.all);
	t.true(crashed.all.includes(`sudo tail /var/log/libvirt/qemu/${libvirtName}.log`), crashed.all);
	const last = readRun("crashed");
	t.is(last.domains["vm"]?.pid, Number(killed));
	t.true((last.layers[0]?.events["virtio_blk_handle_read"] ?? 0) >= 50);
	const back = await lab("up");
	t.is(back.code, 0, back.all);
	t.log(back.all);
	const kept = /trace session \S+ held is in (\S+): babeltrace2 reads it/.exec(back.all)?.[1] ?? "";
	t.is(counted(kept)["virtio_blk_handle_read"], last.layers[0]?.events["virtio_blk_handle_read"]);
	const whole = await traced(t, "whole", "flight", "--", ...dd);
	t.is(whole.code, 0, whole.all);
	const { profile, budget } = readRun("whole");
	t.deepEqual([profile, budget], ["block-io", { rate: 8, events: 60000 }]);
	t.is(sessions(), name);
	copy.edit(file, larger, "");
	const gone = await lab("up");
	t.is(gone.code, 0, gone.all);
	t.is(sessions(), "");
	t.false(existsSync(kept));
	const left = await lab("exec", "vm", "--", "sh", "-c", "lttng -n list");
	t.notRegex(left.stdout, new RegExp(name));
});
