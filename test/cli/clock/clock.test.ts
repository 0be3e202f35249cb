import { readdirSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { FakeGuest } from "../fake-guest.ts";
import { patient, ScratchLab } from "../scratch-lab.ts";
import { beacons, bootIds, fakeBabeltrace, writeTrace } from "../scratch-run.ts";

test.beforeEach(patient);

const clocksource = "sys/devices/system/clocksource/clocksource0/current_clocksource";
const bootId = "proc/sys/kernel/random/boot_id";
const prepared = "one/qemu/ust/uid/64055/64-bit";

/** Timers of a kernel, as /proc/timer_list shows them. */
const timers = (offset: bigint) =>
	["  .index:      0", "  .get_time:   ktime_get", "  .offset:     0 nsecs", "active timers:"].join("\n") +
	`\n  .index:      1\n  .get_time:   ktime_get_real\n  .offset:     ${offset} nsecs\n  .offset:     7 nsecs\n`;

/** A lab with a guest whose beacons QEMU's side is at hand of. */
async function clocks(t: ExecutionContext): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	lab.up();
	const guest = await FakeGuest.on(lab);
	t.teardown(() => guest.close());
	fakeBabeltrace(lab);
	lab.write(clocksource, "tsc\n");
	lab.write(bootId, `${bootIds.host}\n`);
	lab.write(`guest/${clocksource}`, "hpet\n");
	lab.write(`guest/${bootId}`, `${bootIds.guest}\n`);
	lab.write("guest/proc/timer_list", timers(1_795_605_648_000_000_000n));
	lab.write("run/libvirt/qemu/quickstart-vm.pid", "4242\n");
	const { lines, written } = beacons(90);
	lab.write("lines", lines);
	const run = '[ "$*" = "90 5000" ] && exec cat "$(dirname "$0")/../../lines"';
	lab.write("lab/bin/clock-beacon", `#!/bin/sh\n${run}\n`, 0o755);
	writeTrace(lab, prepared, { events: written, bootId: bootIds.host, offset: 1_600_000_000_000_000_000n });
	lab.fake(
		"lttng",
		`echo "lttng $*" >>"$root/lttng-calls"
		case $2 in
		create)
			mkdir -p "\${4#--output=}"
			cp -r "$root/var/lib/tracelab/runs/quickstart/one/qemu/." "\${4#--output=}"
			;;
		esac`,
	);
	return lab;
}

const measured = /^host - guest, MONOTONIC: (-?\d+) ns ± (\d+) ns \((.*), (\d+) pairs, drift (-?[\d.]+) ppm\)$/m;

test.serial("the clocks of host and guest, and what lies between them", async (t) => {
	const lab = await clocks(t);
	const { code, stdout, stderr } = await lab.lab(["clock", "vm"]);
	// The wall clock of this machine is not that of the trace.
	t.is(code, 1);
	t.regex(stderr, /^lab: qemu\/ust\/uid\/64055\/64-bit: the wall clock was set by -?\d+ ns since it was recorded$/);
	const [head, host, guest] = stdout.split("\n");
	t.regex(head ?? "", /^ +CLOCKSOURCE +REALTIME - MONOTONIC$/);
	t.regex(host ?? "", /^host +tsc +\d{19} ns ± \d+ ns$/);
	t.is(guest?.replace(/ +/g, " "), "guest vm hpet 1795605648000000000 ns");
	const [, offset, bound, method, pairs, drift] = measured.exec(stdout) ?? [];
	t.true(Math.abs(Number(BigInt(offset ?? 0) - 15_103_888_406_351n)) <= Number(bound), stdout);
	t.true(Number(bound) < 1600, stdout);
	t.deepEqual([method, pairs, Math.round(Number(drift))], ["in-band beacon", "90", 0]);
	t.regex(
		stdout,
		/^the trace qemu\/ust\/uid\/64055\/64-bit has REALTIME - MONOTONIC 1600000000000000000 ns: -?\d+ ns from/m,
	);
	const calls = lab.read("lttng-calls").trimEnd().split("\n");
	const session = /tracelab-clock-\d+/.exec(calls[1] ?? "")?.[0];
	t.deepEqual(
		calls.map((call) => call.replaceAll(session ?? "?", "S").replace(/--output=\S+/, "--output=O")),
		[
			"lttng --no-sessiond --mi xml list",
			"lttng --no-sessiond create S --output=O",
			"lttng --no-sessiond track --session=S --userspace --vpid=4242",
			"lttng --no-sessiond enable-event --session=S --userspace qemu:memory_region_ops_write --filter=addr == 2592",
			"lttng --no-sessiond start S",
			"lttng --no-sessiond stop S",
			"lttng --no-sessiond destroy S",
		],
	);
	t.deepEqual(readdirSync(`${lab.root}/run`), ["libvirt"]);
});

test.serial("the session of a measurement that was killed is ended by the next one", async (t) => {
	const lab = await clocks(t);
	lab.write("proc/4344/stat", "");
	const names = ["tracelab-clock-4343", "tracelab-quickstart.one", "tracelab-clock-4344"];
	const xml = names.map((name) => `<session><name>${name}</name><enabled>true</enabled></session>`).join("");
	lab.fake("lttng", `echo "$*" >>"$root/lttng-calls"; case $* in *list) echo '${xml}' ;; *create*) exit 1 ;; esac`);
	await lab.lab(["clock", "vm"]);
	const [list, destroy, create, ...others] = lab.read("lttng-calls").trimEnd().split("\n");
	t.deepEqual([list, destroy], ["--no-sessiond --mi xml list", "--no-sessiond destroy tracelab-clock-4343"]);
	t.regex(create ?? "", /^--no-sessiond create tracelab-clock-\d+ /);
	t.deepEqual(others, []);
});

test.serial("a bound over the limit fails, and says so", async (t) => {
	const lab = await clocks(t);
	const { code, stderr } = await lab.lab(["clock", "vm", "--clock-bound", "500"]);
	t.is(code, 1);
	t.regex(
		stderr,
		/^lab: vm: its clock is known to 1\d{3} ns on the host's \(in-band beacon\), over the limit of 500 ns$/m,
	);
	t.is((await lab.lab(["clock", "vm", "--clock-bound", "0"])).code, 2);
});

test.serial("where QEMU cannot be traced, the agent is asked, and the reason is said", async (t) => {
	const lab = await clocks(t);
	lab.fake("lttng", 'echo "Error: No session daemon is available" >&2; exit 1');
	const { stdout, stderr } = await lab.lab(["clock", "vm"]);
	t.regex(
		stderr,
		/^lab: lttng create failed: Error: No session daemon is available; so the clocks are compared over the guest's agent$/m,
	);
	const [, , bound, method, pairs] = measured.exec(stdout) ?? [];
	t.deepEqual([method, pairs], ["guest agent", "10"], stdout);
	t.true(Number(bound) > 100_000, stdout);
});

test.serial("a guest without the beacon, and a domain that does not run, are said", async (t) => {
	const lab = await clocks(t);
	lab.write("lab/bin/clock-beacon", "", 0o644);
	lab.write("guest/proc/timer_list", "");
	t.deepEqual(await lab.lab(["clock", "vm"]), {
		code: 1,
		stdout: "",
		stderr:
			"lab: the guest's /proc/timer_list does not say how its wall clock stands to CLOCK_MONOTONIC\n  what to do: see that its kernel has CONFIG_HIGH_RES_TIMERS",
	});
	t.regex((await lab.lab(["clock", "vn"])).stderr, /^lab: the lab of stack "quickstart" has no domain "vn"/);
});
