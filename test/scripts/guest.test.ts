import { existsSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import { buildId, emulator, fakeGuest, folder } from "./fake-guest.ts";
import { guestInputs, guestStep, patientStep, runGuest } from "./run-guest.ts";
import { ScratchHost, type StepRun } from "./run-step.ts";

// One after the other: each starts a good many processes.
const test = anyTest.serial;

const definition = `${folder}/0d000000-0000-0000-0000-000000000001.xml`;
const notStarted = "domain quick-vm was not started by this lab yet; domain quick-vm is shut off";
const overlay = guestInputs.overlay;
/** In the domain's folder, what its disk lies over. */
const diskImage = "image-of-quick-vm-0123456789abcdef.qcow2";
const bootTime = "var/cache/tracelab/durations/boot/quick-vm";
const imageManifest = guestInputs.base.replace("image.qcow2", ".tracelab-build");
const imageResult = guestInputs.base.replace("image.qcow2", ".tracelab-build-record/result");
const laidOver = `${folder.slice(1)}/${diskImage}`;

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	fakeGuest(scratch);
	scratch.write(overlay, "disk");
	scratch.write(guestInputs.base, "image");
	scratch.write(imageManifest, "1 1 image.qcow2\n");
	scratch.write(imageResult, `${"5a".repeat(32)}\n`);
	scratch.write(`${guestInputs.kernel_prefix}/build-id`, `${buildId}\n`);
	scratch.fake("qemu-img", `echo "$*" >"\${*: -1}"`);
	return scratch;
}

async function drift(scratch: ScratchHost, given: Record<string, string> = {}): Promise<string | undefined> {
	return (await runGuest(scratch, "probe", given)).stdout["drift"];
}

/** What libvirt was told that changes a domain. */
function told({ calls }: StepRun): string[] {
	return calls
		.map((call) => call.replace("virsh --quiet --connect qemu:///system ", ""))
		.filter((call) => /^(define|start|destroy|resume)/.test(call));
}

test("a defined domain is started once, and its definition is kept until it goes", async (t) => {
	const scratch = host(t);
	const lab = Object.keys(scratch.tree());
	t.is(await drift(scratch), notStarted);
	const first = await runGuest(scratch, "apply");
	t.is(first.stderr, "guest: started quick-vm");
	t.deepEqual(first.stdout, {});
	t.deepEqual(told(first), ["start quick-vm"]);
	t.regex(scratch.read(bootTime), /^\d+\n$/);
	t.is(scratch.read(definition), scratch.read("virt/defined"));
	t.is(statSync(join(scratch.root, definition)).mode & 0o777, 0o600);
	t.is(await drift(scratch), "");
	const applied = scratch.tree();
	const second = await runGuest(scratch, "apply");
	t.is(second.stderr, "guest: domain quick-vm is up to date");
	t.deepEqual(second.stdout, first.stdout);
	t.deepEqual(told(second), []);
	t.deepEqual(scratch.tree(), applied);
	const removed = await runGuest(scratch, "remove");
	t.deepEqual(told(removed), [], "the domain itself is @pulumi/libvirt's");
	const own = ["run", "proc", "guest", "virt", "var/cache/tracelab", "var/log/tracelab", folder.slice(1)];
	t.deepEqual(
		Object.keys(scratch.tree(own)),
		lab.filter((path) => !path.startsWith("virt")),
	);
	t.deepEqual(readdirSync(join(scratch.root, folder)), [diskImage], "the disk is there still");
});

const repaired = anyTest.macro({
	exec: async (
		t: ExecutionContext,
		harm: (scratch: ScratchHost) => unknown,
		sentence: string,
		words: string[],
		commands: string[],
	) => {
		const scratch = host(t);
		await runGuest(scratch, "apply");
		await harm(scratch);
		t.is(await drift(scratch), sentence);
		const run = await runGuest(scratch, "apply");
		t.is(run.code, 0, run.stderr);
		t.deepEqual(run.stderr.split("\n"), words);
		t.deepEqual(
			told(run).map((command) => command.replace(`${scratch.root}${definition}`, "DEFINITION")),
			commands,
		);
		t.is(await drift(scratch), "");
	},
	title: (title = "") => `${title} is drift, and one apply mends it`,
});
const writes = (path: string, text: string) => (scratch: ScratchHost) => scratch.write(path, text);
const shell = (command: string) => (scratch: ScratchHost) => scratch.bash(`cd '${scratch.root}'; ${command}`);
const started = "guest: started quick-vm";
const pid = 4_194_305;
const again = ["destroy quick-vm", "start quick-vm"];
const startedAgain = (sentence: string): [string, string[], string[]] => [
	sentence,
	[`guest: ${sentence}: starting it again`, started],
	again,
];
test(
	"a stopped domain",
	repaired,
	shell("virsh --quiet --connect qemu:///system destroy quick-vm"),
	"domain quick-vm is shut off",
	[started],
	["start quick-vm"],
);
test(
	"a crashed domain",
	repaired,
	writes("virt/state", "crashed\n"),
	"domain quick-vm is crashed",
	[started],
	["start quick-vm"],
);
test(
	"an edited definition",
	repaired,
	writes("virt/defined", "<domain>edited</domain>\n"),
	"the definition of domain quick-vm was edited",
	["guest: defined quick-vm as it was"],
	["define DEFINITION"],
);
test(
	"an undefined domain",
	repaired,
	shell("virsh --quiet --connect qemu:///system destroy quick-vm; rm virt/defined virt/state"),
	"domain quick-vm is not defined",
	["guest: defined quick-vm as it was", started],
	["define DEFINITION", "start quick-vm"],
);
test(
	"a deleted disk",
	repaired,
	shell(`rm .${overlay}`),
	`the disk ${overlay} of quick-vm is gone`,
	["guest: making the disk of quick-vm again: what the guest had written is lost with the old one", started],
	again,
);
const madeAgain = `echo '2 1 image.qcow2' >.${imageManifest}`;
const isAnother = "the image was made again since the disk of quick-vm was laid over it";
const diskLost: [string, string[], string[]] = [
	isAnother,
	["guest: making the disk of quick-vm again: what the guest had written is lost with the old one", started],
	again,
];
const diskKept: [string, string[], string[]] = [
	isAnother,
	["guest: the image was made again, and is the same in each byte: the disk of quick-vm stays"],
	[],
];
/** QEMU has the image of before open, which has that in it by now. */
const open = (text: string) =>
	`mkdir proc/${pid}/fd old; echo -n '${text}' >'old/image.qcow2 (deleted)'; ln -s "$PWD/old/image.qcow2 (deleted)" proc/${pid}/fd/9`;
test(
	"a disk whose image came out as another one when it was made again",
	repaired,
	shell(`${madeAgain}; echo ${"6b".repeat(32)} >.${imageResult}`),
	...diskLost,
);
test("a disk whose image came out the same", repaired, shell(madeAgain), ...diskKept);
test(
	"a disk whose image came out the same while its guest ran",
	repaired,
	shell(`${madeAgain}; ${open("image")}`),
	...diskKept,
);
test(
	"a disk whose image came out the same, after the one of before was written to while its guest ran",
	repaired,
	shell(`${madeAgain}; ${open("imagine")}`),
	...diskLost,
);
test(
	"a disk whose image was made again by a tracelab that noted no result",
	repaired,
	shell(`${madeAgain}; rm .${imageResult}; sed -i 's/ .*//' ${laidOver}`),
	...diskLost,
);

test("a disk stays as its guest wrote it where its image came out the same", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	scratch.write(overlay, "written by the guest");
	await scratch.bash(`cd '${scratch.root}'; ${madeAgain}`);
	await runGuest(scratch, "apply");
	t.is(scratch.read(overlay), "written by the guest");
});

test("what an older tracelab noted of the image below a disk is no drift, and gets what it lacks", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	const noted = scratch.read(laidOver);
	t.regex(noted, /^[0-9a-f]{16} (5a){32}\n$/);
	const older = `${folder.slice(1)}/image`;
	rmSync(join(scratch.root, laidOver));
	scratch.write(older, `${noted.slice(0, 16)}\n`);
	t.is(await drift(scratch), "");
	const { stderr, calls } = await runGuest(scratch, "apply");
	t.is(stderr, "guest: domain quick-vm is up to date");
	t.deepEqual(told({ calls } as StepRun), []);
	t.is(scratch.read(laidOver), noted);
	t.false(existsSync(join(scratch.root, older)));
});

test("a disk over an image that an older tracelab noted is made again where that is another by now", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	rmSync(join(scratch.root, laidOver));
	scratch.write(`${folder.slice(1)}/image`, `${"0".repeat(16)}\n`);
	t.is(await drift(scratch), "the image was made again since the disk of quick-vm was laid over it");
	const { stderr } = await runGuest(scratch, "apply");
	t.deepEqual(stderr.split("\n"), [
		"guest: making the disk of quick-vm again: what the guest had written is lost with the old one",
		started,
	]);
});

test(
	"a domain on another emulator",
	repaired,
	shell(`ln -sfn /usr/bin/qemu-system-x86_64 proc/${pid}/exe`),
	...startedAgain(`domain quick-vm runs on /usr/bin/qemu-system-x86_64, not on ${emulator}`),
);
test(
	"an emulator that was replaced while it ran",
	repaired,
	shell(`ln -sfn '${emulator} (deleted)' proc/${pid}/exe`),
	...startedAgain(`domain quick-vm runs on ${emulator} (deleted), not on ${emulator}`),
);
test(
	"a domain whose process is not known",
	repaired,
	shell("rm run/libvirt/qemu/quick-vm.pid"),
	...startedAgain(
		`domain quick-vm runs on an unknown program, not on ${emulator}; the process of quick-vm is named nothing known, not vm; no gdbstub of quick-vm listens on 127.0.0.1:1234`,
	),
);
test(
	"another process name",
	repaired,
	writes(`proc/${pid}/comm`, "qemu-system-x86\n"),
	...startedAgain("the process of quick-vm is named qemu-system-x86, not vm"),
);
test(
	"a gdbstub that does not listen",
	repaired,
	shell("rm virt/listens"),
	...startedAgain("no gdbstub of quick-vm listens on 127.0.0.1:1234"),
);
test(
	"another program on the gdbstub's port",
	repaired,
	writes("virt/listens", "41943\n"),
	...startedAgain("no gdbstub of quick-vm listens on 127.0.0.1:1234"),
);
test(
	"a guest with another kernel",
	repaired,
	writes("guest/sys/kernel/notes", "no note"),
	...startedAgain(`quick-vm runs a kernel with build-id unknown, gdb's vmlinux has ${buildId}`),
);
test(
	"a guest that was paused by hand",
	repaired,
	writes("virt/state", "paused\n"),
	"domain quick-vm is paused",
	["guest: quick-vm was paused and goes on"],
	["resume quick-vm"],
);
test(
	"a guest agent that does not answer",
	repaired,
	writes("virt/silent", ""),
	"the guest agent of quick-vm does not answer",
	["guest: the guest agent of quick-vm did not answer within 0 s: starting it again", started],
	again,
);

/** What a function of the step prints, of a guest whose process was started so many seconds ago. */
async function printed(scratch: ScratchHost, body: string, ago = 0): Promise<string> {
	const at = Date.now() / 1000 - ago;
	utimesSync(join(scratch.root, "run/libvirt/qemu/quick-vm.pid"), at, at);
	return (await scratch.bash(patientStep().replace('step_main "$@"', `{ ${body}; } >&2`))).stderr;
}

test("a guest has 480 s from its start to answer, and two minutes at any time", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	for (const [ago, least, most] of [
		[-3600, 480, 480],
		[100, 360, 380],
		[3600, 120, 120],
	] as const) {
		const seconds = Number(await printed(scratch, "patience", ago));
		t.true(least <= seconds && seconds <= most, `${ago} s ago: ${seconds}`);
	}
});

test("who waits for a guest to boot is told how long it may take, by the last time", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	scratch.write(bootTime, "200\n");
	t.is(await printed(scratch, "started=0; boot_progress 30"), "15 %, 2 min 50 s left");
	t.is(await printed(scratch, "started=0; boot_progress 200"), "200 s so far");
	t.is(await printed(scratch, "started=; boot_progress 30"), "30 s so far", "nobody knows since when it boots");
});

test("a libvirtd that does not answer is no drift of the guest's", async (t) => {
	const scratch = host(t);
	scratch.write("virt/off", "");
	t.is(await drift(scratch), "");
});

test("a domain that is to be paused at boot is started so, and nothing waits for its guest", async (t) => {
	const scratch = host(t);
	const first = await runGuest(scratch, "apply", { paused: "1" });
	t.deepEqual(first.stdout, {});
	t.deepEqual(told(first), ["start quick-vm --paused"]);
	t.false(existsSync(join(scratch.root, bootTime)), "nobody knows when its debugger lets it boot");
	t.is(await drift(scratch, { paused: "1" }), "");
	const second = await runGuest(scratch, "apply", { paused: "1" });
	t.is(second.stderr, "guest: domain quick-vm is up to date");
	t.deepEqual(told(second), []);
	t.false([...first.calls, ...second.calls].some((call) => call.includes("qemu-agent-command")));
	scratch.write("virt/state", "running\n");
	t.is(await drift(scratch, { paused: "1" }), "", "a debugger let it go on");
});

test("a guest that its debugger holds is left alone, which is said unless it is to wait for one", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	scratch.write("virt/state", "paused\n");
	scratch.write("virt/debugged", "");
	const probed = await runGuest(scratch, "probe");
	const note = "the guest of quick-vm is stopped by its debugger: it was not looked at";
	t.deepEqual(probed.stdout, { drift: "", stamp: "g", note });
	t.is(probed.stderr, "");
	const { stderr, calls } = await runGuest(scratch, "apply");
	t.is(stderr, `guest: ${note}`);
	t.deepEqual(told({ calls } as StepRun), []);
	t.deepEqual((await runGuest(scratch, "probe", { paused: "1" })).stdout, { drift: "", stamp: "g" });
});

test("a disk is made again on its image, at its place once it is whole", async (t) => {
	const scratch = host(t);
	await scratch.bash(`rm '${scratch.root}${overlay}'`);
	scratch.fake("qemu-img", `echo half >"\${*: -1}"; kill -9 $PPID`);
	t.is((await runGuest(scratch, "apply")).code, undefined);
	t.is(await drift(scratch), `the disk ${overlay} of quick-vm is gone; domain quick-vm is shut off`);
	scratch.fake("qemu-img", `echo "$*" >"\${*: -1}"`);
	await runGuest(scratch, "apply");
	const at = `${scratch.root}${overlay}.tracelab-part`;
	t.is(scratch.read(overlay), `create -q -f qcow2 -F qcow2 -b ${scratch.root}${guestInputs.base} ${at}\n`);
	t.false(existsSync(at));
	t.is(await drift(scratch), "");
});

test("a step that is killed after the start finds the domain started", async (t) => {
	const scratch = host(t);
	const killed = await scratch.bash(
		guestStep().replace("\nlook() {\n", () => "\nlook() {\n\tkill -9 $$\n"),
		"apply",
	);
	t.is(killed.code, undefined);
	t.is(await drift(scratch), "");
	const { stderr, calls } = await runGuest(scratch, "apply");
	t.is(stderr, "guest: domain quick-vm is up to date");
	t.deepEqual(told({ calls } as StepRun), []);
});

test("a disk that outlives its domain's definition stays where its image is the same, and is made again where not", async (t) => {
	const scratch = host(t);
	const uuid = "0d000000-0000-0000-0000-000000000002";
	await runGuest(scratch, "apply");
	// The engine deletes what depends on a domain before it, and that before the new one is there.
	const definedAnew = async (given: Record<string, string>, was: Record<string, string> = {}) => {
		t.is((await runGuest(scratch, "remove", was)).code, 0);
		await scratch.bash(`virsh --quiet --connect qemu:///system destroy quick-vm`);
		const run = await runGuest(scratch, "apply", given);
		return run.stderr.split("\n");
	};
	t.deepEqual(await definedAnew({ uuid }), [started]);
	t.is(scratch.read(overlay), "disk");
	scratch.write(imageManifest, "2 2 image.qcow2\n");
	scratch.write(imageResult, "another");
	const lost = "guest: making the disk of quick-vm again: what the guest had written is lost with the old one";
	t.deepEqual(await definedAnew({}, { uuid }), [lost, started]);
	t.deepEqual(await definedAnew({ uuid }), [started]);
	const other = overlay.replace("0123456789abcdef", "1111111111111111");
	scratch.write(other, "disk");
	scratch.write(imageManifest, "3 3 image.qcow2\n");
	t.deepEqual(
		await definedAnew({ overlay: other }, { uuid }),
		[started],
		"another disk was laid over what is there now",
	);
});

test("a domain that was undefined is defined for the one who is about to delete it", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	const kept = scratch.read(definition);
	await scratch.bash(`rm '${scratch.root}/virt/defined'`);
	t.is((await runGuest(scratch, "remove")).code, 0);
	t.is(scratch.read("virt/defined"), kept);
	t.deepEqual(readdirSync(join(scratch.root, folder)), [diskImage]);
});

test("a remove without a libvirtd still takes away what is ours", async (t) => {
	const scratch = host(t);
	await runGuest(scratch, "apply");
	scratch.write("virt/off", "");
	t.is((await runGuest(scratch, "remove")).code, 0);
	t.deepEqual(readdirSync(join(scratch.root, folder)), [diskImage]);
});
