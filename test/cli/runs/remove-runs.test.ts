import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import { project } from "../../../cli/host.ts";
import type { Run } from "../../../spec/run.ts";
import { asRoot, why } from "../../as-root.ts";
import { runRecord } from "../../spec/run-record.ts";
import { ScratchLab } from "../scratch-lab.ts";

const runs = "var/lib/tracelab/runs";
const folder = `${runs}/quickstart`;

/** A machine with a traced run, a recorded boot, and what a probe printed; each file and folder takes a megabyte. */
async function there(t: ExecutionContext, traced: Run = runRecord()): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	lab.fake("du", 'while [ "$1" != -- ]; do shift; done; shift; for path; do printf "1000000\\t%s\\n" "$path"; done');
	lab.write(`${folder}/one/run.json`, JSON.stringify(traced));
	lab.write(`${folder}/one/qemu/metadata`, "x");
	lab.write(`${folder}/record-vm-1/recording.json`, "{}");
	lab.write(`${folder}/probe-mymodule-1/output`, "x");
	return lab;
}

const left = (lab: ScratchLab) => readdirSync(join(lab.root, folder));
const everyRun = ["one", "probe-mymodule-1", "record-vm-1"];
/** `one` without what tells that it has ended. */
const { ended: _, ...recording } = runRecord();

const beingMade = (run: string) =>
	`run "${run}" is being recorded\n  what to do: wait until the command that records it has ended, or end that with Ctrl-C`;

asRoot(`runs that are named go, whatever recorded them, and the others stay${why}`, async (t) => {
	const lab = await there(t);
	const { code, stdout, stderr } = await lab.lab(["trace", "rm", "-y", "one", "record-vm-1", "one"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	t.deepEqual(
		stdout.split("\n").map((line) => line.split(/ {2,}/)),
		[["RUN", "SIZE"], ["one", "1.0 MB"], ["record-vm-1", "1.0 MB"], ["freed 2.0 MB"]],
	);
	t.deepEqual(left(lab), ["probe-mymodule-1"]);
});

asRoot(`all of a stack's runs go where that is asked for, and no folder of runs stays${why}`, async (t) => {
	const lab = await there(t);
	lab.write(`${runs}/other/two/output`, "x");
	t.is((await lab.lab(["trace", "rm", "--all", "-y"])).code, 0);
	t.deepEqual(readdirSync(join(lab.root, runs)), ["other"]);
	// Its stack file is gone by then.
	t.is((await lab.lab(["-s", "other", "trace", "rm", "--all", "-y"])).code, 0);
	t.false(existsSync(join(lab.root, runs)));
	t.deepEqual(await lab.lab(["trace", "rm", "--all"]), {
		...{ code: 0, stdout: "" },
		stderr: 'lab: stack "quickstart" has no runs',
	});
});

const stays = anyTest.macro({
	title: (title = "") => `no run goes ${title}${why}`,
	async exec(t: ExecutionContext, args: string[], code: number, stderr: string) {
		const lab = await there(t, recording);
		lab.up();
		const { stdout: _, ...ended } = await lab.lab(["trace", "rm", ...args]);
		t.deepEqual(ended, { code, stderr });
		t.deepEqual(left(lab), everyRun);
	},
});

asRoot(
	"where nobody says that it is meant",
	stays,
	["record-vm-1"],
	2,
	"lab: trace rm asks first, and nobody can answer here\n  what to do: say it is meant: ./lab trace rm record-vm-1 -y",
);
asRoot(
	"where one of them is being recorded",
	stays,
	["-y", "record-vm-1", "one"],
	1,
	'lab: run "one" is being recorded\n  what to do: end it: ./lab trace stop one',
);
asRoot(
	"where one of all is being recorded",
	stays,
	["-y", "--all"],
	1,
	'lab: run "one" is being recorded\n  what to do: end it: ./lab trace stop one',
);
asRoot(
	"where there is none of one of the names",
	stays,
	["-y", "record-vm-1", "../quickstart"],
	2,
	`lab: stack "quickstart" has no run "../quickstart"\n  what to do: its runs: ${everyRun.join(", ")}`,
);
const which = `lab: which runs are to go?\n  what to do: name them, or else give --all; its runs: ${everyRun.join(", ")}`;
asRoot("where none is named", stays, ["-y"], 2, which);
asRoot("where some are named, and all", stays, ["-y", "--all", "one"], 2, which);
for (const name of ["..", ".", "../runs/quickstart"])
	asRoot(
		`of a stack that is named ${name}`,
		stays,
		["-y", "--all", "-s", name],
		2,
		`lab: there is no stack "${name}"\n  what to do: a stack's name has at most 31 of a-z, 0-9 and -, first a letter, last no dash`,
	);

asRoot(
	`a run that has no run.json yet stays while what makes it lives, whether or not its lab does${why}`,
	async (t) => {
		const lab = await there(t);
		const make = `import { makeRunFolder } from "${project}/cli/runs/run-folder.ts";
		console.log(makeRunFolder("quickstart", "x", "made").run);
		setInterval(() => {}, 1000);`;
		const maker = spawn(process.execPath, ["--input-type=module", "--eval", make], {
			env: lab.env,
			stdio: ["ignore", "pipe", "ignore"],
		});
		t.teardown(() => maker.kill("SIGKILL"));
		await once(maker.stdout, "data");
		for (const wanted of ["made", "--all"]) {
			const { code, stderr } = await lab.lab(["trace", "rm", "-y", wanted]);
			t.deepEqual([code, stderr], [1, `lab: ${beingMade("made")}`]);
		}
		t.deepEqual(left(lab), ["made", ...everyRun]);
		t.deepEqual(readdirSync(join(lab.root, folder, "made")), []);
		const ended = once(maker, "exit");
		maker.kill("SIGKILL");
		await ended;
		const { code, stderr } = await lab.lab(["trace", "rm", "-y", "made"]);
		t.deepEqual([code, stderr], [0, ""]);
		t.deepEqual(left(lab), everyRun);
	},
);

asRoot(`what was being recorded when its lab went goes, and so does what another version recorded${why}`, async (t) => {
	const lab = await there(t, recording);
	t.is((await lab.lab(["trace", "rm", "-y", "one"])).code, 0);
	lab.up();
	lab.write(`${folder}/old/run.json`, '{ "run": "old" }');
	const { code, stderr } = await lab.lab(["trace", "rm", "-y", "old"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	t.deepEqual(left(lab), ["probe-mymodule-1", "record-vm-1"]);
});
