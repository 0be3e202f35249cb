import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { LabError } from "../../../cli/errors.ts";
import { project } from "../../../cli/host.ts";
import { checkOwner, takeOver } from "../../../cli/lab/ownership.ts";
import { patient, ScratchLab } from "../scratch-lab.ts";

const lab = await ScratchLab.make();
lab.enter();

test.beforeEach(() => {
	for (const path of ["state", "asked", "var"]) rmSync(`${lab.root}/${path}`, { recursive: true, force: true });
	lab.write("asked", "");
	lab.runsLibvirtd();
	lab.fake(
		"virsh",
		`shift 3; echo "$*" >>"$root/asked"
		[ "$1" != vol-list ] || echo ' quickstart-vm-0123456789abcdef.qcow2   /var/lib/tracelab/pools/quickstart/x.qcow2'`,
	);
});

test.beforeEach(patient);

test.after.always(() => lab.clean());

const asked = () => lab.read("asked").split("\n").slice(0, -1);

function state(resources: readonly object[]): void {
	const latest = { resources };
	lab.write("state/.pulumi/stacks/tracelab/quickstart.json", JSON.stringify({ version: 3, checkpoint: { latest } }));
}

function begun(name: string, from: string): void {
	const undo = `echo ${name} "$@" >>'${lab.root}/asked'`;
	lab.write(`var/lib/tracelab/undo/quickstart/${name}`, `# from ${from}\n${undo}\n`);
}

test.serial("a stack that is not on this host is left alone", async (t) => {
	state([]);
	await takeOver("quickstart");
	t.deepEqual(asked(), []);
});

test.serial("a lab whose state knows libvirt's objects is left alone", async (t) => {
	state([{ urn: "urn:pulumi:q::t::libvirt:index/pool:Pool::p", type: "libvirt:index/pool:Pool" }]);
	begun("domain-vm-guest", project);
	await takeOver("quickstart");
	t.deepEqual(asked(), []);
});

test.serial("a stack that was renamed by pulumi is told how it gets its name back", async (t) => {
	const step = { urn: "urn:pulumi:quickstart::t::command:local:Command::x", type: "command:local:Command" };
	const of = (name: string) => [{ ...step, inputs: { stdin: `step_program=$(cat <<'END'\nstack='${name}'\nEND\n)` } }];
	state(of("quickstart"));
	await takeOver("quickstart");
	state(of("old"));
	const error = await t.throwsAsync(takeOver("quickstart"), { instanceOf: LabError });
	t.is(error.message, 'stack "quickstart" was "old" when its lab came up, and is that on this host');
	t.regex(
		error.todo,
		/pulumi stack rename old -s quickstart; then \.\/lab -s old destroy and \.\/lab -s quickstart up$/,
	);
	t.deepEqual(asked(), []);
});

for (const [whose, from] of [
	["of ours", project],
	["of a project that is gone", "/nowhere/at/all"],
] as const) {
	test.serial(`a lab ${whose} whose state was lost is taken over, and what would stand in its way goes`, async (t) => {
		state([]);
		begun("libvirt-daemon", from);
		begun("domain-vm-guest", from);
		begun("domain-vm-share", from);
		await takeOver("quickstart");
		t.deepEqual(asked(), [
			"domain-vm-guest remove",
			"destroy quickstart-vm",
			"undefine quickstart-vm",
			"pool-start tracelab-quickstart",
			"vol-list tracelab-quickstart",
			"vol-delete quickstart-vm-0123456789abcdef.qcow2 --pool tracelab-quickstart",
			"pool-destroy tracelab-quickstart",
			"pool-delete tracelab-quickstart",
			"pool-undefine tracelab-quickstart",
		]);
	});
}

test.serial("where the first up was killed before there was libvirt, nothing is asked of it", async (t) => {
	state([]);
	begun("host-packages", project);
	await takeOver("quickstart");
	t.deepEqual(asked(), []);
});

test.serial("a lab of another project that is there is an error; a project that is gone has none", (t) => {
	const other = mkdtempSync(join(tmpdir(), "tracelab-other-"));
	t.teardown(() => rmSync(other, { recursive: true }));
	begun("card", project);
	begun("domain-vm-guest", other);
	t.notThrows(() => checkOwner("quickstart"), "a project that was moved is no longer there");
	writeFileSync(`${other}/Pulumi.yaml`, "");
	t.like(
		t.throws(() => checkOwner("quickstart"), { instanceOf: LabError }),
		{
			message: `the lab of stack "quickstart" is up from another project: ${other}`,
			todo: 'work with it there; or have one beside it: a file stacks/NAME.yaml with "extends: quickstart", and a processName of its own for each domain',
		},
	);
	t.notThrows(() => checkOwner("other"));
});
