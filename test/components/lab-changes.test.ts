import test from "ava";
import { loadStack } from "../../spec/load-stack.ts";
import type { DomainSpec, KernelSpec, Stack } from "../../spec/schema.ts";
import { givenTo } from "./assert-step.ts";
import type { Registered, Run } from "./mocks.ts";
import { runLab } from "./run-lab.ts";
import { withKvm } from "./samples.ts";

const quickstart = loadStack("quickstart");
const before = await runLab(quickstart);

/** A resource's inputs in a form that is the same in two runs that want the same. */
function wanted(entry: Registered): string {
	const { stdin, ...others } = entry.inputs;
	return JSON.stringify(stdin === undefined ? others : { ...others, given: givenTo(entry) });
}

/** Names of what one run has otherwise than the other, or alone. */
function differences(a: Run<unknown>, b: Run<unknown>): string[] {
	const [inA, inB] = [a, b].map(({ resources }) => new Map(resources.map((entry) => [entry.name, wanted(entry)])));
	const names = new Set([...(inA?.keys() ?? []), ...(inB?.keys() ?? [])]);
	return [...names].filter((name) => inA?.get(name) !== inB?.get(name)).sort();
}

/** A stack with something else for one of its members. */
function changed<T>(map: Readonly<Record<string, T>>, name: string, change: Partial<T>): Record<string, T> {
	const member = map[name];
	if (member === undefined) throw new Error(`no ${name} among ${Object.keys(map).join(", ")}`);
	return { ...map, [name]: { ...member, ...change } };
}

const kernel = (change: Partial<KernelSpec>): Stack => ({
	...quickstart,
	kernels: changed(quickstart.kernels, "main", change),
});
const vm = (change: Partial<DomainSpec>): Stack => ({
	...quickstart,
	domains: changed(quickstart.domains, "vm", change),
});

test.serial("nothing differs between two runs of the same stack", async (t) => {
	t.deepEqual(differences(before, await runLab(structuredClone(quickstart))), []);
});

const changes = test.macro({
	title: (_, what: string) => `${what} changes only what is made of it`,
	async exec(t, _what: string, stack: Stack, expected: string[]) {
		t.deepEqual(differences(before, await runLab(stack)), expected);
	},
});

test.serial(changes, "another kernel", kernel({ config: ["CONFIG_PREEMPT=y"] }), [
	"domain-vm-domain",
	"domain-vm-guest",
	"domain-vm-module-load",
	"domain-vm-share",
	"kernel-main-build",
	"module-lttng-build",
	"module-mymodule-build",
	"quickstart-card",
]);
test.serial(
	changes,
	"another QEMU",
	{ ...quickstart, qemu: changed(quickstart.qemu, "main", { traceBackends: ["log", "ust"] }) },
	["domain-vm-domain", "domain-vm-guest", "libvirt-daemon", "qemu-main-build", "quickstart-card"],
);
test.serial(
	changes,
	"another image",
	{ ...quickstart, images: changed(quickstart.images, "main", { packages: ["strace"] }) },
	["domain-vm-disk", "domain-vm-guest", "image-main-build", "quickstart-card"],
);
test.serial(
	changes,
	"another module",
	{
		...quickstart,
		modules: changed(quickstart.modules, "mymodule", {
			source: { kind: "git", url: "https://example.org/mymodule.git", ref: "v1" },
		}),
	},
	["domain-vm-module-load", "domain-vm-share", "module-mymodule-build", "quickstart-card"],
);
test.serial(changes, "another process name", vm({ processName: "my-vm" }), [
	"domain-vm-domain",
	"domain-vm-guest",
	"quickstart-card",
]);
test.serial(changes, "more memory", vm({ memory: 2048 }), ["domain-vm-domain", "quickstart-card"]);
test.serial(changes, "a pause for gdb", vm({ gdb: { paused: true } }), [
	"domain-vm-guest",
	"domain-vm-module-load",
	"quickstart-card",
]);
test.serial(changes, "a description", { ...quickstart, description: "Another." }, []);

test.serial("a host that can do kvm changes only the domain and what the card says", async (t) => {
	t.deepEqual(differences(before, await runLab(quickstart, withKvm)), ["domain-vm-domain", "quickstart-card"]);
});

test.serial("a domain more is its own parts and the card, and no build", async (t) => {
	const { vm } = quickstart.domains;
	if (vm === undefined) throw new Error("quickstart has no vm");
	const stack = { ...quickstart, domains: { ...quickstart.domains, another: { ...vm, processName: "another" } } };
	t.deepEqual(differences(before, await runLab(stack)), [
		"domain-another",
		"domain-another-disk",
		"domain-another-domain",
		"domain-another-gdb-port",
		"domain-another-guest",
		"domain-another-hypervisor-facts",
		"domain-another-module-load",
		"domain-another-share",
		"quickstart-card",
	]);
});

test.serial("the order in a stack file makes no difference", async (t) => {
	const versions = loadStack("versions");
	const reversed: Stack = {
		...versions,
		qemu: Object.fromEntries(Object.entries(versions.qemu).toReversed()),
		kernels: Object.fromEntries(Object.entries(versions.kernels).toReversed()),
		domains: Object.fromEntries(Object.entries(versions.domains).toReversed()),
	};
	t.deepEqual(Object.keys(reversed.domains), ["vm", "other"]);
	t.deepEqual(differences(await runLab(versions), await runLab(reversed)), []);
});
