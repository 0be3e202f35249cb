import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { asRoot } from "../../as-root.ts";
import type { FakeGuest } from "../fake-guest.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import {
	folder,
	hangs,
	held,
	noBeacon,
	pid,
	readRun,
	records,
	stopsOnceThereIsRoom,
	traceable,
	traceableGuest,
	traceRun,
} from "../scratch-trace.ts";

// One at a time, since each starts Node. How a run ends, and what is kept of it, whatever goes wrong just then.

asRoot("a session daemon that was started again while it recorded is the cause that is named", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	lab.write("guest-bin/true", `#!/bin/sh\nrm -r '${lab.root}/lttng/host'\n`, 0o755);
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 1);
	t.regex(
		stderr,
		/lab: the layer qemu recorded nothing: trace session tracelab-quickstart.one is gone: root's session daemon was ended or started again while it recorded, somebody destroyed it, or what made it was killed before\n/,
	);
	// What the guest has does not go with it.
	t.deepEqual(
		readRun(lab, "one").layers.map(({ layer, total }) => [layer, total]),
		[
			["qemu", 0],
			["guest", 1],
		],
	);
});

asRoot("QEMU's part that cannot be read is no loss of the guest's", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const reads = readFileSync(join(String(lab.env["PATH"]).split(":")[0] ?? "", "babeltrace2"), "utf8");
	lab.fake("babeltrace2", `case "\${*: -1}" in */one/qemu*) echo 'ERROR: torn' >&2; exit 1 ;; esac\n${reads}`);
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 1);
	t.regex(stderr, /\nlab: the layer qemu recorded nothing: babeltrace2 ended with 1: .*\nERROR: torn$/);
	const { layers } = readRun(lab, "one");
	t.regex(layers[0]?.absent ?? "", /^QEMU's part is not to be had: babeltrace2 ended with 1: /);
	t.deepEqual(layers[1]?.events, { block_rq_issue: 1 });
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
	// A fetch that fails leaves nothing that would stand in the next one's way.
	const socket = createServer().listen(join(lab.root, folder, "one/socket"));
	t.teardown(() => socket.close());
	await once(socket, "listening");
	mkdirSync(join(lab.root, "else"));
	t.not((await lab.lab(["trace", "fetch", "one", join(lab.root, "else")])).code, 0);
	t.deepEqual(readdirSync(join(lab.root, "else")), []);
	socket.close();
	t.true(existsSync(join(lab.root, "one/guest/vm/kernel/metadata")));
	t.is(
		(await lab.lab(["trace", "stop"])).stderr,
		"lab: nothing is being recorded\n  what to do: start it: ./lab trace start PROFILE",
	);
});

asRoot("a run whose domain the lab has lost since is stopped all the same, which it says", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	const { vm: _, ...others } = card.domains;
	lab.up({ ...card, domains: others });
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	t.true(readRun(lab, "one").notes.includes("the lab has no domain vm any more: what it had not given is lost"));
	t.deepEqual(readdirSync(join(lab.root, "lttng/host")), []);
});

const leftRecording = test.macro({
	title: (_, what: string) => `a command whose run goes on, since ${what}, says how that is ended`,
	async exec(t, _what: string, becomes: (guest: FakeGuest, lab: ScratchLab) => () => void, said: readonly string[]) {
		const { lab, guest } = await traceableGuest(t);
		records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
		lab.write(
			"guest-bin/true",
			`#!/bin/sh\n: >'${lab.root}/runs'; while [ ! -e '${lab.root}/ends' ]; do sleep 0.1; done\n`,
			0o755,
		);
		const running = lab.lab([...traceRun, "--", "true"]);
		while (!existsSync(join(lab.root, "runs"))) await pause(20);
		const mend = becomes(guest, lab);
		const { code, stderr } = await running;
		t.is(code, 1);
		const [message, todo] = said;
		t.deepEqual(stderr.split("\n").slice(1), [
			`lab: ${message}: run one is still being recorded`,
			`  what to do: ${todo}; then end the run: ./lab trace stop one`,
		]);
		mend();
		t.is((await lab.lab(["trace", "stop", "one"])).code, 0);
	},
});

asRoot(
	leftRecording,
	"a debugger holds the guest",
	(guest, lab) => {
		guest.states.push("paused");
		lab.write("ends", "");
		return () => {};
	},
	[
		'domain "vm" is paused',
		"let it go on from its debugger (./lab gdb vm, then continue) or by: virsh resume quickstart-vm",
	],
);
asRoot(
	leftRecording,
	"libvirtd has died",
	(_guest, lab) => {
		const virsh = join(String(lab.env["PATH"]).split(":")[0] ?? "", "virsh");
		const answers = readFileSync(virsh, "utf8");
		lab.fake("virsh", "echo 'error: failed to connect to the hypervisor' >&2; exit 1");
		return () => writeFileSync(virsh, answers);
	},
	["libvirtd does not answer", "./lab up starts it; ./lab doctor says more"],
);

asRoot("a QEMU that was replaced while it was recorded is said", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", ...traceRun.slice(2), "--layer", "qemu"])).code, 0);
	lab.write("run/libvirt/qemu/quickstart-vm.pid", `${pid + 1}\n`);
	const { code, stdout, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	const ended = `the QEMU of vm that was recorded, process ${pid}, has ended: nothing that vm did behind that is in the run`;
	t.true(stdout.split("\n").includes(ended), stdout);
});

asRoot("a guest that was started again is said where QEMU alone is recorded", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", ...traceRun.slice(2), "--layer", "qemu"])).code, 0);
	lab.write("guest/proc/sys/kernel/random/boot_id", "another\n");
	const { code, stdout, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	t.true(stdout.split("\n").includes("guest vm was started again in the run: its clock began anew there"), stdout);
});

asRoot("a guest that was started again has nothing of its part, which is the cause that is named", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", ...traceRun.slice(2)])).code, 0);
	rmSync(join(lab.root, "dev/shm/tracelab"), { recursive: true });
	rmSync(join(lab.root, "lttng/guest"), { recursive: true });
	lab.write("lttng/guest-down", "");
	const gone = [
		"guest vm has no session tracelab-quickstart.one any more: it was started again while it was recorded, or what made the session was killed before",
		"  what to do: see why in its console: ./lab console --log vm; then record it again",
	];
	const rotated = await lab.lab(["trace", "rotate"]);
	t.deepEqual([rotated.code, rotated.stderr], [1, `lab: ${gone.join("\n")}`]);
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	const lacks = "lab: the layer guest vm recorded nothing: the part of guest vm is not to be had: ";
	t.deepEqual([code, stderr], [1, lacks + gone.join("\n")]);
});

asRoot("a stop that was cut off is done again, and has all that the session and the guest still have", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	const file = `${folder}/one/run.json`;
	const recording = lab.read(file);
	const counts = join(String(lab.env["PATH"]).split(":")[0] ?? "", "babeltrace2");
	const whole = readFileSync(counts, "utf8");
	lab.fake("babeltrace2", "kill -9 $PPID");
	t.is((await lab.lab(["trace", "stop"])).code, undefined);
	t.is(lab.read(file), recording);
	writeFileSync(counts, whole);
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	t.deepEqual(
		readRun(lab, "one").layers.map(({ layer, total }) => [layer, total]),
		[
			["qemu", 1],
			["guest", 1],
		],
	);
	t.deepEqual(readdirSync(join(lab.root, "lttng/host")), []);
});

asRoot("what another command records, or stops, is neither stopped nor destroyed meanwhile", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "before"])).code, 0);
	const letGo = await held(t, lab, `${folder}/one`);
	const stopped = await lab.lab(["trace", "stop", "one"]);
	const busy =
		'lab: another command records run "one", or stops it\n  what to do: wait until that has ended, or end it by Ctrl-C';
	t.deepEqual([stopped.code, stopped.stderr], [1, busy]);
	lab.write("state/.pulumi/stacks/tracelab/quickstart.json", '{"checkpoint":{"latest":null}}');
	lab.fake("pulumi", "exit 0");
	const destroyed = await lab.lab(["destroy", "-y"]);
	t.deepEqual([destroyed.code, destroyed.stderr], [1, `${busy}; then destroy the lab`]);
	t.is(readRun(lab, "before").ended, undefined);
	await letGo();
	t.is((await lab.lab(["trace", "stop", "one"])).code, 0);
	t.deepEqual(
		readRun(lab, "one").layers.map(({ total }) => total),
		[1, 1],
	);
});

asRoot("a run is stopped as it was begun, whatever became of its profile", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	lab.write(`${folder}/one/run.json`, lab.read(`${folder}/one/run.json`).replace('"block-io"', '"renamed"'));
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	t.deepEqual(readdirSync(join(lab.root, "lttng/host")), []);
	t.deepEqual(readdirSync(join(lab.root, "lttng/guest")), []);
});

asRoot("a run whose lab is destroyed while it records has ended, which it says", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	lab.write("state/.pulumi/stacks/tracelab/quickstart.json", '{"checkpoint":{"latest":null}}');
	lab.fake("pulumi", "exit 0");
	const { code, stderr } = await lab.lab(["destroy", "-y"]);
	t.deepEqual([code, stderr], [0, "lab: run one was being recorded: its session goes with the lab"]);
	const { ended, monotonic, notes } = readRun(lab, "one");
	t.not(ended, undefined);
	t.not(monotonic.ended, undefined);
	t.is(notes.at(-1), "its lab was destroyed while it recorded");
	t.deepEqual(readdirSync(join(lab.root, "lttng/host")), []);
});

const wasFull = (lab: ScratchLab) =>
	`the disk of ${join(lab.root, folder, "one")} was full when the run was stopped: what came last on this host may not be in its layers, and is not counted as lost; make room before the next run`;

asRoot(
	"where the disk has less room than a buffer at the end, what came last may be missing, which is said",
	async (t) => {
		const lab = await traceable(t);
		records(lab, ["virtio_queue_notify"], ["block_rq_issue"]);
		const runs = async (bytes: number) => {
			lab.fake("df", `echo Avail\necho ${bytes}`);
			const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
			t.is(code, 0, stderr);
			const { notes } = readRun(lab, "one");
			rmSync(join(lab.root, folder, "one"), { recursive: true });
			return notes;
		};
		t.deepEqual(await runs(4096), [noBeacon, wasFull(lab)]);
		t.deepEqual(await runs(1 << 30), [noBeacon]);
	},
);

asRoot("where the disk has no room for a guest's part, the run is to be stopped once there is some", async (t) => {
	const lab = await traceable(t);
	records(lab, ["virtio_queue_notify"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", ...traceRun.slice(2)])).code, 0);
	const { run, stdout } = await stopsOnceThereIsRoom(t, lab, "guest/vm/kernel/metadata.part");
	t.deepEqual(
		run.layers.map(({ layer, events }) => [layer, events]),
		[
			["qemu", { virtio_queue_notify: 1 }],
			["guest", { block_rq_issue: 1 }],
		],
	);
	t.deepEqual(run.notes, [noBeacon, wasFull(lab)]);
	t.is(stdout.split(noBeacon).length, 2);
	t.deepEqual(readdirSync(join(lab.root, folder, "one")).sort(), ["guest", "project", "qemu", "run.json"]);
	t.false(existsSync(join(lab.root, "lttng/host/tracelab-quickstart.one")));
	t.false(existsSync(join(lab.root, "lttng/guest/tracelab-quickstart.one")));
});

asRoot("where it has none for the beacons, the guest has them still", async (t) => {
	const lab = await traceable(t);
	records(lab, ["virtio_queue_notify"], ["block_rq_issue"]);
	const ends = "trap 'echo 1 1 2; exit' TERM; while sleep 0.1; do :; done";
	const program = `#!/bin/sh\necho 0 1 2\n(${ends}) 2>/dev/null </dev/null &\necho $! >"$4"\n`;
	lab.write("lab/bin/clock-beacon", program, 0o755);
	t.is((await lab.lab(["trace", "start", ...traceRun.slice(2)])).code, 0);
	const full = join(lab.root, folder, "one/clock/vm");
	mkdirSync(dirname(full));
	symlinkSync("/dev/full", full);
	const refused = await lab.lab(["trace", "stop"]);
	t.regex(refused.stderr, /^lab: run one is not whole yet: ENOSPC/);
	for (const where of ["host", "guest"])
		t.false(existsSync(join(lab.root, `lttng/${where}/tracelab-quickstart.one/on`)), "nothing is recorded any more");
	rmSync(full);
	await lab.lab(["trace", "stop", "one"]);
	// Those of the start, and of the first stop: from there on the clocks are as they were.
	t.is(lab.read(`${folder}/one/clock/vm`), "0 1 2\n1 1 2\n");
	t.false(readRun(lab, "one").notes.some((note) => note.startsWith("clock-beacon ended")));
	t.deepEqual(
		readdirSync(join(lab.root, "run")).filter((name) => name.startsWith("tracelab-")),
		[],
	);
});

asRoot("beacons that ended before their run did are named in it", async (t) => {
	const lab = await traceable(t);
	records(lab, ["virtio_queue_notify"], ["block_rq_issue"]);
	lab.write("lab/bin/clock-beacon", '#!/bin/sh\necho 0 1 2\necho 4194305 >"$4"\n', 0o755);
	t.is((await lab.lab(["trace", "start", ...traceRun.slice(2)])).code, 0);
	await lab.lab(["trace", "stop"]);
	t.true(
		readRun(lab, "one").notes.includes(
			"clock-beacon ended before the run did in vm: the guest's clock is known the less, the later an event is",
		),
	);
});

asRoot("where it has none once the command has ended, the run is to be stopped later", async (t) => {
	const lab = await traceable(t);
	records(lab, ["virtio_queue_notify"], ["block_rq_issue"]);
	const part = join(lab.root, folder, "one/run.json.part");
	lab.write("guest-bin/true", `#!/bin/sh\nln -s /dev/full '${part}'\n`, 0o755);
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 1);
	t.deepEqual(stderr.split("\n").slice(1), [
		"lab: run one is not whole yet: ENOSPC: no space left on device, write",
		"  what to do: make room (df -h shows on which disk), then: ./lab trace stop one; until then, nothing of it is removed",
	]);
	rmSync(part, { force: true });
	t.is((await lab.lab(["trace", "stop", "one"])).code, 0);
	t.like(readRun(lab, "one"), { command: ["true"], layers: [{ total: 1 }, { total: 1 }] });
});

asRoot("a guest writes no file of the host but those of its part", async (t) => {
	const lab = await traceable(t);
	records(lab, ["virtio_queue_notify"], ["block_rq_issue"]);
	lab.write("guest-bin/find", "#!/bin/sh\necho ./../../../../evil\n", 0o755);
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 1);
	t.true(
		stderr.endsWith(
			"lab: the layer guest vm recorded nothing: the part of guest vm is not to be had: the guest names a file outside of its part: ../../../../evil",
		),
		stderr,
	);
	t.false(existsSync(join(lab.root, folder, "evil")));
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

asRoot("a guest that hangs is waited for once, and how to have its part later is said", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	guest.calls.length = 0;
	guest.fault = "error: Guest agent is not responding: QEMU guest agent is not connected";
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	const session = "tracelab-quickstart.one";
	t.deepEqual(
		[code, stderr.split("\n").slice(-3)],
		[
			1,
			[
				'lab: the layer guest vm recorded nothing: the part of guest vm is not to be had: the guest agent of "vm" does not answer',
				"  what to do: it may still be booting, or stand in a debugger; see its console: ./lab console --log vm",
				`    if it goes on, it has what LTTng recorded still: ./lab exec vm -- lttng destroy ${session}, then ./lab cp vm:/dev/shm/tracelab/${session} ., then ./lab exec vm -- rm -r /dev/shm/tracelab/${session}`,
			],
		],
	);
	t.deepEqual(
		guest.calls.filter(([command]) => command === "qemu-agent-command").map((words) => words.slice(1, 3).join(" ")),
		["--timeout 15"],
	);
	// Also if it answers while its run's session is ended.
	t.true(existsSync(join(lab.root, "lttng/guest", session)));
	t.is(readRun(lab, "one").layers[1]?.total, 0);
});

asRoot("a guest that hangs is waited for once where QEMU alone is recorded", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["blk_co_preadv"], []);
	t.is((await lab.lab(["trace", "start", ...traceRun.slice(2), "--layer", "qemu"])).code, 0);
	guest.calls.length = 0;
	guest.fault = hangs;
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	t.true(
		readRun(lab, "one").notes.includes('the beacons of vm are not to be had: the guest agent of "vm" does not answer'),
	);
	t.is(guest.calls.filter(([command]) => command === "qemu-agent-command").length, 1);
});

const keeps = test.macro({
	title: (_, when: string) => `a guest keeps its part until its debugger lets it go on, which stops it ${when}`,
	/** Pauses the guest, beside `stop` where it returns that itself. */
	async exec(t, _when: string, pauses: (guest: FakeGuest, stop: () => ReturnType<ScratchLab["lab"]>) => unknown) {
		const { lab, guest } = await traceableGuest(t);
		records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
		t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
		const stop = () => lab.lab(["trace", "stop"]);
		let stopping: ReturnType<typeof stop> | undefined;
		await pauses(guest, () => (stopping = stop()));
		const held = await (stopping ?? stop());
		t.is(held.code, 1);
		t.regex(held.stderr, /^lab: domain "vm" is paused\n {2}what to do: let it go on/);
		guest.state = "running";
		t.is((await lab.lab(["trace", "stop"])).code, 0);
		t.deepEqual(
			readRun(lab, "one").layers.map(({ total }) => total),
			[1, 1],
		);
	},
});

asRoot(keeps, "before its run is stopped", (guest) => {
	guest.state = "paused";
});
asRoot(keeps, "while that is stopped", (guest) => {
	guest.states.push("running");
	guest.state = "paused";
});
asRoot(keeps, "while its part is fetched", async (guest, stop) => {
	guest.asked.length = 0;
	guest.slowness = 100;
	stop();
	while (!guest.asked.includes("guest-file-open")) await pause(5);
	guest.state = "paused";
});
