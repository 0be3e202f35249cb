import test from "ava";
import { readOutlook } from "../../../cli/lab/changes.ts";
import { command, drifted, eventLog, planned } from "./event-log.ts";

const kernel = (digit: string) => `/opt/tracelab/kernel/${digit.repeat(16)}`;
const domain = "libvirt:index/domain:Domain";

test("a change is what happens to the new resource, with the build that it makes and made", async (t) => {
	const made = { made: kernel("b"), before: kernel("a") };
	const events = [
		planned("create", "tracelab-quickstart", { type: "pulumi:pulumi:Stack" }),
		planned("create", "kernel-main", { type: "tracelab:lab:DebugKernel" }),
		planned("create-replacement", "kernel-main-build", made),
		planned("replace", "kernel-main-build", made),
		planned("same", "image-main-build", { made: kernel("c"), before: kernel("c") }),
		planned("delete-replaced", "domain-vm-domain", { type: domain }),
		planned("replace", "domain-vm-domain", { type: domain }),
		planned("create-replacement", "domain-vm-domain", { type: domain }),
		planned("delete-replaced", "kernel-main-build", made),
		planned("delete", "module-old-build", { before: kernel("d") }),
	];
	const none = { drift: "", prefix: undefined, previous: undefined };
	t.deepEqual(await readOutlook(eventLog(t, events)), {
		changes: [
			{
				...none,
				name: "kernel-main-build",
				type: command,
				what: "replace",
				prefix: kernel("b"),
				previous: kernel("a"),
			},
			{ ...none, name: "domain-vm-domain", type: domain, what: "replace" },
			{ ...none, name: "module-old-build", type: command, what: "delete", previous: kernel("d") },
		],
		errors: [],
	});
});

test("a drift goes with the change that mends it, whichever of the two is told first", async (t) => {
	const events = [
		planned("update", "host-kvm"),
		drifted("host-kvm", "/dev/kvm is closed"),
		drifted("tracing-group-member", "libvirt-qemu is not in group tracing"),
		planned("update", "tracing-group-member"),
		{ timestamp: 1, diagnosticEvent: { message: "drift: of nobody", severity: "warning" } },
	];
	const { changes } = await readOutlook(eventLog(t, events));
	t.deepEqual(
		changes.map(({ name, drift }) => [name, drift]),
		[
			["host-kvm", "/dev/kvm is closed"],
			["tracing-group-member", "libvirt-qemu is not in group tracing"],
		],
	);
});

test("what stopped a preview is told", async (t) => {
	const events = [{ timestamp: 1, diagnosticEvent: { message: "stacks/x.yaml:3: no such key\n", severity: "error" } }];
	t.deepEqual(await readOutlook(eventLog(t, events)), { changes: [], errors: ["stacks/x.yaml:3: no such key"] });
});

test("a prefix is read from the step's inputs alone", async (t) => {
	const inputs = { stdin: "text='\nthe prefix=/opt/tracelab/kernel/0'\n", other: 7 };
	const event = planned("update", "card");
	const metadata = { ...event.resourcePreEvent.metadata, new: { inputs }, old: { inputs: { stdin: 7 } } };
	const { changes } = await readOutlook(eventLog(t, [{ timestamp: 1, resourcePreEvent: { metadata } }]));
	t.is(changes[0]?.prefix, undefined);
});
