import test from "ava";
import { runFacts } from "../../report/run-record.ts";

test("a run's record becomes what a page shows", (t) => {
	t.deepEqual(
		runFacts({
			profile: "block-io",
			command: ["sh", "-c", "dd if=/dev/vda of=/dev/null; echo 'done'"],
			exitStatus: 3,
			started: "2026-11-25T11:35:56.000Z",
			ended: "2026-11-25T11:35:59.250Z",
			notes: ["the host has no tracefs"],
			domains: {
				vm: { pid: 32220, kernel: "8f3c", modules: { mymodule: "77aa" }, cpu: { flagNames: ["a", "b"] }, reason: null },
			},
			layers: [{ layer: "qemu", domain: "vm", discarded: 2, lostPackets: 0, bytes: 7, counts: { x: 1 } }],
			more: "that is not shown",
		}),
		{
			profile: "block-io",
			command: String.raw`sh -c 'dd if=/dev/vda of=/dev/null; echo '\''done'\'''`,
			exitStatus: 3,
			started: "2026-11-25T11:35:56.000Z",
			seconds: 3.25,
			notes: ["the host has no tracefs"],
			domains: [
				{
					name: "vm",
					facts: [
						["pid", "32220"],
						["kernel's build-id", "8f3c"],
						["build-id of mymodule", "77aa"],
						["cpu flag names", "a, b"],
						["reason", "none"],
					],
				},
			],
			layers: [{ layer: "qemu", domain: "vm", discarded: 2, lostPackets: 0, bytes: 7 }],
		},
	);
});

test("a record that says nothing is one, and one of another shape is refused", (t) => {
	t.deepEqual(runFacts({}).layers, []);
	t.throws(() => runFacts({ layers: [{ layer: "disk" }] }), { name: "ZodError" });
});
