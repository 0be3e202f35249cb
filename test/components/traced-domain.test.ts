import * as pulumi from "@pulumi/pulumi";
import test from "ava";
import { domainXslt, overlayXslt } from "../../spec/domain-xslt.ts";
import { hypervisorOptions } from "../../spec/hypervisor.ts";
import type { DomainSpec } from "../../spec/schema.ts";
import { listed, resource, settled } from "./mocks.ts";
import { runDomain } from "./run-domain.ts";

const folder = "/var/lib/tracelab/domains/t-vm";
const extras = {
	gdbPort: 1234,
	commandLine: "root=/dev/vda rw console=ttyS0 nokaslr systemd.hostname=vm",
	processName: "t-vm",
	shareFolder: `${folder}/root`,
	consoleLog: "/var/log/tracelab/t/console-vm.log",
	consoleSocket: `${folder}/console.sock`,
	hypervisorOptions: [],
};

test.serial("a traced domain is a disk, a domain and five steps, named after it", async (t) => {
	const up = await runDomain();
	t.deepEqual(
		up.resources.filter(({ parent }) => parent === "domain-vm").map(({ type, name }) => `${type} ${name}`),
		[
			"libvirt:index/volume:Volume domain-vm-disk",
			"libvirt:index/domain:Domain domain-vm-domain",
			"command:local:Command domain-vm-gdb-port",
			"command:local:Command domain-vm-guest",
			"command:local:Command domain-vm-hypervisor-facts",
			"command:local:Command domain-vm-module-load",
			"command:local:Command domain-vm-share",
		],
	);
	t.deepEqual(
		listed(up).filter((entry) => entry.includes("libvirt:index/")),
		[
			"libvirt:index/volume:Volume domain-vm-disk",
			"libvirt:index/domain:Domain domain-vm-domain",
			"libvirt:index/pool:Pool pool",
		],
	);
});

test.serial(
	"the domain is what the stack file has, with no network interface and nothing else beside it",
	async (t) => {
		const up = await runDomain({ spec: { cpus: 3, memory: 2048 } });
		const { inputs } = resource(up, "domain-vm-domain");
		t.deepEqual(inputs, {
			name: "t-vm",
			type: "qemu",
			machine: "pc",
			emulator: up.made.qemu.emulator,
			vcpu: 3,
			memory: 2048,
			kernel: `${up.made.kernel.prefix}/bzImage`,
			cmdlines: [{ root: "/dev/vda", console: "ttyS0", "systemd.hostname": "vm" }, { _: "rw nokaslr" }],
			disks: [{ volumeId: "domain-vm-disk-id" }],
			qemuAgent: true,
			running: false,
			xml: { xslt: domainXslt(extras) },
		});
		t.false("networkInterfaces" in inputs);
		t.notRegex(JSON.stringify(inputs), /<interface|netdev|-nic/);
	},
);

test.serial("one domain of a name at a time, and whether it runs is the guest step's", async (t) => {
	const { deleteBeforeReplace, ignoreChanges, replaceOnChanges, provider } = resource(
		await runDomain(),
		"domain-vm-domain",
	);
	t.deepEqual(
		{ deleteBeforeReplace, ignoreChanges, replaceOnChanges, provider },
		{
			deleteBeforeReplace: true,
			ignoreChanges: ["running"],
			replaceOnChanges: ["disks", "emulator", "kernel"],
			provider: "libvirt-provider",
		},
	);
});

const accelerated = test.macro({
	title: (_, kind: string, type: string) => `with ${kind} the domain's type is ${type}, and the card says why`,
	async exec(t, kind: "kvm" | "tcg", type: string) {
		const acceleration = { kind, reason: "of the test" };
		const up = await runDomain({ acceleration });
		t.is(resource(up, "domain-vm-domain").inputs["type"], type);
		t.deepEqual((await settled(up.made.domain.card)).acceleration, acceleration);
	},
});

test.serial(accelerated, "kvm", "kvm");
test.serial(accelerated, "tcg", "qemu");

test.serial("the process name reaches QEMU's command line", async (t) => {
	const up = await runDomain({ spec: { processName: "my-vm" } });
	t.deepEqual(resource(up, "domain-vm-domain").inputs["xml"], {
		xslt: domainXslt({ ...extras, processName: "my-vm" }),
	});
	t.true(domainXslt({ ...extras, processName: "my-vm" }).includes('<qemu:arg value="process=my-vm"/>'));
});

test.serial("what the guest must not see of its hypervisor reaches QEMU's command line, and the card", async (t) => {
	const hypervisor = { hidden: true };
	const up = await runDomain({ spec: { hypervisor, expect: { clocksource: "tsc" } } });
	t.deepEqual(resource(up, "domain-vm-domain").inputs["xml"], {
		xslt: domainXslt({ ...extras, hypervisorOptions: hypervisorOptions(hypervisor) }),
	});
	t.deepEqual((await settled(up.made.domain.card)).hypervisor.expected, {
		signature: "none",
		hypervisorFlag: "false",
		kernelDetects: "none",
		detectVirt: "none",
		clocksource: "tsc",
	});
});

test.serial("the stack's kernel arguments reach the command line, after the lab's own", async (t) => {
	const { inputs } = resource(
		await runDomain({ spec: { kernelArguments: ["quiet", "root=/dev/vdb"] } }),
		"domain-vm-domain",
	);
	const commandLine = "root=/dev/vda rw console=ttyS0 nokaslr systemd.hostname=vm quiet root=/dev/vdb";
	t.deepEqual(inputs["cmdlines"], [
		{ root: "/dev/vda", console: "ttyS0", "systemd.hostname": "vm" },
		{ root: "/dev/vdb" },
		{ _: "rw nokaslr quiet" },
	]);
	t.deepEqual(inputs["xml"], { xslt: domainXslt({ ...extras, commandLine }) });
});

test.serial("the disk is an overlay over the image, in the lab's pool", async (t) => {
	const up = await runDomain();
	const { image } = up.made;
	const { inputs, provider } = resource(up, "domain-vm-disk");
	t.deepEqual(inputs, {
		name: `t-vm-${image.prefix.slice("/opt/tracelab/image/".length)}.qcow2`,
		pool: "pool-name",
		format: "qcow2",
		size: 4294967296,
		xml: { xslt: overlayXslt(`${image.prefix}/image.qcow2`) },
	});
	t.is(provider, "libvirt-provider");
});

test.serial("another image is a disk by another name, so that both can be there", async (t) => {
	const nameFor = async (suite: string) => resource(await runDomain({ suite }), "domain-vm-disk").inputs["name"];
	t.not(await nameFor("bookworm"), await nameFor("trixie"));
});

test.serial("another stack's domain of that name has a name, a folder and a console of its own", async (t) => {
	const { inputs } = resource(await runDomain({ stack: "other" }), "domain-vm-domain");
	t.is(inputs["name"], "other-vm");
	t.deepEqual(inputs["xml"], {
		xslt: domainXslt({
			...extras,
			shareFolder: "/var/lib/tracelab/domains/other-vm/root",
			consoleLog: "/var/log/tracelab/other/console-vm.log",
			consoleSocket: "/var/lib/tracelab/domains/other-vm/console.sock",
		}),
	});
});

test.serial("in a preview only the disk's id and what hangs on the gdb port is unknown", async (t) => {
	const inUp = resource(await runDomain(), "domain-vm-domain").inputs;
	const { inputs } = resource(await runDomain({ preview: true }), "domain-vm-domain");
	t.deepEqual(inputs, {
		...inUp,
		disks: [{ volumeId: pulumi.unknown }],
		xml: { xslt: pulumi.unknown },
	});
});

const paused = test.macro({
	title: (_, is: boolean) => `the card says that the domain is ${is ? "" : "not "}paused, and all else there is to it`,
	async exec(t, is: boolean) {
		const spec: Partial<DomainSpec> = { gdb: { paused: is }, modules: ["hello"] };
		const { made } = await runDomain({ spec });
		const hello = made.modules["hello"];
		t.deepEqual(await settled(made.domain.card), {
			libvirtName: "t-vm",
			processName: "t-vm",
			emulator: made.qemu.emulator,
			acceleration: { kind: "tcg", reason: "of the test" },
			qemu: "main",
			kernel: "main",
			commandLine: extras.commandLine,
			image: "main",
			gdb: { port: 1234, paused: is },
			console: { log: extras.consoleLog, socket: extras.consoleSocket },
			hypervisor: { facts: { signature: "TCGTCGTCGTCG" }, expected: {} },
			modules: { hello: { file: `${hello}/hello.ko`, source: `${hello}` } },
		});
	},
});

test.serial(paused, true);
test.serial(paused, false);
