import test, { type ExecutionContext } from "ava";
import { FakeGuest } from "../fake-guest.ts";
import { card, patient, ScratchLab } from "../scratch-lab.ts";

test.beforeEach(patient);

const seen = {
	signature: "TCGTCGTCGTCG",
	hypervisorFlag: "true",
	kernelDetects: "none",
	detectVirt: "qemu",
	dmiVendor: "QEMU",
	dmiProduct: "Standard PC (i440FX + PIIX, 1996) a=b",
	clocksource: "tsc",
};

/** A lab whose guest says these facts, and must have some. */
async function there(t: ExecutionContext, expected: Record<string, string>, program?: string) {
	const lab = await ScratchLab.for(t);
	const { vm } = card.domains;
	lab.up({ ...card, domains: { vm: { ...vm, hypervisor: { facts: {}, expected } } } });
	const guest = await FakeGuest.on(lab);
	t.teardown(() => guest.close());
	const says = Object.entries(seen).map(([name, value]) => `echo '${name}=${value}'`);
	if (program !== "") lab.write("lab/bin/hypervisor-facts", `#!/bin/sh\n${program ?? says.join("\n")}\n`, 0o755);
	return { lab, guest };
}

test.serial("facts as they are now, beside what is expected", async (t) => {
	const { lab } = await there(t, { signature: "TCGTCGTCGTCG", hypervisorFlag: "true" });
	const { code, stdout, stderr } = await lab.lab(["facts", "vm"]);
	t.deepEqual([code, stderr], [0, ""]);
	t.deepEqual(
		stdout.split("\n").map((line) => line.split(/ {2,}/)),
		[
			["FACT", "SEEN IN THE GUEST", "EXPECTED"],
			["signature", "TCGTCGTCGTCG", "TCGTCGTCGTCG"],
			["hypervisorFlag", "true", "true"],
			["kernelDetects", "none"],
			["detectVirt", "qemu"],
			["dmiVendor", "QEMU"],
			["dmiProduct", "Standard PC (i440FX + PIIX, 1996) a=b"],
			["clocksource", "tsc"],
		],
	);
});

test.serial("a fact that differs is said, and is the exit status", async (t) => {
	const { lab } = await there(t, { signature: "none", clocksource: "tsc" });
	const { code, stderr } = await lab.lab(["facts", "vm"]);
	t.deepEqual([code, stderr], [1, "lab: vm: signature is TCGTCGTCGTCG, and none is expected"]);
});

test.serial("what the kernel's log does not say any more is not compared, which is said", async (t) => {
	const says = Object.entries({ ...seen, kernelDetects: "unknown" }).map(([name, value]) => `echo '${name}=${value}'`);
	const { lab } = await there(t, { kernelDetects: "none" }, says.join("\n"));
	const { code, stdout, stderr } = await lab.lab(["facts", "vm"]);
	t.deepEqual([code, stderr], [0, ""]);
	t.regex(stdout, /^kernelDetects {3}unknown \(the start of its dmesg was overwritten\) +none$/m);
});

test.serial("facts as JSON", async (t) => {
	const { lab } = await there(t, { detectVirt: "kvm" });
	const { code, stdout } = await lab.lab(["facts", "vm", "--json"]);
	t.is(code, 1);
	// How it is run is expected as well.
	const expected = { signature: "TCGTCGTCGTCG", hypervisorFlag: "true", detectVirt: "kvm" };
	t.deepEqual(JSON.parse(stdout), { domain: "vm", facts: seen, expected, differing: ["detectVirt"] });
});

test.serial("a guest that was not shown the program says so", async (t) => {
	const { lab } = await there(t, {}, "");
	t.deepEqual(await lab.lab(["facts", "vm"]), {
		code: 1,
		stdout: "",
		stderr: 'lab: "vm" has no /lab/bin/hypervisor-facts\n  what to do: ./lab up builds it and shows it to the guest',
	});
});

test.serial("a program that fails is an error with what it said", async (t) => {
	const { lab } = await there(t, {}, "echo 'hypervisor-facts: no log' >&2; exit 1");
	t.deepEqual(await lab.lab(["facts", "vm"]), {
		code: 1,
		stdout: "",
		stderr:
			'lab: /lab/bin/hypervisor-facts in "vm": hypervisor-facts: no log\n  what to do: run it by hand: ./lab exec vm -- /lab/bin/hypervisor-facts',
	});
});

test.serial("a paused guest cannot be asked", async (t) => {
	const { lab, guest } = await there(t, {});
	guest.state = "paused";
	const { code, stderr } = await lab.lab(["facts", "vm"]);
	t.is(code, 1);
	t.regex(stderr, /^lab: domain "vm" is paused\n/);
});
