import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { project } from "../../../cli/host.ts";
import { tracelabHash } from "../../../spec/lab-hashes.ts";
import { readLock } from "../../../spec/lock.ts";
import { asRoot } from "../../as-root.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import { emulator, folder, noBeacon, pid, readRun, records, traceable, traceRun } from "../scratch-trace.ts";

// One at a time, since each starts Node. `./lab trace again`.

asRoot(
	"a stack file that was edited since the lab came up is not taken for the lab's, which the run says",
	async (t) => {
		const lab = await traceable(t);
		lab.up({ ...card, hashes: { ...card.hashes, stack: "1a".repeat(32) } });
		records(lab, ["blk_co_preadv"], []);
		const note =
			"stacks/quickstart.yaml, a fragment or the lock is not what the lab came up from any more: the run has no copy of it";
		const { code, stderr } = await lab.lab([...traceRun, "--layer", "qemu", "--", "true"]);
		t.is(code, 0, stderr);
		t.deepEqual(readRun(lab, "one").notes, [note, noBeacon]);
		t.true(stderr.includes(`\n${note}\n`), stderr);
		t.false(existsSync(join(lab.root, folder, "one/project")));
		lab.up();
		const refused = await lab.lab(again);
		t.is(refused.code, 1);
		t.true(
			refused.stderr.includes(", then take the stack file and the lock of that time, then: ./lab up\n"),
			refused.stderr,
		);
	},
);

asRoot(
	"a lock that was written from the lab since it came up is the lab's, and the run has a copy of it",
	async (t) => {
		const lab = await traceable(t);
		const { lock: _, ...hashes } = card.hashes;
		const pins = Object.entries(readLock("quickstart") ?? {});
		const builds = Object.fromEntries(
			pins.flatMap(([name, { result }]) => (result === undefined ? [] : [[name, result]])),
		);
		lab.up({ ...card, hashes: { ...hashes, builds } });
		records(lab, ["blk_co_preadv"], []);
		const { code, stderr } = await lab.lab([...traceRun, "--layer", "qemu", "--", "true"]);
		t.is(code, 0, stderr);
		t.deepEqual(readRun(lab, "one").notes, [noBeacon]);
		t.true(existsSync(join(lab.root, folder, "one/project/stacks/quickstart.yaml")));
	},
);

/** A lab whose run `one` ended with 7, and whatever is changed of its record. */
async function recordedOnce(t: ExecutionContext, changes: object = {}): Promise<ScratchLab> {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv", "virtio_queue_notify"], ["block_rq_issue"]);
	t.is((await lab.lab([...traceRun, "--layer", "qemu", "--", "sh", "-c", "exit 7"])).code, 7);
	lab.write(`${folder}/one/run.json`, JSON.stringify({ ...readRun(lab, "one"), ...changes }));
	return lab;
}

const labCard = "var/lib/tracelab/labs/quickstart.json";
const again = ["trace", "again", "one", "--name", "two"];

asRoot(
	"a run is recorded again by the same command, in the same layers at the same budget, and what differs is shown",
	async (t) => {
		const lab = await recordedOnce(t, { budget: { rate: 9, events: 7 } });
		records(lab, ["blk_co_preadv", "blk_co_preadv"], []);
		const { code, stderr } = await lab.lab(again);
		t.is(code, 7, stderr);
		const { command, asked, budget, lab: hashes } = readRun(lab, "two");
		t.deepEqual(
			{ command, guest: asked.guest, budget, hashes },
			{ command: ["sh", "-c", "exit 7"], guest: [], budget: { rate: 9, events: 7 }, hashes: card.hashes },
		);
		const lines = stderr.split("\n");
		const table = lines.slice(lines.findIndex((line) => /^ +one +two *$/.test(line)) + 1);
		t.regex(table[0] ?? "", /^seconds +[\d.]+ +[\d.]+ /);
		t.deepEqual(
			table.slice(1).map((line) => line.trimEnd().replaceAll(/(?<=\S) {2,}/g, " | ")),
			[
				"lost events and packets | 0 | 0",
				"qemu | 2 | 2",
				"  blk_co_preadv | 1 | 2 | +100.0 %",
				"  virtio_queue_notify | 1 | 0 | gone",
			],
		);
	},
);

asRoot("replay of a traced run is the same", async (t) => {
	const lab = await recordedOnce(t);
	const { code, stderr } = await lab.lab(["replay", "one"]);
	t.is(code, 7, stderr);
	t.regex(stderr, /^ +one +block-io-\S+ *$/m);
});

asRoot("a run of another lab is not recorded again unless that is asked for, and what differs is named", async (t) => {
	const builds = { ...card.hashes.builds, "kernel-main": "99".repeat(32) };
	const domain = { libvirtName: "quickstart-vm", pid, emulator, acceleration: "kvm", modules: {} };
	const other = { commit: "9c010146f0aa, edited", lab: { ...card.hashes, builds }, domains: { vm: domain } };
	const lab = await recordedOnce(t, other);
	const differences = ["kernel-main: 999999999999 → 4d4d4d4d4d4d", "acceleration of vm: kvm → tcg"];
	const refused = await lab.lab(again);
	t.deepEqual(refused, {
		code: 1,
		stdout: "",
		stderr: [
			"lab: the lab is not what it was when one was recorded:",
			...differences.map((line) => `  ${line}`),
			`  what to do: git checkout 9c010146f0aa and edit it as it was then (the commit alone is not it), then cp -r ${lab.root}/${folder}/one/project/. ${project}, then: ./lab up`,
			"    or compare with the lab as it is: ./lab trace again one --anyway",
		].join("\n"),
	});
	t.false(existsSync(join(lab.root, folder, "two")));
	const { code, stderr } = await lab.lab([...again, "--anyway"]);
	t.is(code, 7, stderr);
	t.deepEqual(
		stderr.split("\n").slice(0, 2),
		differences.map((line) => `lab: ${line}`),
	);
});

asRoot("a run of an older tracelab, or one of other events, is not taken for the same", async (t) => {
	const asked = { qemu: ["virtio_*"], guest: [], host: [] };
	const lab = await recordedOnce(t, { lab: undefined, asked });
	t.deepEqual((await lab.lab(again)).stderr.split("\n").slice(1, 3), [
		"  what the lab was is not known: an older tracelab recorded one",
		"  profile block-io names other events",
	]);
});

asRoot(
	"a lab that is not up is brought up for a run that is to be recorded again, or why it does not come is said",
	async (t) => {
		const hashes = { ...card.hashes, tracelab: tracelabHash() };
		const lab = await recordedOnce(t, { lab: hashes });
		lab.up({ ...card, hashes });
		lab.write("state/.pulumi/stacks/tracelab/quickstart.json", '{"checkpoint":{"latest":null}}');
		renameSync(join(lab.root, labCard), `${lab.root}/card`);
		lab.fake("pulumi", "exit 255");
		const failed = await lab.lab(again);
		t.is(failed.code, 1);
		t.regex(
			failed.stderr,
			/^lab: the lab of stack "quickstart" is not up: bringing it up for one\n(?:.*\n)+lab: the lab did not come up \(exit status 255\)\n {2}what to do: what up said is above$/,
		);
		lab.fake("pulumi", `case $1 in up) mv "$root/card" "$root/${labCard}" ;; esac`);
		const { code, stderr } = await lab.lab(again);
		t.is(code, 7, stderr);
		t.deepEqual(readRun(lab, "two").command, ["sh", "-c", "exit 7"]);
	},
);

asRoot(
	"a lab that is not up, and would be another, is not brought up for a run that is to be recorded again",
	async (t) => {
		const hashes = { ...card.hashes, stack: "1a".repeat(32), lock: "6f".repeat(32) };
		const lab = await recordedOnce(t, { lab: hashes, commit: "9c010146f0aa" });
		rmSync(join(lab.root, labCard));
		const { code, stderr } = await lab.lab(again);
		t.is(code, 1);
		t.deepEqual(stderr.split("\n"), [
			"lab: the lab is not what it was when one was recorded:",
			`  stack: 1a1a1a1a1a1a → ${card.hashes.stack.slice(0, 12)}`,
			`  tracelab: 2b2b2b2b2b2b → ${tracelabHash().slice(0, 12)}`,
			`  lock: 6f6f6f6f6f6f → ${card.hashes.lock?.slice(0, 12) ?? "none"}`,
			`  what to do: git checkout 9c010146f0aa, then cp -r ${lab.root}/${folder}/one/project/. ${project}, then: ./lab up`,
			"    or compare with the lab as it is: ./lab trace again one --anyway",
		]);
	},
);

asRoot("a run whose stack file is gone is not recorded again, and that is said in a sentence", async (t) => {
	const lab = await recordedOnce(t);
	lab.write("var/lib/tracelab/runs/gone/one/run.json", JSON.stringify({ ...readRun(lab, "one"), stack: "gone" }));
	const { code, stderr } = await lab.lab(["-s", "gone", ...again]);
	t.is(code, 1);
	t.regex(stderr, /^lab: stacks\/gone\.yaml: there is no stack "gone"\n {4}the stacks there are: [^\n]+$/);
});

asRoot("a run without a command cannot be recorded again", async (t) => {
	const lab = await recordedOnce(t, { command: undefined });
	t.deepEqual(await lab.lab(again), {
		code: 2,
		stdout: "",
		stderr:
			'lab: run "one" has no command that could run again: it is no finished run of trace run\n  what to do: record one: ./lab trace run block-io -- COMMAND',
	});
});
