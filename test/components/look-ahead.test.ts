import test from "ava";
import { Lab } from "../../components/lab.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { type Found, type Run, run } from "./mocks.ts";
import { withoutKvm } from "./samples.ts";
import { word } from "./step-text.ts";

const stack = loadStack("quickstart");
const runLab = (found?: (step: string) => Found): Promise<Run<Lab>> =>
	run({ stack: stack.name, ...(found === undefined ? {} : { found }) }, () => {
		return new Lab(stack.name, { stack, facts: withoutKvm });
	});

/** The stamps that a first up leaves on the host. */
const stamps = new Map(
	(await runLab()).resources.map(({ name, inputs }) => [name, word(String(inputs["stdin"] ?? ""), "generation") ?? ""]),
);
const asStamped = (step: string): Found => ({ drift: "", stamp: stamps.get(step) ?? "" });
const steps = [...stamps.keys()].filter((name) => stamps.get(name) !== "").sort();

/** Steps by how often they were looked at. */
function looks({ events }: Run<Lab>): Record<string, number> {
	const counted = steps.map((step) => [step, events.filter((event) => event === `look at ${step}`).length] as const);
	return Object.fromEntries(counted);
}

const times = (count: number, names: string[]) => Object.fromEntries(names.map((name) => [name, count]));

/** The steps are as stamped, but one has drifted: which are looked at again? */
const drifted = test.macro(async (t, step: string, again: string[]) => {
	const found = (name: string) => (name === step ? { ...asStamped(name), drift: "gone" } : asStamped(name));
	const up = await runLab(found);
	t.deepEqual(looks(up), { ...times(1, steps), ...times(2, again) });
	for (const name of again) t.true(up.events.indexOf(`make ${step}`) < up.events.lastIndexOf(`look at ${name}`), name);
});

test.serial("a lab as wanted is looked at once, ahead of all that takes its turn", async (t) => {
	const up = await runLab(asStamped);
	t.deepEqual(looks(up), times(1, steps));
	const first = up.events.indexOf("make host-packages");
	const late = steps.filter((step) => up.events.indexOf(`look at ${step}`) > first);
	// Of a domain's guest, of its facts, of the card and of the pool, something is an output.
	t.deepEqual(late, ["domain-vm-guest", "domain-vm-hypervisor-facts", "quickstart-card", "quickstart-pool-active"]);
});

test.serial("a lab as wanted keeps all generations, whichever look decided", async (t) => {
	const { resources } = await runLab(asStamped);
	for (const { name, inputs } of resources) {
		if (stamps.get(name) !== "") t.is(word(String(inputs["stdin"]), "generation"), stamps.get(name), name);
	}
});

test.serial("what a first step drifted under is looked at again, in turn", drifted, "host-packages", [
	...steps.filter(
		(step) => !["host-packages", "domain-vm-guest", "quickstart-card", "quickstart-pool-active"].includes(step),
	),
]);
test.serial("a libvirtd that is down has its guests looked into again", drifted, "libvirt-daemon", [
	"domain-vm-hypervisor-facts",
	"domain-vm-module-load",
]);
test.serial("a build that is gone has what uses it looked at again", drifted, "module-mymodule-build", [
	"domain-vm-hypervisor-facts",
	"domain-vm-module-load",
	"domain-vm-share",
]);
test.serial("a guest that is stopped is looked into again", drifted, "domain-vm-guest", [
	"domain-vm-hypervisor-facts",
	"domain-vm-module-load",
]);
test.serial("a card that is gone has nothing looked at again", drifted, "quickstart-card", []);

test.serial("inputs that changed count as a change, though the host is as it was stamped", async (t) => {
	const { vm } = stack.domains;
	if (vm === undefined) throw new Error("quickstart has no vm");
	const other = { ...stack, domains: { vm: { ...vm, gdb: { ...vm.gdb, paused: true } } } };
	const up = await run({ stack: stack.name, found: asStamped }, () => {
		return new Lab(stack.name, { stack: other, facts: withoutKvm });
	});
	t.deepEqual(looks(up), { ...times(1, steps), ...times(2, ["domain-vm-hypervisor-facts", "domain-vm-module-load"]) });
});

test.serial("a look ahead that cannot be taken is taken in turn", async (t) => {
	const looked = new Set<string>();
	const up = await runLab((step) => {
		const early = step === "host-kvm" && !looked.has(step);
		looked.add(step);
		if (early) throw new Error("stat is not installed");
		return asStamped(step);
	});
	t.deepEqual(looks(up), { ...times(1, steps), "host-kvm": 2 });
});
