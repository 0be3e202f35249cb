import * as pulumi from "@pulumi/pulumi";
import test from "ava";
import { Host } from "../../components/host.ts";
import type { AccelerationWish } from "../../spec/acceleration.ts";
import type { HostFacts } from "../../spec/host-facts.ts";
import { isStep } from "./assert-step.ts";
import { failure, listed, resource, run, settled } from "./mocks.ts";
import { withKvm, withoutKvm } from "./samples.ts";

const host = (facts: HostFacts) => run({ facts }, () => new Host("host", { packages: ["xsltproc", "gdb"] }));

test.serial("a host is its packages and its /dev/kvm, nothing else", async (t) => {
	const up = await host(withKvm);
	t.deepEqual(listed(up), [
		"tracelab:lab:Host host",
		"command:local:Command host-kvm",
		"command:local:Command host-packages",
	]);
	t.deepEqual(resource(up, "host"), {
		type: "tracelab:lab:Host",
		name: "host",
		inputs: {},
		parent: "",
		dependsOn: [],
		provider: "",
		deleteBeforeReplace: false,
		ignoreChanges: [],
	});
	for (const name of ["host-kvm", "host-packages"]) t.is(resource(up, name).parent, "host");
});

test.serial("packages reach their step sorted, and /dev/kvm's step is given nothing", async (t) => {
	const up = await host(withKvm);
	isStep(t, up, "host-packages", { script: "host-packages", inputs: { packages: ["gdb", "xsltproc"] } });
	isStep(t, up, "host-kvm", { script: "kvm-access", inputs: {} });
});

test.serial("/dev/kvm is looked at once the packages, and with them its group, are there", async (t) => {
	const up = await host(withKvm);
	t.deepEqual(resource(up, "host-packages").dependsOn, []);
	t.deepEqual(resource(up, "host-kvm").dependsOn, ["host-packages"]);
	const at = (event: string) => up.events.indexOf(event);
	t.true(at("look at host-packages") >= 0);
	t.true(at("make host-packages") < at("look at host-kvm"));
});

test.serial("facts are what the host says of itself, asked once", async (t) => {
	const up = await host(withoutKvm);
	t.deepEqual(await settled(up.made.facts), withoutKvm);
	t.is(up.events.filter((event) => event === "look at the host").length, 1);
});

const decided = test.macro({
	title: (_, wish: AccelerationWish, where: string) => `acceleration: ${wish} is decided ${where}`,
	async exec(t, wish: AccelerationWish, _where: string, facts: HostFacts, kind: "kvm" | "tcg", reason: string) {
		const up = await host(facts);
		t.deepEqual(await settled(up.made.acceleration(wish)), { kind, reason });
	},
});

const shown = "the host has /dev/kvm and the processor shows vmx";
const obstacle = "there is no /dev/kvm and the processor shows neither vmx nor svm";
const asked = "the stack file asks for it";
test.serial(decided, "auto", "for kvm where it can work", withKvm, "kvm", shown);
test.serial(decided, "auto", "against kvm where it cannot work", withoutKvm, "tcg", obstacle);
test.serial(decided, "kvm", "as asked where it can work", withKvm, "kvm", asked);
test.serial(decided, "tcg", "as asked even where kvm can work", withKvm, "tcg", asked);

test.serial("acceleration: kvm is an error where it cannot work, and never falls back", async (t) => {
	const up = await host(withoutKvm);
	const error = await failure(up.made.acceleration("kvm"));
	t.true(pulumi.RunError.isInstance(error));
	t.is(
		error instanceof Error ? error.message : "",
		`acceleration: kvm cannot work on this host: ${obstacle}\n  what to do: turn on nested virtualization for this virtual machine on the host that runs it, or write acceleration: auto`,
	);
});
