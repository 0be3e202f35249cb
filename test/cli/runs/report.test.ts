import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test, { type ExecutionContext } from "ava";
import type { PageData } from "../../../report/page-data.ts";
import type { Run } from "../../../spec/run.ts";
import { runRecord } from "../../spec/run-record.ts";
import { ScratchLab } from "../scratch-lab.ts";
import { beacons, bootIds, fakeBabeltrace, hostTime, writeTrace } from "../scratch-run.ts";

/** A run with sixty beacons, and one request of the guest's that QEMU serves. */
async function recorded(t: ExecutionContext, record?: Run): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	fakeBabeltrace(lab);
	lab.write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
	lab.write("proc/sys/kernel/random/boot_id", `${bootIds.host}\n`);
	const { lines, written } = beacons(60);
	const start = 900_100_000_000n;
	const disk = "sector = 8, nr_sector = 8";
	const call = (time: bigint, name: string, fields: string): [bigint, string] => [
		hostTime(time),
		`ust qemu:virtio_blk_${name}: { cpu_id = 0 }, { req = 0x2, ${fields} }`,
	];
	const qemu: [bigint, string][] = [
		...written,
		call(start + 50_000n, "handle_read", "sector = 8, nsectors = 8"),
		call(start + 150_000n, "req_complete", "status = 0"),
	];
	qemu.sort(([one], [two]) => (one < two ? -1 : 1));
	const guest: [bigint, string][] = [
		[start, `kernel block_rq_issue: { cpu_id = 1 }, { dev = 1, ${disk}, bytes = 4096, rwbs = 36, comm = "dd" }`],
		[start + 240_000n, `kernel block_rq_complete: { cpu_id = 1 }, { dev = 1, ${disk}, error = 0, rwbs = 36 }`],
	];
	writeTrace(lab, "one/qemu/ust/uid/64055/64-bit", { events: qemu, bootId: bootIds.host, offset: 5n });
	writeTrace(lab, "one/guest/vm/kernel", { events: guest, bootId: bootIds.guest, offset: 6n });
	lab.write("var/lib/tracelab/runs/quickstart/one/clock/vm", lines);
	const json = JSON.stringify(record)?.replaceAll("ROOT", lab.root);
	if (json !== undefined) lab.write("var/lib/tracelab/runs/quickstart/one/run.json", json);
	lab.write("qemu/version", "7.2.22\n");
	lab.write("opt/tracelab/kernel/0123/build-id", "8f3c\n");
	lab.write("opt/tracelab/kernel/0123/release", "6.1.192\n");
	return lab;
}

const dataOf = (text: string): PageData => {
	const [, packed = ""] = /id="data">([^<]*)</.exec(text) ?? [];
	return JSON.parse(gunzipSync(Buffer.from(packed, "base64")).toString()) as PageData;
};

test.serial("a run becomes a page", async (t) => {
	const layer = { events: {}, total: 1, discarded: 0, lostPackets: 0, bytes: 1000 };
	const emulator = "ROOT/qemu/bin/qemu-system-x86_64";
	const record = runRecord({
		command: ["dd", "if=/dev/vda"],
		exitStatus: 0,
		domains: { vm: { libvirtName: "quickstart-vm", pid: 7, emulator, kernel: "8f3c", modules: {} } },
		layers: [
			{ ...layer, layer: "qemu", path: "qemu" },
			{ ...layer, layer: "guest", domain: "vm", path: "guest/vm" },
		],
	});
	const lab = await recorded(t, record);
	const file = join(lab.root, "page.html");
	const { code, stdout, stderr } = await lab.lab(["report", "one", "-o", file]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	t.regex(stdout.replace(file, "FILE"), /^FILE: 64 events, \d+\.\d kB, in [\d.]+ s$/);
	const text = readFileSync(file, "utf8");
	for (const said of [
		"<h1>one</h1>",
		"<code>dd if=/dev/vda</code>",
		'<li class="good"><b>0</b> events lost</li>',
		'<li class="good"><b>0</b> of 2 effects before their causes</li>',
		'<p class="facts">2026-11-25 11:35:56 UTC · 3.25\u202fs · <span class="good">exit status 0</span></p>',
		"<h3>the host</h3>",
		"<dt>tracelab</dt><dd>0.1.0</dd>",
		"<dt>LTTng</dt><dd>2.13.9</dd>",
		"<dt>QEMU</dt><dd>7.2.22</dd>",
		"<dt>kernel</dt><dd>6.1.192</dd>",
		"<dt>kernel&#39;s build-id</dt><dd>8f3c</dd>",
		"60 pairs, in band: the guest writes to a port",
		"1 request that guest and QEMU both saw",
	]) {
		t.true(text.includes(said), said);
	}
	const { clocks, lanes, latencies } = dataOf(text);
	t.is(clocks[0]?.points.length, 60);
	for (const [, off] of clocks[0]?.points ?? []) t.true(Math.abs(off) <= 1500, `${off}`);
	t.deepEqual(
		lanes.map(({ source, label }) => `${source} ${label}`),
		["QEMU · vm host CPU 1", "QEMU · vm Block requests", "guest kernel · vm Block requests"],
	);
	t.deepEqual(
		latencies.map(({ title, distribution }) => [title, distribution.median]),
		[
			["Block requests · guest kernel · vm", 240_000],
			["Block requests · QEMU · vm", 100_000],
		],
	);
	t.deepEqual(
		readdirSync(lab.root).filter((name) => name.endsWith(".part")),
		[],
	);
});

test.serial("a page has the versions that its run recorded, whatever has become of the builds", async (t) => {
	const versions = { qemuVersion: "9.2.0", kernelRelease: "6.12.1" };
	const of = { libvirtName: "quickstart-vm", pid: 7, emulator: "ROOT/qemu/bin/qemu-system-x86_64", kernel: "8f3c" };
	const lab = await recorded(t, runRecord({ domains: { vm: { ...of, ...versions, modules: {} } } }));
	const file = join(lab.root, "page.html");
	t.is((await lab.lab(["report", "one", "-o", file])).code, 0);
	const text = readFileSync(file, "utf8");
	t.true(text.includes("<dt>QEMU</dt><dd>9.2.0</dd>"));
	t.true(text.includes("<dt>kernel</dt><dd>6.12.1</dd>"));
	t.false(text.includes("7.2.22") || text.includes("6.1.192"));
});

test.serial("a run becomes what Perfetto opens, packed or not", async (t) => {
	const lab = await recorded(t);
	for (const [name, read] of [
		["run.json", (data: Buffer) => data],
		["run.json.gz", gunzipSync],
	] as const) {
		const file = join(lab.root, name);
		const { code, stdout } = await lab.lab(["report", "one", "--perfetto", file]);
		t.is(code, 0);
		t.regex(stdout, /: 64 events, /);
		const { traceEvents } = JSON.parse(read(readFileSync(file)).toString()) as { traceEvents: { ph: string }[] };
		const kinds = traceEvents.map(({ ph }) => ph).filter((ph) => ph !== "M" && ph !== "i");
		t.deepEqual(kinds, ["b", "b", "e", "e"]);
	}
	// It was not asked for.
	t.false(existsSync("one.html"));
});

const refuses = test.macro({
	title: (_, what: string) => `no report: ${what}`,
	async exec(t, _: string, change: (lab: ScratchLab) => string[], code: number, error: string) {
		const lab = await recorded(t);
		const args = change(lab);
		const ended = await lab.lab(["report", ...args]);
		t.deepEqual({ ...ended, stderr: ended.stderr.replaceAll(lab.root, "ROOT") }, { code, stdout: "", stderr: error });
	},
});

test.serial(
	refuses,
	"a run that there is not",
	() => ["noe"],
	2,
	'lab: stack "quickstart" has no run "noe" (did you mean "one"?)\n  what to do: its runs: one',
);

test.serial(
	refuses,
	"a run without traces",
	(lab) => {
		const run = join(lab.root, "var/lib/tracelab/runs/quickstart/one");
		for (const part of ["qemu", "guest", "clock"]) rmSync(join(run, part), { recursive: true });
		return ["one"];
	},
	1,
	'lab: run "one" has no events: there is nothing in its traces\n  what to do: record one: ./lab trace run PROFILE -- COMMAND',
);

test.serial(
	refuses,
	"a folder that is not there",
	(lab) => ["one", "-o", join(lab.root, "nowhere/page.html")],
	2,
	"lab: ROOT/nowhere/page.html cannot be written: there is no folder ROOT/nowhere\n  what to do: make it, or give another file",
);

const recordAgain = "record the run again, and move this one's folder away; babeltrace2 still reads its traces";

test.serial(
	refuses,
	"a record of another shape",
	(lab) => {
		lab.write("var/lib/tracelab/runs/quickstart/one/run.json", JSON.stringify({ ...runRecord(), exitStatus: "none" }));
		return ["one"];
	},
	1,
	`lab: ROOT/var/lib/tracelab/runs/quickstart/one/run.json is no record of a run of this version: exitStatus: Invalid input: expected number, received string\n  what to do: ${recordAgain}`,
);

test.serial(
	refuses,
	"a record that is cut off",
	(lab) => {
		lab.write("var/lib/tracelab/runs/quickstart/one/run.json", '{"stack": ');
		return ["one"];
	},
	1,
	`lab: ROOT/var/lib/tracelab/runs/quickstart/one/run.json is no record of a run of this version: Unexpected end of JSON input\n  what to do: ${recordAgain}`,
);

test.serial(
	refuses,
	"a folder where the file is to be",
	(lab) => ["one", "-o", lab.root],
	1,
	"lab: ROOT cannot be written: EISDIR\n  what to do: give another file: -o FILE",
);
