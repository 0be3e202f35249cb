import test from "ava";
import { Host, lookAtHost } from "../../components/host.ts";
import { isStep } from "./assert-step.ts";
import { listed, resource, run } from "./mocks.ts";
import { withoutKvm } from "./samples.ts";

const host = () => run({}, () => new Host("host", { packages: ["xsltproc", "gdb"] }));

test.serial("a host is its packages and its /dev/kvm, nothing else", async (t) => {
	const up = await host();
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
		replaceOnChanges: [],
	});
	for (const name of ["host-kvm", "host-packages"]) t.is(resource(up, name).parent, "host");
});

test.serial("packages reach their step sorted, and /dev/kvm's step is given nothing", async (t) => {
	const up = await host();
	isStep(t, up, "host-packages", { script: "host-packages", inputs: { packages: ["gdb", "xsltproc"] } });
	isStep(t, up, "host-kvm", { script: "kvm-access", inputs: {} });
});

test.serial("/dev/kvm is looked at once the packages, and with them its group, are there", async (t) => {
	const up = await host();
	t.deepEqual(resource(up, "host-packages").dependsOn, []);
	t.deepEqual(resource(up, "host-kvm").dependsOn, ["host-packages"]);
	const at = (event: string) => up.events.lastIndexOf(event);
	t.true(at("look at host-packages") >= 0);
	t.true(at("make host-packages") < at("look at host-kvm"));
});

test.serial("facts are what the host says of itself", async (t) => {
	const up = await run({ facts: withoutKvm }, () => lookAtHost([]));
	t.deepEqual(await up.made, withoutKvm);
	t.deepEqual(up.events, ["look at the host"]);
});
