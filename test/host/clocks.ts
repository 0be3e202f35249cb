import { mkdirSync, rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { findDomain } from "../../cli/card.ts";
import { checkBound, checkOffsets, fitRun } from "../../cli/clock/run-clock.ts";
import { guestSystemClock } from "../../cli/clock/system-clock.ts";
import { GuestAgent } from "../../cli/guest/agent.ts";
import { causality, mergedEvents } from "../../cli/runs/merge.ts";
import { beaconEvent, beaconFilter } from "../../spec/beacon-match.ts";
import { host, lab, libvirtName, pidOf, stack } from "./proof.ts";

/** Nanoseconds that a bound stays under even where other work keeps the machine from this. */
const generous = 20_000;

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
	const folder = `/var/lib/tracelab/runs/${stack}/clocks`;
	const [session, kernel] = ["tracelab-test-clocks", "block_rq_issue,block_rq_complete,irq_handler_entry"];
	const remove = () => rmSync(folder, { recursive: true, force: true });
	t.teardown(remove);
	remove();
	mkdirSync(`${folder}/clock`, { recursive: true });
	mkdirSync(`${folder}/guest/vm`, { recursive: true });
	host(`lttng create ${session} --output=${folder}/qemu`);
	t.teardown(() => host(`lttng destroy ${session} || :`));
	host(`lttng track --session=${session} --userspace --vpid=${pidOf()}`);
	host(`lttng enable-event --session=${session} --userspace ${beaconEvent} --filter='${beaconFilter}'`);
	host(`lttng enable-event --session=${session} --userspace 'qemu:virtio_blk_*'`);
	host(`lttng start ${session}`);
	await inGuest(`set -e; rm -rf /tmp/clocks; lttng create clocks --output=/tmp/clocks; trap 'lttng destroy clocks' EXIT
		lttng enable-event --session=clocks --kernel ${kernel}; lttng start clocks
		/lab/bin/clock-beacon 30 10000 >/tmp/beacons
		dd if=/dev/vda of=/dev/null bs=64k count=200 iflag=direct
		/lab/bin/clock-beacon 30 10000 >>/tmp/beacons; lttng stop clocks`);
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
	t.is(record.guests["vm"]?.pairs, 60);
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
	for (const { order, pairs, violations, contradictions, least } of (await causality(folder)).checks) {
		t.log(`${order}: ${pairs} pairs, ${least} ns at least; bound ${record.guests["vm"]?.bound} ns`);
		t.true(pairs >= 190, String(pairs));
		t.deepEqual([violations, contradictions], [0, 0]);
	}
	const shown = await lab("events", "clocks", "--match", "^vm:(block_rq|qemu:virtio_blk)");
	t.is(shown.code, 0, shown.stderr);
	t.regex(shown.stderr, /then QEMU handles it .*: \d+ times, never violated; \d+ ns at least/);
});
