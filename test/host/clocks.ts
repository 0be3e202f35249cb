import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { findDomain } from "../../cli/card.ts";
import { checkBound, checkOffsets, fitRun } from "../../cli/clock/run-clock.ts";
import { guestSystemClock } from "../../cli/clock/system-clock.ts";
import { GuestAgent } from "../../cli/guest/agent.ts";
import { causality, mergedEvents } from "../../cli/runs/merge.ts";
import { beaconEvent, beaconFilter } from "../../spec/beacon-match.ts";
import { clockRecordSchema, type GuestClock } from "../../spec/clock-record.ts";
import { copy, host, lab, libvirtName, pidOf, skip, stack } from "./proof.ts";
import { readDisk, readRun, remove, runs, traced } from "./traced.ts";

/** Nanoseconds that a bound stays under even where other work keeps the machine from this. */
const generous = 20_000;

/** What a run's clock.json has of the guest. */
function clockOf(run: string): GuestClock {
	const { guests } = clockRecordSchema.parse(JSON.parse(readFileSync(`${runs}/${run}/clock.json`, "utf8")));
	if (guests["vm"] === undefined) throw new Error(`${run} has no clock of vm`);
	return guests["vm"];
}

/** Time for beacons behind a change, and work for the profile. */
const waitAndRead = `sleep 10; ${readDisk(20).join(" ")}`;

const inGuest = async (script: string): Promise<string> => {
	const { code, stdout, all } = await lab("exec", "vm", "--", "sh", "-c", script);
	if (code !== 0) throw new Error(all);
	return stdout;
};

/** What `./lab clock vm` says: how far the host's clock is ahead of the guest's, and how well that is known. */
async function measured() {
	const { code, stdout, all } = await lab("clock", "vm", "--clock-bound", String(generous));
	const said = /^host - guest, MONOTONIC: (-?\d+) ns ± (\d+) ns \((.+), (\d+) pairs, drift \S+ ppm\)$/m.exec(stdout);
	const [, offset = "0", bound = "0", method, pairs] = said ?? [];
	return { code, all, offset: BigInt(offset), bound: BigInt(bound), method, pairs };
}

test("./lab clock has the clocksources, and measures in band what lies between the clocks", async (t) => {
	const clocksource = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
	const { code, all, method, pairs, bound } = await measured();
	t.log(all);
	t.is(code, 0, all);
	t.true(all.includes(`host      ${host(`cat ${clocksource}`)} `), all);
	t.true(all.includes(`guest vm  ${await inGuest(`cat ${clocksource}`)} `), all);
	t.deepEqual([method, pairs], ["in-band beacon", "90"]);
	t.true(bound > 0n && bound < generous);
	t.regex(all, /^the trace qemu\/\S+ has REALTIME - MONOTONIC \d{19} ns: -?\d+ ns from the system's own$/m);
	t.is(host("lttng list | grep -c tracelab-clock || :"), "0");
});

test("a stop of the guest is between two measurements, as long as it was; without one, they agree", async (t) => {
	const [one, two] = [await measured(), await measured()];
	// Each is right to within its bound, and what the clocks drift apart in these seconds.
	const apart = two.offset - one.offset;
	t.log(`two measurements are ${apart} ns apart, with bounds of ${one.bound} ns and ${two.bound} ns`);
	t.true((apart < 0n ? -apart : apart) <= one.bound + two.bound + 100_000n, String(apart));
	const virsh = (verb: string) => host(`virsh -q -c qemu:///system ${verb} ${libvirtName}`);
	virsh("suspend");
	const begun = process.hrtime.bigint();
	await pause(1000);
	const stopped = process.hrtime.bigint() - begun;
	virsh("resume");
	const three = await measured();
	t.true(three.offset - two.offset >= stopped, `${three.offset - two.offset} ${stopped}`);
	t.true(three.offset - two.offset < stopped + 5_000_000_000n);
});

test("a run's layers come in one order, in which no effect comes before its cause", async (t) => {
	const folder = `${runs}/clocks`;
	const [session, kernel] = ["tracelab-test-clocks", "block_rq_issue,block_rq_complete,irq_handler_entry"];
	t.teardown(() => remove("clocks"));
	remove("clocks");
	mkdirSync(`${folder}/clock`, { recursive: true });
	mkdirSync(`${folder}/guest/vm`, { recursive: true });
	host(`lttng create ${session} --output=${folder}/qemu`);
	t.teardown(() => host(`lttng destroy ${session} || :`));
	host(`lttng track --session=${session} --userspace --vpid=${pidOf()}`);
	host(`lttng enable-event --session=${session} --userspace ${beaconEvent} --filter='${beaconFilter}'`);
	host(
		`lttng enable-event --session=${session} --userspace 'qemu:virtio_blk_*,qemu:virtio_notify*,qemu:virtio_queue_notify'`,
	);
	host(`lttng start ${session}`);
	await inGuest(`set -e; rm -rf /tmp/clocks; lttng create clocks --output=/tmp/clocks; trap 'lttng destroy clocks' EXIT
		lttng enable-event --session=clocks --kernel ${kernel}; lttng start clocks
		/lab/bin/clock-beacon 30 10000 3000000 /tmp/beacons.pid >/tmp/beacons
		dd if=/dev/vda of=/dev/null bs=64k count=200 iflag=direct
		pid=$(cat /tmp/beacons.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.1; done; lttng stop clocks`);
	host(`lttng stop ${session}; lttng destroy ${session}`);
	for (const [from, to] of [
		["/tmp/beacons", "clock/vm"],
		["/tmp/clocks", "guest/vm"],
	]) {
		const { code, all } = await lab("cp", `vm:${from}`, `${folder}/${to}`);
		t.is(code, 0, all);
	}
	const record = await fitRun(folder, {
		guests: { vm: await guestSystemClock(new GuestAgent(findDomain(stack, "vm"))) },
	});
	t.true((record.guests["vm"]?.pairs ?? 0) >= 60);
	t.deepEqual(record.guests["vm"]?.unmatched, { guest: 0, host: 0 });
	t.deepEqual(checkBound(record, 2 * generous), []);
	t.deepEqual(checkOffsets(record), []);
	t.is(record.traces.filter(({ difference }) => difference !== undefined).length, 2);
	let last = Number.NEGATIVE_INFINITY;
	const seen = new Set<string>();
	for await (const { time, layer } of (await mergedEvents(folder)).events) {
		t.true(time >= last);
		last = time;
		seen.add(layer);
	}
	t.deepEqual([...seen].sort(), ["guest", "qemu"]);
	const { checks } = await causality(folder);
	t.is(checks.length, 3);
	for (const { order, pairs, violations, contradictions, least } of checks) {
		t.log(`${order}: ${pairs} pairs, ${least} ns at least; bound ${record.guests["vm"]?.bound} ns`);
		t.true(pairs >= 190, String(pairs));
		t.deepEqual([violations, contradictions], [0, 0]);
	}
	const shown = await lab("events", "clocks", "--match", "^vm:(block_rq|qemu:virtio_blk)");
	t.is(shown.code, 0, shown.stderr);
	t.regex(shown.stderr, /then QEMU handles it .*: \d+ times, never violated; \d+ ns at least/);
});

test("a run of the guest's layer alone has its clock in band, whoever started the guest's session daemon", async (t) => {
	await inGuest("systemctl stop lttng-sessiond; lttng create own; lttng destroy own");
	t.teardown(() => inGuest("pkill -x lttng-sessiond; while pgrep -x lttng-sessiond; do sleep 0.1; done"));
	const { code, all } = await traced(t, "guest-alone", "block-io", "--layer", "guest", "--", ...readDisk(20));
	t.is(code, 0, all);
	t.regex(all, /^guest vm is on the host's clock to \d+ ns \(in-band beacon, \d+ pairs\)$/m);
	t.deepEqual(readRun("guest-alone").notes, []);
	t.is(await inGuest("systemctl is-failed lttng-sessiond || :"), "inactive");
	const { stderr } = await lab("events", "guest-alone", "--layer", "host");
	t.regex(
		stderr,
		/then the guest sees it \(irq_handler_entry\): not compared, as the run did not record virtio_notify, /,
	);
});

test("a run whose QEMU LTTng does not see has its clock over the agent, which says so, and is true", async (t) => {
	const tools = mkdtempSync(join(tmpdir(), "tracelab-test-"));
	t.teardown(() => rmSync(tools, { recursive: true }));
	// Lists no process, and follows one that is no QEMU: as it is with a QEMU that has no UST.
	const unseeing = `#!/bin/sh
case "$*" in *"list --userspace"*) exit 0 ;; esac
for word; do
	shift
	case $word in --vpid=*) word=--vpid=1 ;; esac
	set -- "$@" "$word"
done
exec ${host("command -v lttng")} "$@"
`;
	writeFileSync(`${tools}/lttng`, unseeing, { mode: 0o755 });
	remove("unseen");
	t.teardown(() => remove("unseen"));
	// Ten exchanges at either end, and between them the three of one look, after 10 s.
	const script = `${readDisk(20).join(" ")}; sleep 12`;
	const { code, all } = await copy.bash(
		`PATH=${tools}:$PATH ./lab -s ${stack} trace run --name unseen --layer guest --clock-bound 1000000000 block-io -- sh -c '${script}'`,
	);
	t.log(all);
	t.is(code, 0, all);
	t.regex(all, /^guest vm is on the host's clock to \d+ ns \(guest agent, 23 pairs\)$/m);
	t.deepEqual(readRun("unseen").notes, [
		"LTTng sees no beacons of vm's QEMU: the guest's clock is compared over its agent, and known to milliseconds",
	]);
	const { reference, pieces, bound, method } = clockOf("unseen");
	t.deepEqual([method, pieces.length], ["guest agent", 1]);
	const inBand = await measured();
	const here = BigInt(reference.host) - BigInt(reference.guest) + BigInt(Math.round(pieces[0]?.offset ?? 0));
	// What the clocks drift apart until then is some parts in a million.
	const apart = Number(inBand.offset - here);
	t.true(Math.abs(apart) <= bound + 1_000_000, `${apart} ${bound}`);
	const merged = await lab("events", "unseen", "--layer", "guest");
	t.is(merged.code, 0, merged.stderr);
	t.regex(merged.stderr, /^guest vm is on the host's clock to \d+ ns \(guest agent, 23 pairs\)$/m);
});

test("a guest that is stopped in a run has its clock in two pieces, and what lies between is as long as the stop", async (t) => {
	remove("stopped");
	// What a failure is of is in its run.
	t.teardown(() => t.passed && remove("stopped"));
	const command = ["sh", "-c", `echo begun; ${waitAndRead}`];
	const running = copy.startLab("-s", stack, "trace", "run", "--name", "stopped", "block-io", "--", ...command);
	await new Promise<void>((begun) => running.stdout.on("data", (text) => String(text).includes("begun") && begun()));
	// The drift of a first piece of a tenth of a second is known that much less, and its guest recorded before.
	await pause(2000);
	const virsh = (verb: string) => host(`virsh -q -c qemu:///system ${verb} ${libvirtName}`);
	const asked = process.hrtime.bigint();
	virsh("suspend");
	const stopped = process.hrtime.bigint();
	await pause(1000);
	const going = process.hrtime.bigint();
	virsh("resume");
	const resumed = process.hrtime.bigint();
	const { exitCode, all } = await running;
	t.log(all);
	// The bound within the stop is as wide as the stop.
	t.is(exitCode, 1, all);
	t.regex(
		all,
		/^lab: vm: its clock is known to \d+ ns on the host's \(in-band beacon\), over the limit of 20000 ns: the guest's clock stood still for \d+\.\d µs: the guest was stopped, or its clocksource was changed$/m,
	);
	const [first, gap, last, ...more] = clockOf("stopped").pieces;
	t.deepEqual(more, []);
	t.true((first?.bound ?? Number.NaN) < generous && (last?.bound ?? Number.NaN) < generous, all);
	const { step = 0, stepBound = 0 } = gap?.change ?? {};
	t.true(step + stepBound >= Number(going - stopped), `${step} ${going - stopped}`);
	t.true(step - stepBound <= Number(resumed - asked), `${step} ${resumed - asked}`);
});

test("a change of the clocksource in a run is found, and its clock is exact on either side", async (t) => {
	const file = "/sys/devices/system/clocksource/clocksource0";
	const [from = "", there = ""] = (
		await inGuest(`cat ${file}/current_clocksource ${file}/available_clocksource`)
	).split("\n");
	const to = there.split(" ").find((one) => one !== "" && one !== from);
	if (to === undefined) return skip(t, `the guest has no clocksource but ${from}`);
	t.teardown(() => inGuest(`echo ${from} >${file}/current_clocksource`));
	// One change loses some microseconds of the guest's; forty lose more than the bound hides.
	const changes = `for i in $(seq 40); do echo ${to} >$0; echo ${from} >$0; done; echo ${to} >$0`;
	const script = `sleep 3; ${changes}; ${waitAndRead}`;
	const { all } = await traced(t, "changed", "block-io", "--", "sh", "-c", script, `${file}/current_clocksource`);
	t.log(all);
	const { pieces, clocksource } = clockOf("changed");
	t.is(clocksource, to);
	const changed = pieces.flatMap(({ change }) => change ?? []);
	t.true(changed.length >= 1, all);
	// A change never gives the guest time.
	const allowed =
		/^(?:the guest's clock stood still for \d+\.\d µs: the guest was stopped, or its clocksource was changed|the rate changed by -?\d+\.\d ppm: another clocksource, or a clock that is being corrected)$/;
	for (const { cause } of changed) t.regex(cause, allowed);
	const note = `the clocksource of guest vm changed from ${from} to ${to} in the run`;
	t.true(readRun("changed").notes.includes(note), all);
	t.true(all.split("\n").includes(note), all);
	const exact = pieces.filter(({ change }) => change === undefined);
	t.true(exact[0] !== undefined && exact[0].bound < generous, all);
	t.true((exact.at(-1)?.bound ?? Number.NaN) < generous, all);
	for (const { cause } of changed) t.true(all.includes(`where ${cause}`), all);
});

test("a guest's wall clock that is set in a run leaves its clock in one piece", async (t) => {
	const set = (by: string) => `date -s "$(date -d '${by}' +@%s.%N)" >/dev/null`;
	t.teardown(() => inGuest(set("60 seconds ago")));
	const { code, all } = await traced(t, "set", "block-io", "--", "sh", "-c", `${set("60 seconds")}; ${waitAndRead}`);
	t.is(code, 0, all);
	t.is(clockOf("set").pieces.length, 1);
	const record = clockRecordSchema.parse(JSON.parse(readFileSync(`${runs}/set/clock.json`, "utf8")));
	const [said, ...more] = checkOffsets(record);
	t.deepEqual(more, []);
	t.regex(said ?? "", /^guest\/vm\/\S+: the wall clock was set by (?:59|60)\d{9} ns since it was recorded$/);
	t.true(readRun("set").notes.includes(said ?? "none"), all);
	t.true(all.split("\n").includes(said ?? "none"), all);
});
