import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test, { type ExecutionContext } from "ava";
import { Viewer } from "../report/browser.ts";
import { copy, host, lab } from "./proof.ts";
import { readDisk, readRun, traced } from "./traced.ts";

const reads = readDisk(300);

/** A file that goes with its test. */
function scratch(t: ExecutionContext, name: string): string {
	const file = join(tmpdir(), `tracelab-${process.pid}-${name}`);
	t.teardown(() => rmSync(file, { force: true }));
	return file;
}

test("a run has the commit that recorded it, LTTng's versions and the host's kernel, and its report shows them", async (t) => {
	t.teardown(() => host(`rm -rf ${copy.folder}/.git`));
	host(`cd ${copy.folder}; git init -q; git add package.json
		git -c user.name=test -c user.email=test@localhost -c commit.gpgsign=false commit -q -m one`);
	const commit = host(`git -C ${copy.folder} rev-parse --short=12 HEAD`);
	const kernel = host("uname -r");
	const recorded = await traced(t, "committed", "block-io", "--", ...reads);
	t.is(recorded.code, 0, recorded.all);
	const run = readRun("committed");
	t.deepEqual([run.commit, run.hostKernel], [commit, kernel]);
	const page = scratch(t, "committed.html");
	const { code, all } = await lab("report", "committed", "-o", page);
	t.is(code, 0, all);
	const text = readFileSync(page, "utf8");
	for (const [term, said] of [
		["tracelab", `${run.tracelab}, commit ${commit}`],
		["LTTng", host("lttng --version | sed 's/.*) //; s/ .*//'")],
		["kernel", kernel],
		["LTTng in the guest", run.lttng.guests["vm"]],
	])
		t.true(text.includes(`<dt>${term}</dt><dd>${said}</dd>`), `${term} ${said}`);
});

test("a report of what was just recorded has its numbers, and is drawn in a browser", async (t) => {
	const recorded = await traced(t, "pictured", "block-io", "--", ...reads);
	t.is(recorded.code, 0, recorded.all);
	const run = readRun("pictured");
	const page = scratch(t, "report.html");
	const { code, all } = await lab("report", "pictured", "-o", page);
	t.is(code, 0, all);
	const viewer = await Viewer.open(t, readFileSync(page, "utf8"), { width: 1200, scheme: "light" });
	await viewer.picture("real-run");
	t.deepEqual(viewer.complaints, []);
	t.deepEqual(
		viewer.requests.filter((url) => !/^(?:file|data|blob):/.test(url)),
		[],
	);
	const said = (await viewer.text("body")).replaceAll("\u202f", "");
	const total = run.layers.reduce((sum, layer) => sum + layer.total, 0);
	for (const words of [`${total} events`, "0 events lost", String(run.domains["vm"]?.kernel), reads.join(" ")])
		t.true(said.includes(words), `${words}\n${said}`);
	const charts = await viewer.drawn();
	t.true(
		Object.keys(charts).length >= 4 && Object.values(charts).every((pixels) => pixels.some((count) => count > 0)),
		JSON.stringify(charts),
	);
});

interface PerfettoEvent {
	name: string;
	ph: string;
	ts?: number;
}

test("Perfetto's file has each event of the run, none before the one that comes first in it", async (t) => {
	await traced(t, "exported", "block-io", "--", ...reads);
	const file = scratch(t, "perfetto.json.gz");
	const { code, all } = await lab("report", "exported", "--perfetto", file);
	t.is(code, 0, all);
	const { traceEvents } = JSON.parse(gunzipSync(readFileSync(file)).toString()) as { traceEvents: PerfettoEvent[] };
	const times = traceEvents.flatMap(({ ph, ts }) => (ph === "M" ? [] : [ts ?? -1]));
	t.deepEqual(
		times,
		times.toSorted((a, b) => a - b),
	);
	const count = (...phases: string[]) => traceEvents.filter(({ ph }) => phases.includes(ph)).length;
	t.is(count("b", "B"), count("e", "E"));
	const total = readRun("exported").layers.reduce((sum, layer) => sum + layer.total, 0);
	// What is open at the end is closed by no event.
	t.true(count("i", "b", "B", "e", "E") >= total && count("i", "b", "B") <= total);
	t.true(count("b") >= 300);
});
