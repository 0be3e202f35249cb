import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { asRoot } from "../../as-root.ts";
import { note } from "../elf-file.ts";
import type { FakeGuest } from "../fake-guest.ts";
import {
	flies,
	folder,
	hangs,
	held,
	pid,
	readRun,
	records,
	runs,
	traceable,
	traceableGuest,
} from "../scratch-trace.ts";

// One at a time, since each starts Node. `./lab trace snapshot` of what LTTng holds.

asRoot("a run that has the name of a flight recorder has a session of its own", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const { code, stderr } = await lab.lab(["trace", "run", "block-io", "-d", "vm", "--name", "flight", "--", "true"]);
	t.is(code, 0, stderr);
	t.is(readRun(lab, "flight").session, "tracelab-quickstart.flight");
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

const silent = test.macro({
	title: (_, guest: string) => `QEMU's part of a flight recorder is taken where its guest ${guest}`,
	async exec(t, _guest: string, becomes: (guest: FakeGuest) => void, why: string) {
		const { lab, guest } = await traceableGuest(t);
		records(lab, ["blk_co_preadv", "blk_co_preadv"], ["block_rq_issue"]);
		flies(lab, "host");
		flies(lab, "guest");
		becomes(guest);
		const { code, stderr } = await lab.lab(["trace", "snapshot", "flight", "--name", "f"]);
		t.is(code, 1);
		const lacks = `the part of guest vm is not to be had: ${why}`;
		t.true(stderr.startsWith(`lab: the layer guest vm recorded nothing: ${lacks}\n`), stderr);
		const { layers, notes, domains } = readRun(lab, "f");
		t.deepEqual(
			layers.map(({ total, absent }) => [total, absent]),
			[
				[2, undefined],
				[0, lacks],
			],
		);
		t.deepEqual(notes, [
			'which kernel and modules vm runs is not known: the guest agent of "vm" does not answer',
			"the clock of vm is not put on the host's: its guest agent does not answer",
		]);
		t.deepEqual([domains["vm"]?.pid, domains["vm"]?.kernel], [pid, undefined]);
		// Each may wait for some time: whether it answers, and its part.
		t.is(guest.calls.filter(([command]) => command === "qemu-agent-command").length, 2);
	},
});

asRoot(
	silent,
	"hangs",
	(guest) => {
		guest.fault = hangs;
	},
	'the guest agent of "vm" does not answer',
);
asRoot(
	silent,
	"is held by its debugger",
	(guest) => {
		guest.state = "paused";
	},
	'domain "vm" is paused',
);

asRoot("what a QEMU that crashed did last is in a snapshot, whoever has started it again since", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["blk_co_preadv", "blk_co_preadv"], ["block_rq_issue"]);
	flies(lab, "host");
	lab.write("lttng/host/tracelab-quickstart-flight/pids", `${pid}\n`);
	const file = "run/libvirt/qemu/quickstart-vm.pid";
	rmSync(join(lab.root, file));
	rmSync(join(lab.root, `proc/${pid}`), { recursive: true });
	guest.state = "shut off";
	const crashed = await lab.lab(["trace", "snapshot", "flight", "--name", "crashed"]);
	t.is(crashed.code, 1);
	const lacks = 'the part of guest vm is not to be had: domain "vm" is not running';
	t.is(crashed.stderr, `lab: the layer guest vm recorded nothing: ${lacks}\n  what to do: start it: ./lab up`);
	const ended = `the QEMU of vm that was recorded, process ${pid}, has ended`;
	const { domains, layers, notes } = readRun(lab, "crashed");
	t.deepEqual([domains["vm"]?.pid, layers.map(({ total }) => total)], [pid, [2, 0]]);
	t.true(notes.includes(ended));
	lab.write(file, `${pid + 1}\n`);
	guest.state = "running";
	const again = await lab.lab(["trace", "snapshot", "flight", "--name", "again"]);
	t.notRegex(again.stderr, /layer qemu/);
	const later = readRun(lab, "again");
	t.true(later.notes.includes(ended));
	// What runs there now is not what was recorded.
	t.deepEqual(
		[later.domains["vm"]?.pid, later.domains["vm"]?.emulator, later.domains["vm"]?.kernel],
		[pid, "", undefined],
	);
	t.true(later.notes.includes("the clock of vm is not put on the host's: its guest is not the one that was recorded"));
});

asRoot("of two QEMUs that crashed, a snapshot has the events, and does not say whose they are", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["blk_co_preadv"], []);
	flies(lab, "host");
	lab.write("lttng/host/tracelab-quickstart-flight/pids", `${pid}\n${pid + 1}\n`);
	rmSync(join(lab.root, "run/libvirt/qemu/quickstart-vm.pid"));
	rmSync(join(lab.root, `proc/${pid}`), { recursive: true });
	guest.state = "shut off";
	const { stderr } = await lab.lab(["trace", "snapshot", "flight", "--name", "f"]);
	t.notRegex(stderr, /layer qemu/);
	const { layers, notes } = readRun(lab, "f");
	t.is(layers[0]?.total, 1);
	t.true(
		notes.includes(`the processes ${pid} and ${pid + 1} were recorded, which have ended: nobody knows which was vm`),
	);
});

asRoot("a snapshot whose clocks cannot be compared is one all the same, and says so", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	flies(lab, "host");
	flies(lab, "guest");
	lab.write("lab/bin/clock-beacon", "#!/bin/sh\nexit 2\n", 0o755);
	const { code, stderr } = await lab.lab(["trace", "snapshot", "flight", "--name", "f"]);
	t.is(code, 0, stderr);
	const { layers, notes } = readRun(lab, "f");
	t.deepEqual(
		layers.map(({ total }) => total),
		[1, 1],
	);
	t.is(notes[0], "the clock of vm is not put on the host's: the guest's clock-beacon is an older tracelab's");
});

asRoot("a snapshot of another QEMU and kernel than the lab's claims no version of them", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	flies(lab, "host");
	flies(lab, "guest");
	rmSync(join(lab.root, `proc/${pid}/exe`));
	runs(lab, "/usr/bin/another");
	const other = "cd".repeat(20);
	writeFileSync(join(lab.root, "sys/kernel/notes"), note("GNU", 3, Buffer.from(other, "hex")));
	const { code, stderr } = await lab.lab(["trace", "snapshot", "flight", "--name", "f"]);
	t.is(code, 0, stderr);
	const { vm } = readRun(lab, "f").domains;
	t.deepEqual(
		[vm?.emulator, vm?.qemuVersion, vm?.kernel, vm?.kernelRelease],
		["/usr/bin/another", undefined, other, undefined],
	);
});

asRoot("what a snapshot has taken stays where it cannot be made whole", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	flies(lab, "host");
	flies(lab, "guest");
	const guests = lab.read("guest-bin/lttng").replace("exec ", "");
	lab.write("guest-bin/lttng", `${guests}sleep 1; rm -rf '${lab.root}/lttng/host/tracelab-quickstart-flight'\n`, 0o755);
	const { code, stderr } = await lab.lab(["trace", "snapshot", "flight", "--name", "f"]);
	t.is(code, 1);
	t.is(stderr.split("\n")[0], `lab: what was taken by then stays in ${join(lab.root, folder, "f")}`);
	t.true(existsSync(join(lab.root, folder, "f/qemu/snapshot-1")));
});

asRoot("two snapshots of a flight recorder are taken one after the other", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	flies(lab, "host");
	flies(lab, "guest");
	const record = lab.write("var/lib/tracelab/traces/tracelab-quickstart-flight", "");
	const letGo = await held(t, lab, relative(lab.root, record));
	const second = lab.lab(["trace", "snapshot", "flight", "--name", "f"]);
	while (!existsSync(join(lab.root, folder, "f"))) await pause(20);
	await pause(500);
	t.deepEqual(readdirSync(join(lab.root, folder, "f")), []);
	await letGo();
	const { code, stderr } = await second;
	t.is(code, 0, stderr);
});
