import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa, execaSync } from "execa";
import { project } from "../../cli/host.ts";
import { factNames } from "../../spec/hypervisor.ts";

// This machine stands for a guest, whatever it is: what the program says is held against what others say.

const folder = mkdtempSync(join(tmpdir(), "tracelab-test-"));
const program = join(folder, "hypervisor-facts");
const warnings = ["-Wall", "-Wextra", "-Werror"];
execaSync("gcc", ["-O2", "-static", ...warnings, "-o", program, `${project}/guest/hypervisor-facts.c`]);
test.after.always(() => rmSync(folder, { recursive: true }));

const file = (path: string): string => {
	try {
		return readFileSync(path, "utf8").trim();
	} catch {
		return "none";
	}
};

test("each fact is there once, by its name, as this machine has it", async (t) => {
	// A machine without systemd, and one whose kernel log is closed, are not what a guest is.
	const log = await execa("dmesg", { reject: false });
	const virt = await execa("systemd-detect-virt", ["--vm"], { reject: false });
	if (log.exitCode !== 0 || virt.exitCode === undefined) {
		t.log("skipped: this machine has no systemd-detect-virt, or keeps its kernel's log from this person");
		return t.pass();
	}
	const { stdout } = await execa(program);
	const facts = stdout.split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]);
	t.deepEqual(
		facts.map(([name]) => name),
		[...factNames],
	);
	const said = Object.fromEntries(facts);
	t.is(said["hypervisorFlag"], String(/^flags\b.*\bhypervisor\b/m.test(file("/proc/cpuinfo"))));
	t.is(said["detectVirt"], virt.stdout);
	t.is(said["dmiVendor"], file("/sys/class/dmi/id/sys_vendor"));
	t.is(said["dmiProduct"], file("/sys/class/dmi/id/product_name"));
	t.is(said["clocksource"], file("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
	const missing = log.stdout.includes("Linux version ") ? "none" : "unknown";
	t.is(said["kernelDetects"], /Hypervisor detected: (.*)$/m.exec(log.stdout)?.[1] ?? missing);
	t.regex(said["signature"] ?? "", /^(none|[ -~]{1,12})$/);
});

test("hypervisor-facts takes nothing", async (t) => {
	const ran = await execa(program, ["--help"], { reject: false });
	t.deepEqual([ran.exitCode, ran.stdout, ran.stderr], [2, "", "usage: hypervisor-facts"]);
});
