import test from "ava";
import { runFacts } from "../../report/run-record.ts";
import { citation } from "../../spec/lab-hashes.ts";
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
					vm: {
						...domain,
						acceleration: "tcg",
						builds: ["image-main", "kernel-main", "qemu-main"],
						modules: { mymodule: "77aa" },
					},
					b: { libvirtName: "lab-b", pid: 1, emulator: "/q/bin/qemu", modules: {} },
				},
				layers: [{ ...layer, layer: "qemu" }],
				lab: {
					stack: "1a".repeat(32),
					lock: "0f".repeat(32),
					tracelab: "2b".repeat(32),
					builds: { "kernel-main": "4d".repeat(32), "qemu-main": null },
				},
				commit: "9c010146f0aa, edited",
				cli: "7c".repeat(32),
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
			lab: [
				["stack", "1a".repeat(32)],
				["lock", "0f".repeat(32)],
				["tracelab", "2b".repeat(32)],
				["kernel-main", "4d".repeat(32)],
				["qemu-main", "not known"],
			],
			host: [
				["tracelab", "0.1.0, commit 9c010146f0aa, edited"],
				["its cli/", "7c".repeat(32)],
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
						["made of", "image-main, kernel-main, qemu-main"],
						["acceleration", "tcg"],
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

test("a record that says nothing of its lab, of a commit or of the host's kernel has no rows of them", (t) => {
	const { lab, host } = runFacts(runRecord());
	t.deepEqual(lab, []);
	t.deepEqual(host, [
		["tracelab", "0.1.0"],
		["LTTng", "2.13.9"],
	]);
});

test("a guest whose kernel ftrace recorded has that as its tracer", (t) => {
	const guest = { layer: "guest", domain: "b", path: "guest/b", events: {}, total: 0, discarded: 0, lostPackets: 0 };
	const domain = { libvirtName: "lab-b", pid: 1, emulator: "/q/bin/qemu", modules: {} };
	const layers = [{ ...guest, layer: "guest", tracer: "ftrace", bytes: 7 } as const];
	const { domains } = runFacts(runRecord({ domains: { b: domain }, layers }));
	t.deepEqual(domains[0]?.facts.at(-1), ["tracer of the guest's kernel", "ftrace"]);
});

test("a host whose kernel ftrace recorded has that as its tracer", (t) => {
	const host = { layer: "host", path: "host", events: {}, total: 0, discarded: 0, lostPackets: 0, bytes: 7 } as const;
	const facts = runFacts(runRecord({ layers: [{ ...host, tracer: "ftrace" }] })).host;
	t.deepEqual(facts.at(-1), ["tracer of the host's kernel", "ftrace"]);
	t.false(runFacts(runRecord({ layers: [host] })).host.some(([name]) => name.startsWith("tracer")));
});

test("a run in a lab whose builds are all known has the line by which that is cited", (t) => {
	const lab = { stack: "1a".repeat(32), tracelab: "2b".repeat(32), builds: { "qemu-main": "5e".repeat(32) } };
	t.deepEqual(runFacts(runRecord({ lab })).lab[0], ["to cite", citation("quickstart", lab) ?? ""]);
});
