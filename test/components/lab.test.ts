import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import test from "ava";
import { Lab } from "../../components/lab.ts";
import { AccelerationError } from "../../spec/acceleration.ts";
import { buildPrefixes } from "../../spec/build-prefixes.ts";
import { DiskSpaceError } from "../../spec/disk-space.ts";
import { GdbPortError } from "../../spec/gdb-ports.ts";
import { hostPackages } from "../../spec/host-packages.ts";
import { labCardSchema } from "../../spec/lab-card.ts";
import { stackHash, tracelabHash } from "../../spec/lab-hashes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import type { Stack } from "../../spec/schema.ts";
import { givenTo, isStep } from "./assert-step.ts";
import { listed, type Run, resource, results, run, settled } from "./mocks.ts";
import { runLab, runStack } from "./run-lab.ts";
import { withKvm, withoutKvm } from "./samples.ts";

/** Where a build of that run is installed, as its step was told. */
function prefix(run: Run<unknown>, build: string): string {
	const { triggers } = resource(run, `${build}-build`).inputs;
	const [only] = Array.isArray(triggers) ? triggers : [];
	if (typeof only !== "string") throw new Error(`${build} is no build`);
	return only;
}

test.serial("every component is the lab's, and the lab is nobody's", async (t) => {
	const { resources } = await runStack("quickstart");
	const parents = resources
		.filter(({ type }) => type.startsWith("tracelab:"))
		.map(({ name, parent }) => [name, parent]);
	t.deepEqual(Object.fromEntries(parents), {
		"domain-vm": "quickstart",
		"guest-tools": "quickstart",
		host: "quickstart",
		"image-main": "quickstart",
		"kernel-main": "quickstart",
		libvirt: "quickstart",
		"module-lttng": "quickstart",
		"module-mymodule": "quickstart",
		"qemu-main": "quickstart",
		quickstart: "",
		"tracing-group": "quickstart",
	});
});

test.serial("the host gets the lab's packages", async (t) => {
	const up = await runStack("quickstart");
	isStep(t, up, "host-packages", { script: "host-packages", inputs: { packages: [...hostPackages] } });
});

test.serial("the pool is the stack's own folder, on the lab's libvirt", async (t) => {
	const up = await runStack("debug");
	const { inputs, parent, provider } = resource(up, "pool");
	t.deepEqual(inputs, {
		name: "tracelab-debug",
		type: "dir",
		target: { path: "/var/lib/tracelab/pools/debug" },
	});
	t.deepEqual({ parent, provider }, { parent: "debug", provider: "libvirt-provider" });
});

test.serial("the pool is kept defined and active, before any disk is made in it", async (t) => {
	const up = await runStack("debug");
	isStep(t, up, "debug-pool-active", {
		script: "libvirt-pool",
		inputs: { pool: "tracelab-debug", uuid: "pool-id", folder: "/var/lib/tracelab/pools/debug" },
	});
	t.deepEqual(resource(up, "debug-pool-active").dependsOn, ["libvirt-daemon", "libvirt-provider", "pool"]);
	t.true(resource(up, "domain-vm-disk").dependsOn.includes("debug-pool-active"));
});

test.serial("every object of libvirt is on the lab's provider, none on a default one", async (t) => {
	const { resources } = await runStack("versions");
	const objects = resources.filter(({ type }) => type.startsWith("libvirt:"));
	t.is(objects.length, 5);
	t.deepEqual([...new Set(objects.map(({ provider }) => provider))], ["libvirt-provider"]);
});

test.serial("libvirt may run all emulators of the stack, sorted by their prefix", async (t) => {
	const up = await runStack("versions");
	const emulators = [prefix(up, "qemu-main"), prefix(up, "qemu-logging")].toSorted();
	t.not(emulators[0], emulators[1]);
	isStep(t, up, "libvirt-daemon", { script: "libvirt-host", inputs: { emulators } });
});

test.serial("the parts wait for each other in one direction", async (t) => {
	const up = await runStack("quickstart");
	const waits = (name: string) => resource(up, name).dependsOn;
	const host = ["host-kvm", "host-packages"];
	t.deepEqual(waits("host-packages"), []);
	for (const build of ["qemu-main", "kernel-main", "image-main", "guest-tools"])
		t.deepEqual(waits(`${build}-build`), host);
	t.deepEqual(waits("module-mymodule-build"), ["kernel-main-build"]);
	t.deepEqual(waits("tracing-group-member"), host);
	t.deepEqual(waits("libvirt-daemon"), ["tracing-group-member"]);
	t.deepEqual(waits("libvirt-provider"), ["libvirt-daemon"]);
	t.deepEqual(waits("domain-vm-gdb-port"), ["image-main-build", "kernel-main-build", "qemu-main-build"]);
	t.deepEqual(waits("quickstart-card"), [
		"domain-vm-disk",
		"domain-vm-domain",
		"domain-vm-gdb-port",
		"domain-vm-guest",
		"domain-vm-hypervisor-facts",
		"domain-vm-module-load",
		"domain-vm-share",
		// What it says of them is known when they are built.
		"guest-tools-build",
		"image-main-build",
		"kernel-main-build",
		"module-lttng-build",
		"module-mymodule-build",
		"qemu-main-build",
	]);
});

test.serial("each domain has the QEMU, the kernel and the modules that its stack file names", async (t) => {
	const up = await runStack("versions");
	const parts = (name: string) => {
		const { emulator, kernel } = resource(up, `domain-${name}-domain`).inputs;
		return { emulator, kernel };
	};
	t.deepEqual(parts("vm"), {
		emulator: `${prefix(up, "qemu-main")}/bin/qemu-system-x86_64`,
		kernel: `${prefix(up, "kernel-main")}/bzImage`,
	});
	t.deepEqual(parts("other"), {
		emulator: `${prefix(up, "qemu-logging")}/bin/qemu-system-x86_64`,
		kernel: `${prefix(up, "kernel-preempt")}/bzImage`,
	});
	isStep(t, up, "domain-vm-share", {
		script: "guest-share",
		inputs: {
			folder: "/var/lib/tracelab/domains/versions-vm",
			kernel_prefix: prefix(up, "kernel-main"),
			modules: { lttng: prefix(up, "module-lttng"), mymodule: prefix(up, "module-mymodule") },
			load: ["mymodule"],
			tools_prefix: prefix(up, "guest-tools"),
		},
	});
	isStep(t, up, "domain-other-share", {
		script: "guest-share",
		inputs: {
			folder: "/var/lib/tracelab/domains/versions-other",
			kernel_prefix: prefix(up, "kernel-preempt"),
			modules: { "lttng-preempt": prefix(up, "module-lttng-preempt") },
			load: [],
			tools_prefix: prefix(up, "guest-tools"),
		},
	});
});

test.serial("stacks that want the same share their builds", async (t) => {
	const quickstart = await runStack("quickstart");
	const versions = await runStack("versions");
	for (const build of ["qemu-main", "kernel-main", "image-main", "module-mymodule"])
		t.is(prefix(quickstart, build), prefix(versions, build));
	t.not(prefix(versions, "qemu-main"), prefix(versions, "qemu-logging"));
	t.not(prefix(versions, "kernel-main"), prefix(versions, "kernel-preempt"));
});

const accelerated = test.macro({
	title: (_, where: string, type: string) => `acceleration: auto makes a domain of type ${type} on a host ${where} kvm`,
	async exec(t, where: "with" | "without", type: string) {
		const up = await runStack("quickstart", where === "with" ? withKvm : withoutKvm);
		t.is(resource(up, "domain-vm-domain").inputs["type"], type);
	},
});

test.serial(accelerated, "with", "kvm");
test.serial(accelerated, "without", "qemu");

test.serial("the card is exactly what came up, and it is what the schema says", async (t) => {
	const up = await runStack("quickstart");
	const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
	const [qemu, kernel, image, module] = ["qemu-main", "kernel-main", "image-main", "module-mymodule"].map((build) =>
		prefix(up, build),
	);
	const emulator = `${qemu}/bin/qemu-system-x86_64`;
	const card = {
		stack: "quickstart",
		tracelab: version,
		hashes: {
			stack: stackHash(loadStack("quickstart")),
			tracelab: tracelabHash(),
			builds: {
				"guest-tools": null,
				"image-main": results.image,
				"kernel-main": results.kernel,
				"module-lttng": null,
				"module-mymodule": null,
				"qemu-main": results.qemu,
			},
		},
		qemu: { main: { prefix: qemu, binary: emulator, version: "7.2.22" } },
		kernels: {
			main: {
				prefix: kernel,
				vmlinux: `${kernel}/vmlinux`,
				source: `${kernel}/source`,
				release: "6.1.192",
				buildId: "8f3c1de0a7c64b1f99d1b51d7e0b6a83f2f9a3c1",
			},
		},
		images: { main: { prefix: image } },
		domains: {
			vm: {
				libvirtName: "quickstart-vm",
				processName: "quickstart-vm",
				emulator,
				acceleration: {
					kind: "tcg",
					reason: "there is no /dev/kvm and the processor shows neither vmx nor svm",
				},
				qemu: "main",
				kernel: "main",
				commandLine: "root=/dev/vda rw console=ttyS0 nokaslr systemd.hostname=vm",
				image: "main",
				gdb: { port: 1234, paused: false },
				console: {
					log: "/var/log/tracelab/quickstart/console-vm.log",
					socket: "/var/lib/tracelab/domains/quickstart-vm/console.sock",
				},
				hypervisor: { facts: { signature: "TCGTCGTCGTCG" }, expected: {} },
				modules: { mymodule: { file: `${module}/mymodule.ko`, source: module } },
			},
		},
		probes: {},
		traces: {},
	};
	t.deepEqual(await settled(up.made.card), card);
	t.deepEqual<unknown, unknown>(labCardSchema.parse(card), card);
	isStep(t, up, "quickstart-card", { script: "lab-card", inputs: { card: JSON.stringify(card, null, "\t") } });
});

test.serial("a first preview registers what the up does, and looks once at what is known by then", async (t) => {
	const preview = await runLab(loadStack("quickstart"), withoutKvm, true);
	t.deepEqual(listed(preview), listed(await runStack("quickstart")));
	t.deepEqual(
		preview.events.filter((event) => event.startsWith("look")),
		// The guest's inputs are not, and the card's neither.
		[
			"look at host-packages",
			"look at host-kvm",
			"look at kernel-main-build",
			"look at qemu-main-build",
			"look at guest-tools-build",
			"look at image-main-build",
			"look at module-lttng-build",
			"look at module-mymodule-build",
			"look at tracing-group-member",
			"look at libvirt-daemon",
			"look at domain-vm-gdb-port",
			"look at domain-vm-share",
			"look at domain-vm-module-load",
		],
	);
	t.is<unknown, unknown>(await settled(preview.made.card), pulumi.runtime.unknownValue);
});

test.serial("a name that leads nowhere is an error that says what there is", async (t) => {
	const quickstart = loadStack("quickstart");
	const { vm } = quickstart.domains;
	if (vm === undefined) throw new Error("quickstart has no vm");
	const stack: Stack = { ...quickstart, domains: { vm: { ...vm, qemu: "nowhere" } } };
	await t.throwsAsync(runLab(stack), { message: 'no "nowhere" among main' });
});

test.serial("builds that cannot fit on the disk are an error before anything of the host is declared", async (t) => {
	const stack = loadStack("quickstart");
	const full = { ...withoutKvm, free: { opt: 0, cache: 0 } };
	await t.throwsAsync(runLab(stack, full), {
		instanceOf: DiskSpaceError,
		message: /^image main, kernel main, qemu main cannot be built: /,
	});
	const { resources } = await runStack("quickstart");
	const builds = resources.flatMap(({ inputs }) => [inputs["triggers"]].flat().map(String));
	// These very builds are meant: with them there, nothing is said.
	await t.notThrowsAsync(
		runLab(stack, { ...full, builds: builds.map((prefix) => prefix.replace("/opt/tracelab/", "")) }),
	);
});

test.serial("a gdb port that is another's is an error before anything of the host is declared", async (t) => {
	const quickstart = loadStack("quickstart");
	const { vm } = quickstart.domains;
	if (vm === undefined) throw new Error("quickstart has no vm");
	const stack: Stack = { ...quickstart, domains: { vm: { ...vm, gdb: { paused: false, port: 4000 } } } };
	const gdbPorts = { "4000": { reserved: "other-vm", given: true, listener: "", qemuOf: "" } };
	await t.throwsAsync(runLab(stack, { ...withoutKvm, gdbPorts }), {
		instanceOf: GdbPortError,
		message: /^gdb port 4000 is reserved for the domain other-vm\n/,
	});
	await t.notThrowsAsync(runLab(stack));
});

test.serial("kvm where it cannot work is an error before anything of the host is declared", async (t) => {
	const quickstart = loadStack("quickstart");
	const { vm } = quickstart.domains;
	if (vm === undefined) throw new Error("quickstart has no vm");
	const stack: Stack = { ...quickstart, domains: { vm: { ...vm, acceleration: "kvm" } } };
	await t.throwsAsync(runLab(stack, withoutKvm), {
		instanceOf: AccelerationError,
		message: /^acceleration: kvm cannot work on this host: there is no \/dev\/kvm/,
	});
	const lab = () => {
		try {
			new Lab(stack.name, { stack, facts: withoutKvm });
		} catch {} // The error is above; here it is what was declared before it.
	};
	t.deepEqual(listed(await run({ stack: stack.name }, lab)), ["tracelab:lab:Lab quickstart"]);
});

test.serial(
	"each build is held to its pin in the lock, and its prefix is the same with a lock and without",
	async (t) => {
		const stack = loadStack("probes");
		const prefixes = buildPrefixes(stack);
		const lock = Object.fromEntries(
			Object.keys(prefixes).map((name) => [name, { tools: { "gcc-12": "12.2", binutils: name } }]),
		);
		const free = await runLab(stack);
		const held = await runLab(stack, withoutKvm, false, { lock, lockHash: "6f".repeat(32) });
		const { hashes } = await settled(held.made.card);
		t.deepEqual([Object.keys(hashes.builds), hashes.lock], [Object.keys(prefixes).sort(), "6f".repeat(32)]);
		t.true("probe-mymodule-vm" in prefixes);
		for (const [name, prefixOfIt] of Object.entries(prefixes)) {
			const step = name.startsWith("probe-") ? name : `${name}-build`;
			for (const run of [free, held]) t.deepEqual(resource(run, step).inputs["triggers"], [prefixOfIt]);
			t.false(givenTo(resource(free, step)).includes("pin="));
			t.true(
				givenTo(resource(held, step)).includes(`declare -A pin=(['tools']='binutils ${name}\ngcc-12 12.2')\n`),
				name,
			);
		}
	},
);
