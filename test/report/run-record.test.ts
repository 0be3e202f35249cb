import test from "ava";
import { runFacts } from "../../report/run-record.ts";
import { runRecord } from "../spec/run-record.ts";

test("a run's record becomes what a page shows", (t) => {
	const layer = { layer: "qemu", path: "qemu", events: { x: 1 }, total: 1, discarded: 2, lostPackets: 0, bytes: 7 };
	const domain = { libvirtName: "lab-vm", pid: 32220, emulator: "/q/bin/qemu", kernel: "8f3c" };
	t.deepEqual(
		runFacts(
			runRecord({
				command: ["sh", "-c", "dd if=/dev/vda of=/dev/null; echo 'done'"],
				exitStatus: 3,
				notes: ["the host has no tracefs"],
				domains: {
					vm: { ...domain, modules: { mymodule: "77aa" } },
					b: { libvirtName: "lab-b", pid: 1, emulator: "/q/bin/qemu", modules: {} },
				},
				layers: [{ ...layer, layer: "qemu" }],
				commit: "9c010146f0aa, edited",
				hostKernel: "6.1.0-40-amd64",
				lttng: { host: "2.13.9", guests: { vm: "2.13.14" } },
			}),
		),
		{
			stack: "quickstart",
			run: "one",
			profile: "block-io",
			command: String.raw`sh -c 'dd if=/dev/vda of=/dev/null; echo '\''done'\'''`,
			exitStatus: 3,
			started: "2026-11-25T11:35:56.000Z",
			seconds: 3.25,
			notes: ["the host has no tracefs"],
			host: [
				["tracelab", "0.1.0, commit 9c010146f0aa, edited"],
				["LTTng", "2.13.9"],
				["kernel", "6.1.0-40-amd64"],
			],
			domains: [
				{
					name: "b",
					facts: [
						["libvirt's name", "lab-b"],
						["pid", "1"],
						["emulator", "/q/bin/qemu"],
					],
				},
				{
					name: "vm",
					facts: [
						["libvirt's name", "lab-vm"],
						["pid", "32220"],
						["emulator", "/q/bin/qemu"],
						["kernel's build-id", "8f3c"],
						["build-id of mymodule", "77aa"],
						["LTTng in the guest", "2.13.14"],
					],
				},
			],
			layers: [{ layer: "qemu", domain: undefined, discarded: 2, lostPackets: 0, bytes: 7, absent: undefined }],
		},
	);
});

test("of a run that still records, it is not known how long it lasts", (t) => {
	const { ended: _, ...recording } = runRecord({ monotonic: { started: "1" } });
	const { seconds, command, exitStatus } = runFacts(recording);
	t.deepEqual([seconds, command, exitStatus], [undefined, undefined, undefined]);
});

test("a record that says neither a commit nor a kernel of the host has no rows of them", (t) => {
	t.deepEqual(runFacts(runRecord()).host, [
		["tracelab", "0.1.0"],
		["LTTng", "2.13.9"],
	]);
});
