import test from "ava";
import { Host } from "../../components/host.ts";
import { TracingGroup } from "../../components/tracing-group.ts";
import { isStep } from "./assert-step.ts";
import { listed, resource, run } from "./mocks.ts";
import { withKvm } from "./samples.ts";

test.serial("a tracing group is one membership, whose step is given nothing", async (t) => {
	const up = await run({}, () => new TracingGroup("tracing-group"));
	t.deepEqual(listed(up), ["tracelab:lab:TracingGroup tracing-group", "command:local:Command tracing-group-member"]);
	isStep(t, up, "tracing-group-member", { script: "tracing-group", inputs: {} });
	t.is(resource(up, "tracing-group-member").parent, "tracing-group");
});

test.serial("the membership waits for what its component waits for: the packages make the group", async (t) => {
	const up = await run({ facts: withKvm }, () => {
		const host = new Host("host", { packages: [] });
		return new TracingGroup("tracing-group", { dependsOn: [host] });
	});
	t.deepEqual(resource(up, "tracing-group-member").dependsOn, ["host-kvm", "host-packages"]);
	t.true(up.events.indexOf("make host-packages") < up.events.lastIndexOf("look at tracing-group-member"));
});
