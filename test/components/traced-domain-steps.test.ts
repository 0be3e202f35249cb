import test from "ava";
import { isStep } from "./assert-step.ts";
import { inTurn, resource } from "./mocks.ts";
import { runDomain } from "./run-domain.ts";

const folder = "/var/lib/tracelab/domains/t-vm";
const modules = ["hello", "world"];

const reserved = test.macro({
	title: (_, what: string) => `the gdb port's step gets ${what}`,
	async exec(t, _what: string, port: number | undefined, expected: string) {
		const gdb = port === undefined ? { paused: false } : { paused: false, port };
		const up = await runDomain({ spec: { gdb } });
		isStep(t, up, "domain-vm-gdb-port", { script: "gdb-port", inputs: { domain: "t-vm", port: expected } });
	},
});

test.serial(reserved, "the port that the stack file gives", 4321, "4321");
test.serial("a port that the stack file gives is looked at before anything is built", async (t) => {
	const up = await runDomain({ spec: { gdb: { paused: false, port: 4321 } } });
	t.deepEqual(resource(up, "domain-vm-gdb-port").dependsOn, []);
});

test.serial(reserved, "no port where the lab is to choose one", undefined, "");

test.serial("the share gets the kernel, the programs, and the modules' builds by name", async (t) => {
	const up = await runDomain({ spec: { modules } });
	t.deepEqual(Object.keys(up.made.modules), modules);
	isStep(t, up, "domain-vm-share", {
		script: "guest-share",
		inputs: {
			folder,
			kernel_prefix: up.made.kernel.prefix,
			modules: up.made.modules,
			load: modules,
			tools_prefix: up.made.tools.prefix,
		},
	});
});

test.serial("a domain with no modules has a share and a loading step all the same: one can be taken out", async (t) => {
	const up = await runDomain();
	isStep(t, up, "domain-vm-share", {
		script: "guest-share",
		inputs: {
			folder,
			kernel_prefix: up.made.kernel.prefix,
			modules: {},
			load: [],
			tools_prefix: up.made.tools.prefix,
		},
	});
	isStep(t, up, "domain-vm-module-load", {
		script: "module-load",
		inputs: { domain: "t-vm", folder, installed: {}, modules: {}, paused: "0" },
	});
});

const started = test.macro({
	title: (_, paused: boolean) => `the guest step gets all that it must find running, ${paused ? "" : "not "}paused`,
	async exec(t, paused: boolean) {
		const up = await runDomain({ spec: { gdb: { paused }, processName: "my-vm" } });
		const { qemu, kernel, image } = up.made;
		isStep(t, up, "domain-vm-guest", {
			script: "guest",
			identity: "domain-vm-domain-id",
			inputs: {
				domain: "t-vm",
				uuid: "domain-vm-domain-id",
				folder,
				emulator: qemu.emulator,
				kernel_prefix: kernel.prefix,
				process_name: "my-vm",
				gdb_port: "1234",
				paused: paused ? "1" : "0",
				overlay: "domain-vm-disk-id",
				base: `${image.prefix}/image.qcow2`,
			},
		});
	},
});

test.serial(started, true);
test.serial(started, false);

test.serial("a paused guest can load nothing, and the loading step is told so", async (t) => {
	const up = await runDomain({ spec: { modules, gdb: { paused: true } } });
	isStep(t, up, "domain-vm-module-load", {
		script: "module-load",
		inputs: { domain: "t-vm", folder, installed: up.made.modules, modules: up.made.modules, paused: "1" },
	});
});

test.serial("the facts' step gets what must be so in the guest, and is never replaced", async (t) => {
	const up = await runDomain({ spec: { expect: { hypervisorFlag: true, detectVirt: "qemu" } } });
	isStep(t, up, "domain-vm-hypervisor-facts", {
		script: "hypervisor-facts",
		inputs: {
			domain: "t-vm",
			uuid: "domain-vm-domain-id",
			folder,
			expected: { hypervisorFlag: "true", detectVirt: "qemu" },
		},
	});
});

test.serial("each part waits for what it is made of", async (t) => {
	const up = await runDomain({ spec: { modules: ["hello"] } });
	const waits = Object.fromEntries(
		up.resources.filter(({ parent }) => parent === "domain-vm").map(({ name, dependsOn }) => [name, dependsOn]),
	);
	t.deepEqual(waits, {
		"domain-vm-disk": ["image-main-build", "pool", "pool-active"],
		"domain-vm-domain": [
			"domain-vm-disk",
			"domain-vm-gdb-port",
			"domain-vm-share",
			"kernel-main-build",
			"qemu-main-build",
		],
		"domain-vm-gdb-port": ["image-main-build", "kernel-main-build", "qemu-main-build"],
		"domain-vm-guest": [
			"domain-vm-disk",
			"domain-vm-domain",
			"domain-vm-gdb-port",
			"domain-vm-share",
			"libvirt-daemon",
			"libvirt-provider",
		],
		"domain-vm-hypervisor-facts": ["domain-vm-domain", "domain-vm-guest", "domain-vm-share"],
		"domain-vm-module-load": ["domain-vm-guest", "domain-vm-share"],
		"domain-vm-share": ["guest-tools-build", "kernel-main-build", "module-hello-build"],
	});
});

test.serial("the modules are loaded once the guest runs with its share", async (t) => {
	const events = inTurn(await runDomain({ spec: { modules } }));
	const order = [
		"make module-world-build",
		"look at domain-vm-share",
		"make domain-vm-share",
		"make domain-vm-domain",
		"look at domain-vm-guest",
		"make domain-vm-guest",
		"look at domain-vm-module-load",
		"make domain-vm-module-load",
	];
	t.deepEqual(
		events.filter((event) => order.includes(event)),
		order,
	);
});

test.serial("the modules' steps are never replaced, since a guest keeps running while they change", async (t) => {
	const up = await runDomain({ spec: { modules } });
	for (const name of ["domain-vm-share", "domain-vm-module-load"]) t.false("triggers" in resource(up, name).inputs);
});
