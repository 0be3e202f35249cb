import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { asRoot } from "../../as-root.ts";
import type { ScratchLab } from "../scratch-lab.ts";
import { folder, readRun, records, traceable, traceRun } from "../scratch-trace.ts";

// One at a time, since each starts Node. What a recording costs is measured, and said where it is over its budget.

/** What a session of these costs, at a budget of 2 events a second. */
function isOverBudget(t: ExecutionContext, text: string): void {
	const at = text.split("\n").findIndex((line) => line.startsWith("lab: qemu costs"));
	const [cost = "", ...rest] = text.split("\n").slice(at, at + 3);
	t.regex(
		cost,
		/^lab: qemu costs \d+ B and 3 events a second, and its budget is 8 MB and 2: a long run is large, and may lose events$/,
	);
	t.deepEqual(rest, [
		"  67 % of the events are virtio_queue_notify",
		"  what to do: record without virtio_queue_notify, by a copy of profiles/block-io.yaml that does not name it; or allow more, by budget: in traces: of the stack file",
	]);
}

const three = ["virtio_queue_notify", "blk_co_preadv", "virtio_queue_notify"];

const calibration = (lab: ScratchLab, run: string): string[] =>
	["lttng/host", "lttng/guest", "var/lib/tracelab/traces"]
		.map((where) => `${where}/tracelab-quickstart..${run}`)
		.concat(`${folder}/${run}/calibration`, `dev/shm/tracelab/tracelab-quickstart..${run}`)
		.filter((path) => existsSync(join(lab.root, path)));

asRoot("a recording of unknown length is calibrated beforehand, and what is over its budget is said", async (t) => {
	const lab = await traceable(t);
	records(lab, three, ["block_rq_issue"]);
	const started = await lab.lab(["trace", "start", "flight", "--name", "one"]);
	t.is(started.code, 0, started.stderr);
	isOverBudget(t, started.stderr);
	t.notRegex(started.stderr, /guest vm costs/);
	t.deepEqual(calibration(lab, "one"), []);
	t.is((await lab.lab(["trace", "stop"])).code, 0);
});

asRoot("a command is calibrated once it is a long one, and what is over the budget is said meanwhile", async (t) => {
	const lab = await traceable(t);
	records(lab, three, ["block_rq_issue"]);
	lab.write("guest-bin/true", "#!/bin/sh\nsleep 8\n", 0o755);
	const { code, stderr } = await lab.lab(["trace", "run", "flight", "--name", "one", "--", "true"]);
	t.is(code, 0, stderr);
	t.true(stderr.indexOf("lab: qemu costs") < stderr.indexOf("run one:"), "while it runs");
	isOverBudget(t, stderr);
	t.deepEqual(calibration(lab, "one"), []);
	t.deepEqual(
		readRun(lab, "one").layers.map(({ total }) => total),
		[3, 1],
	);
	const short = await lab.lab(["trace", "run", "flight", "--name", "two", "--", "sleep", "0.1"]);
	t.notRegex(short.stderr, /costs/);
});

asRoot("of a start that is killed while it calibrates, stop leaves nothing", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	lab.fake("babeltrace2", "kill -9 $PPID");
	t.is((await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"])).code, undefined);
	t.true(calibration(lab, "one").length > 0);
	t.regex((await lab.lab(["trace", "ls"])).stdout, /^one +block-io +vm +\S+Z +recording$/m);
	const { code, stderr } = await lab.lab(["trace", "stop"]);
	t.is(code, 1);
	t.regex(
		stderr,
		/^lab: the layer qemu recorded nothing: trace session tracelab-quickstart.one is gone: .* or what made it was killed before$/m,
	);
	t.deepEqual(calibration(lab, "one"), []);
	t.is((await lab.lab(["trace", "stop"])).code, 1, "there is nothing more to stop");
});

asRoot("a calibration that fails is said, and the recording goes on", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const traces = join(lab.root, "var/lib/tracelab/traces");
	mkdirSync(join(traces, "tracelab-quickstart..one"), { recursive: true });
	const { code, stderr } = await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", "one"]);
	t.is(code, 0, stderr);
	t.regex(stderr, /^lab: what this recording costs could not be measured: /m);
	rmSync(join(traces, "tracelab-quickstart..one"), { recursive: true });
	t.is((await lab.lab(["trace", "stop"])).code, 0);
});

asRoot("a run that has the name of another's calibration goes on when that is calibrated", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	for (const run of ["one-calibration", "one"]) {
		const { code, stderr } = await lab.lab(["trace", "start", "block-io", "-d", "vm", "--name", run]);
		t.is(code, 0, stderr);
	}
	t.is((await lab.lab(["trace", "stop", "one"])).code, 0);
	const { code, stderr } = await lab.lab(["trace", "stop", "one-calibration"]);
	t.is(code, 0, stderr);
	t.is(readRun(lab, "one-calibration").session, "tracelab-quickstart.one-calibration");
});

asRoot("what was over the budget is said of a run that has ended, for each layer", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const big = '$(cat "$root/lttng/host/tracelab-quickstart.one/output")';
	lab.write(
		"guest-bin/true",
		`#!/bin/sh\nroot='${lab.root}'; mkdir -p "${big}"; truncate -s 200M "${big}/x"\nsleep 2\n`,
		0o755,
	);
	const { stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.regex(stderr, /^qemu is over the budget of block-io: [\d.]+ [MG]B\/s instead of 4 MB\/s$/m);
});
