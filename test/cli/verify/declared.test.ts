import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { note } from "../elf-file.ts";
import { buildId, pid } from "../scratch-trace.ts";
import { fails } from "./claim-fails.ts";

// Each failure that a claim on probes and flight recorders can come to.

const probes = "its probes are compiled for its kernel";
const recorders = "its flight recorders record as declared";
const session = "tracelab-quickstart-flight";

const built = "opt/tracelab/probe/0123456789abcdef";
const installed = "var/lib/tracelab/domains/quickstart-vm/root/probes/stap_fire.ko";

for (const gone of [built, `${built}/points`, `${built}/kernel`, `${built}/stap_fire.ko`, installed]) {
	test.serial(
		fails,
		probes,
		`where ${gone} is gone`,
		({ root }) => rmSync(join(root, gone), { recursive: true }),
		'probe "fire" is not compiled',
		"./lab up compiles it",
	);
}
test.serial(
	fails,
	probes,
	"where the guest is shown another",
	(lab) => lab.write(installed, "another"),
	`ROOT/${installed} is not the stap_fire.ko that was compiled`,
	"./lab up compiles it",
);
test.serial(
	fails,
	probes,
	"where its script was edited",
	(lab) => lab.write(`${built}/fire.stp`, "what it was"),
	"/src/fire.stp was edited since probe fire was compiled",
	"./lab up compiles it",
);
test.serial(
	fails,
	probes,
	"where the guest runs another kernel",
	(lab) => writeFileSync(lab.write("sys/kernel/notes", ""), note("GNU", 3, Buffer.alloc(20, 7))),
	`probe "fire" is for a kernel with build-id ${buildId}, and "vm" runs one with ${"07".repeat(20)}`,
	"./lab up starts vm on the kernel that belongs to it",
);
test.serial(
	fails,
	probes,
	"where the guest does not see it",
	({ root }) => rmSync(join(root, "lab/probes/stap_fire.ko")),
	'"vm" does not see /lab/probes/stap_fire.ko',
	"its share with this host is not there; a guest that is started anew has it: virsh destroy quickstart-vm, then ./lab up",
);
test.serial(
	fails,
	probes,
	"where the guest sees another",
	(lab) => lab.write("lab/probes/stap_fire.ko", "another"),
	`/lab/probes/stap_fire.ko in "vm" is not ROOT/${installed}`,
	"something else is there than its share with this host; a guest that is started anew has it: virsh destroy quickstart-vm, then ./lab up",
);
for (const [vermagic, text] of [
	["6.1.1", "\0vermagic=6.1.1 SMP mod_unload \0"],
	["none", "no module"],
] as const) {
	test.serial(
		fails,
		probes,
		`where what was compiled has vermagic ${vermagic}`,
		(lab) => {
			for (const file of [`${built}/stap_fire.ko`, installed, "lab/probes/stap_fire.ko"]) lab.write(file, text);
		},
		`ROOT/${installed} has vermagic ${vermagic}, and the kernel of "vm" is 6.1.0`,
		"./lab up compiles it again",
	);
}
test.serial(
	fails,
	probes,
	"where the guest has no staprun",
	({ root }, guest) => {
		rmSync(join(root, "guest-bin/staprun"));
		// This machine may have one.
		symlinkSync("/bin/cat", join(root, "guest-bin/cat"));
		guest.programs = "/nowhere";
	},
	'"vm" has no staprun',
	"the image has it, by its package systemtap-runtime: put back what was taken from the guest's /usr/bin",
);

const mends = "./lab up mends it; but take a tracepoint that QEMU does not have out of a copy of the profile";
const harms: readonly (readonly [why: string, file: string, text: string | undefined, message: string])[] = [
	["where one is gone", `host/${session}`, undefined, `there is no trace session ${session}`],
	["where one is stopped", `host/${session}/on`, undefined, `trace session ${session} is stopped`],
	["where the guest's is gone", `guest/${session}`, undefined, `there is no trace session ${session} in guest vm`],
	["where one writes all", `host/${session}/mode`, "0\n", `trace session ${session} is none of mode snapshot`],
	[
		"where one follows another process",
		`host/${session}/pids`,
		"1\n",
		`trace session ${session} follows process 1, and its domains have ${pid}`,
	],
	[
		"where one has other buffers",
		`guest/${session}/size`,
		"4096\n",
		`trace session ${session} in guest vm has buffers of another size than its budget asks for`,
	],
];
for (const [why, file, text, message] of harms) {
	test.serial(
		fails,
		recorders,
		why,
		(lab) => {
			if (text === undefined) rmSync(join(lab.root, "lttng", file), { recursive: true });
			else lab.write(`lttng/${file}`, text);
		},
		message,
		mends,
	);
}
test.serial(
	fails,
	recorders,
	"where LTTng does not see its QEMU",
	(lab) => lab.write("lttng/ust", lab.read("lttng/ust").replace(`PID: ${pid}`, "PID: 1")),
	`process ${pid} of vm is not registered with root's session daemon`,
	mends,
);
test.serial(
	fails,
	recorders,
	"where its QEMU lacks a tracepoint",
	(lab) => lab.write("lttng/ust", lab.read("lttng/ust").replace(/.*:blk_co_preadv .*\n/, "")),
	"the QEMU of vm has no tracepoint qemu:blk_co_preadv: nothing of that is recorded",
	mends,
);
test.serial(
	fails,
	recorders,
	"where one has another event as well",
	(lab) => {
		const file = `lttng/host/${session}/events`;
		lab.write(file, `${lab.read(file)}qemu:cpu_in\n`);
	},
	`trace session ${session} records as well: qemu:cpu_in`,
	mends,
);
test.serial(
	fails,
	recorders,
	"where one lacks an event and has another",
	(lab) => {
		const file = `lttng/guest/${session}/events`;
		lab.write(file, lab.read(file).replace("block_rq_issue\n", "sched_switch\n"));
	},
	`trace session ${session} in guest vm does not record: block_rq_issue`,
	mends,
);
