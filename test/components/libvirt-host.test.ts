import * as pulumi from "@pulumi/pulumi";
import test from "ava";
import { LibvirtHost } from "../../components/libvirt-host.ts";
import { TracingGroup } from "../../components/tracing-group.ts";
import { isStep } from "./assert-step.ts";
import { listed, resource, run } from "./mocks.ts";

const b = "/opt/tracelab/qemu/bbbbbbbbbbbbbbbb";
const a = "/opt/tracelab/qemu/aaaaaaaaaaaaaaaa";

test.serial("libvirt is one daemon and one provider", async (t) => {
	const up = await run({}, () => new LibvirtHost("libvirt", { emulators: [a] }));
	t.deepEqual(listed(up), [
		"tracelab:lab:LibvirtHost libvirt",
		"command:local:Command libvirt-daemon",
		"pulumi:providers:libvirt libvirt-provider",
	]);
	for (const name of ["libvirt-daemon", "libvirt-provider"]) t.is(resource(up, name).parent, "libvirt");
});

const emulators = test.macro({
	title: (_, what: string) => `the daemon's step gets ${what}, and that processes are to be named`,
	async exec(t, _what: string, given: readonly string[], expected: string[]) {
		const before = [...given];
		const up = await run({}, () => new LibvirtHost("libvirt", { emulators: given }));
		isStep(t, up, "libvirt-daemon", {
			script: "libvirt-host",
			inputs: { emulators: expected },
		});
		t.deepEqual(given, before);
	},
});

test.serial(emulators, "its emulators sorted", [b, a], [a, b]);
test.serial(emulators, "no emulators where there are none", [], []);

test.serial("the provider's address is the daemon's answer, so it connects to a libvirtd that runs", async (t) => {
	const up = await run({}, () => new LibvirtHost("libvirt", { emulators: [] }));
	const { inputs, dependsOn } = resource(up, "libvirt-provider");
	t.is(inputs["uri"], "qemu:///system");
	t.deepEqual(dependsOn, ["libvirt-daemon"]);
});

test.serial("in a preview the provider's address is unknown, since no libvirtd need run yet", async (t) => {
	const up = await run({ preview: true }, () => new LibvirtHost("libvirt", { emulators: [] }));
	t.deepEqual(resource(up, "libvirt-provider").inputs, { uri: pulumi.unknown });
});

test.serial("the daemon waits for what its component waits for: libvirtd must see the group", async (t) => {
	const up = await run({}, () => {
		const group = new TracingGroup("tracing-group");
		return new LibvirtHost("libvirt", { emulators: [] }, { dependsOn: [group] });
	});
	t.deepEqual(resource(up, "libvirt-daemon").dependsOn, ["tracing-group-member"]);
	t.true(up.events.indexOf("make tracing-group-member") < up.events.lastIndexOf("look at libvirt-daemon"));
});
