import test from "ava";
import { type LabCard, labCardPath, labCardSchema } from "../../spec/lab-card.ts";

const card: LabCard = {
	stack: "quickstart",
	tracelab: "0.1.0",
	hashes: {
		stack: "1a".repeat(32),
		lock: "0f".repeat(32),
		tracelab: "2b".repeat(32),
		builds: { "kernel-main": "4d".repeat(32), "qemu-main": null },
	},
	qemu: { main: { prefix: "/q", binary: "/q/bin/qemu-system-x86_64", version: "7.2.22" } },
	kernels: { main: { prefix: "/k", vmlinux: "/k/vmlinux", source: "/k/source", release: "6.1.192", buildId: "8f3c" } },
	images: { main: { prefix: "/i" } },
	domains: {
		vm: {
			libvirtName: "quickstart-vm",
			processName: "quickstart-vm",
			emulator: "/q/bin/qemu-system-x86_64",
			acceleration: { kind: "tcg", reason: "there is no /dev/kvm" },
			qemu: "main",
			kernel: "main",
			commandLine: "root=/dev/vda rw",
			image: "main",
			gdb: { port: 1234, paused: false },
			console: { log: "/log", socket: "/socket" },
			hypervisor: { facts: {}, expected: {} },
			modules: { mymodule: { file: "/m/mymodule.ko", source: "/src" } },
		},
	},
	probes: { first: { domain: "vm", script: "/s/first.stp", prefix: "/p", module: "stap_first" } },
	traces: {
		flight: {
			domains: ["vm"],
			profile: "block-io",
			budget: { rate: 4, events: 50000 },
			session: "tracelab-quickstart-flight",
		},
	},
};

test("a card has its place by the name of the stack", (t) => {
	t.is(labCardPath("quickstart"), "/var/lib/tracelab/labs/quickstart.json");
});

test("a card comes through JSON as it was", (t) => {
	t.deepEqual(labCardSchema.parse(JSON.parse(JSON.stringify(card))), card);
});

test("a lab of nothing has a card", (t) => {
	const empty: LabCard = { ...card, qemu: {}, kernels: {}, images: {}, domains: {}, probes: {}, traces: {} };
	t.deepEqual(labCardSchema.parse(empty), empty);
});

/** Where a card is not as it should be. */
function faults(changed: unknown): string[] {
	return (labCardSchema.safeParse(changed).error?.issues ?? []).map(({ path }) => path.join("."));
}

const { vm } = card.domains;
const { main } = card.kernels;
const withDomain = (change: object) => ({ ...card, domains: { vm: { ...vm, ...change } } });

const refuses = test.macro({
	title: (_, what: string) => `a card is refused: ${what}`,
	exec(t, _what: string, changed: unknown, where: string[]) {
		t.deepEqual(faults(changed), where);
	},
});

test(refuses, "no object", "text", [""]);
test(refuses, "no domains", { ...card, domains: undefined }, ["domains"]);
test(refuses, "half a hash", { ...card, hashes: { ...card.hashes, stack: "1a" } }, ["hashes.stack"]);
test(refuses, "a domain without a gdbstub", withDomain({ gdb: undefined }), ["domains.vm.gdb"]);
test(refuses, "a port in words", withDomain({ gdb: { port: "1234", paused: false } }), ["domains.vm.gdb.port"]);
test(refuses, "half a port", withDomain({ gdb: { port: 1234.5, paused: false } }), ["domains.vm.gdb.port"]);
test(refuses, "an acceleration that there is not", withDomain({ acceleration: { kind: "auto", reason: "" } }), [
	"domains.vm.acceleration.kind",
]);
test(refuses, "a module without its source", withDomain({ modules: { m: { file: "/m.ko" } } }), [
	"domains.vm.modules.m.source",
]);
test(refuses, "a probe without its script", { ...card, probes: { first: { ...card.probes["first"], script: 1 } } }, [
	"probes.first.script",
]);
test(refuses, "a kernel without vmlinux", { ...card, kernels: { main: { ...main, vmlinux: undefined } } }, [
	"kernels.main.vmlinux",
]);
