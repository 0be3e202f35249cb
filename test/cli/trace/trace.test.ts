import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import test from "ava";
import { project } from "../../../cli/host.ts";
import { clockRecordSchema } from "../../../spec/clock-record.ts";
import { asRoot } from "../../as-root.ts";
import { LockedLab } from "../locked-lab.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import { bootIds } from "../scratch-run.ts";
import {
	buildId,
	emulator,
	folder,
	guestWallClock,
	hangs,
	hasClocksource,
	noBeacon,
	pid,
	readRun,
	records,
	recordsLines,
	traceable,
	traceableGuest,
	traceRun,
	wallClockAhead,
} from "../scratch-trace.ts";
import { wholeLab } from "../verify/whole-lab.ts";

// One at a time, since each starts Node. `./lab trace` as a whole: what it makes, brings in, counts, says and keeps. The other
// files of this folder have the rest of it.

const overAgent =
	"LTTng sees no beacons of vm's QEMU: the guest's clock is compared over its agent, and known to milliseconds";

const lost = (layer: string, what: string) =>
	`${layer} lost ${what}: its buffers (8 of 1024 KiB for each processor, by a budget of 4 MB/s) were full; record less, by a smaller profile, or allow more, by budget: in a copy of profiles/block-io.yaml or in traces: of the stack file`;

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
		session: "tracelab-quickstart.one",
		mode: "stream",
		command: ["sh", "-c", "echo out; echo err >&2; exit 7"],
		exitStatus: 7,
		lttng: { host: "2.13.9", guests: { vm: "2.13.9" } },
		notes: [noBeacon, ...["qemu", "guest vm"].map((layer) => lost(layer, "3 events and 4 packets of events"))],
	});
	const of = { acceleration: "tcg", builds: ["image-main", "kernel-main", "qemu-main"] } as const;
	const versions = { qemuVersion: "7.2.22", kernelRelease: "6.1.0" };
	t.deepEqual(run.domains, {
		vm: {
			...{ libvirtName: "quickstart-vm", pid, emulator, ...of, ...versions },
			...{ kernel: buildId, modules: {}, clocksource: "hpet", bootId: bootIds.guest },
		},
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
	t.false(existsSync(join(lab.root, "dev/shm/tracelab/tracelab-quickstart.one")));
});

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

asRoot("QEMU alone is recorded where its guest does not answer, which is said", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["blk_co_preadv"], []);
	guest.fault = hangs;
	const { code, stderr } = await lab.lab([
		"trace",
		"start",
		"block-io",
		"-d",
		"vm",
		"--layer",
		"qemu",
		"--name",
		"one",
	]);
	t.is(code, 0, stderr);
	const stop = await lab.lab(["trace", "stop"]);
	t.is(stop.code, 0, stop.stderr);
	const { layers, notes } = readRun(lab, "one");
	t.is(layers[0]?.total, 1);
	const why = 'the guest agent of "vm" does not answer';
	t.deepEqual(notes, [
		`which kernel and modules vm runs is not known: ${why}`,
		`the clock of vm is not put on the host's: ${why}`,
		`the beacons of vm are not to be had: ${why}`,
	]);
	const both = await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "two"]);
	t.is(both.stderr.split("\n")[0], `lab: ${why}`);
	t.false(existsSync(join(lab.root, folder, "two")));
});

asRoot("a guest that does not answer is reset all the same, without a sync, which is said", async (t) => {
	const { lab, guest } = await traceableGuest(t);
	records(lab, ["serial_write"], []);
	guest.fault = hangs;
	const { code, stderr } = await lab.lab(["trace", "run", "boot", "-d", "vm", "--name", "one"]);
	t.is(code, 0, stderr);
	t.regex(
		stderr,
		/^lab: vm is reset without a sync of its disks: the guest agent of "vm" does not answer\nlab: vm booted in /m,
	);
});

asRoot("a guest whose QEMU shows LTTng no beacons has its clock compared over its agent, which is said", async (t) => {
	const lab = await traceable(t);
	lab.write("lttng/ust", "");
	// The guest's clock is this machine's own, as the agent's answers are.
	const wall = wallClockAhead();
	lab.write("guest/proc/timer_list", `  .index:      1\n  .offset:     ${wall} nsecs\n`);
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

const clockOf = (lab: ScratchLab, run: string) =>
	clockRecordSchema.parse(JSON.parse(lab.read(`${folder}/${run}/clock.json`))).guests["vm"];

asRoot(
	"a clocksource that changes in a run is noted where no step shows it, and widens the bound either way",
	async (t) => {
		const { lab } = await wholeLab(t);
		const changes = async (run: string, from: string, to: string) => {
			hasClocksource(lab, from);
			const started = await lab.lab(["trace", "start", "block-io", "--name", run]);
			t.is(started.code, 0, started.stderr);
			t.is(readRun(lab, run).domains["vm"]?.clocksource, from);
			hasClocksource(lab, to);
			const { code, stdout, stderr } = await lab.lab(["trace", "stop"]);
			t.is(code, 0, stderr);
			const note = `the clocksource of guest vm changed from ${from} to ${to} in the run`;
			t.deepEqual(readRun(lab, run).notes, [note]);
			t.true(stdout.split("\n").includes(note), stdout);
			const clock = clockOf(lab, run);
			t.deepEqual([clock?.clocksource, clock?.pieces.length], [to, 1]);
			return clock?.bound;
		};
		t.is(await changes("one", "hpet", "acpi_pm"), await changes("two", "acpi_pm", "hpet"));
	},
);

asRoot("a guest that does not say its clocksource at the start of a run is none the less recorded", async (t) => {
	const { lab } = await wholeLab(t);
	lab.write("guest/proc/timer_list", "");
	t.is((await lab.lab(["trace", "start", "block-io", "--name", "one"])).code, 0);
	t.is(readRun(lab, "one").domains["vm"]?.clocksource, undefined);
	lab.write("guest/proc/timer_list", `  .index:      1\n  .offset:     ${guestWallClock} nsecs\n`);
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 0, stderr);
	t.deepEqual(readRun(lab, "one").notes, []);
	t.is(clockOf(lab, "one")?.clocksource, "hpet");
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

asRoot("a run that cannot be read is said, and stands in no other's way", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	lab.write(`${folder}/old/run.json`, "{}");
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, 0);
	const json = await lab.lab(["trace", "ls", "--json"]);
	t.deepEqual(JSON.parse(json.stdout), [readRun(lab, "one")]);
	const listed = await lab.lab(["trace", "ls"]);
	t.deepEqual(
		[listed.code, listed.stdout.split("\n").length, listed.stderr.split("\n").length],
		[0, 2, 2],
		listed.stderr,
	);
	t.regex(listed.stderr, /old\/run\.json is no record of a run of this version: /);
	t.is((await lab.lab(["trace", "stop"])).code, 0);
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
		{ profile: "block-io", budget: { rate: 8, events: 2 }, session: `tracelab-quickstart.${name}` },
	);
	t.false(existsSync(join(lab.root, `lttng/host/${session}`)));
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

test.serial("a profile that cannot be used is refused, with all that is wrong with it", async (t) => {
	const lab = await LockedLab.for(t);
	writeFileSync(
		`${lab.project}/profiles/broken.yaml`,
		"description: Two mistakes.\nbudget: { rate: 4, events: 0 }\nqemu:\n  virtio-notify: Why.\n",
	);
	t.deepEqual(await lab.lab("trace", "run", "broken", "-d", "vm", "--", "true"), {
		code: 2,
		stdout: "",
		stderr: [
			'lab: profile "broken" cannot be used:',
			"profiles/broken.yaml:2:28: budget.events: 0 is too small",
			"    Events a second that one domain should stay below. For example: 50000",
			'profiles/broken.yaml:4:3: qemu.virtio-notify: "virtio-notify" is not a tracepoint\'s name',
			"    A tracepoint's name, or a pattern with *: letters, digits and _. For example: virtio_blk_*",
		].join("\n"),
	});
	t.false(existsSync(join(lab.host.root, folder)));
});

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
