import test from "ava";
import { checkSignature, expectedFacts, factNames, hypervisorOptions } from "../../spec/hypervisor.ts";
import { stackFileSchema } from "../../spec/schema.ts";

const shown = { hidden: false };
const hidden = { hidden: true };
const unwritten = "To be filled by O.E.M.";

test("a guest of which nothing is said is left as it is, and may be as it is", (t) => {
	t.deepEqual(hypervisorOptions(shown), []);
	t.deepEqual(expectedFacts({ hypervisor: shown, expect: {} }), {});
});

test("a hidden one has no flag, no signature of KVM or the emulator, and firmware that does not say QEMU", (t) => {
	t.deepEqual(hypervisorOptions(hidden), [
		...["-global", "x86_64-cpu.hypervisor=off"],
		...["-global", "x86_64-cpu.tcg-cpuid=off"],
		...["-global", "x86_64-cpu.kvm=off"],
		...["-smbios", `type=1,manufacturer=${unwritten},product=${unwritten},version=${unwritten}`],
		...["-smbios", `type=3,manufacturer=${unwritten},version=${unwritten}`],
	]);
});

test("what is hidden must be so inside", (t) => {
	t.deepEqual(expectedFacts({ hypervisor: hidden, expect: {} }), {
		signature: "none",
		hypervisorFlag: "false",
		kernelDetects: "none",
		detectVirt: "none",
	});
});

test("what is changed must be so inside, and a comma in it stays one", (t) => {
	const hypervisor = { hidden: false, signature: "Microsoft Hv", dmiVendor: "Acme, Inc.", dmiProduct: "Box" };
	t.deepEqual(hypervisorOptions(hypervisor), [
		...["-global", "x86_64-cpu.hv-relaxed=on", "-global", "x86_64-cpu.hv-vendor-id=Microsoft Hv"],
		...["-smbios", "type=1,manufacturer=Acme,, Inc.,product=Box"],
	]);
	t.deepEqual(expectedFacts({ hypervisor, expect: {} }), {
		signature: "Microsoft Hv",
		dmiVendor: "Acme, Inc.",
		dmiProduct: "Box",
	});
});

test("a hidden one can have a vendor of its own", (t) => {
	t.deepEqual(
		hypervisorOptions({ hidden: true, dmiVendor: "Acme" }).at(-3),
		`type=1,manufacturer=Acme,product=${unwritten},version=${unwritten}`,
	);
});

test("what the stack file expects wins, and no is an expectation", (t) => {
	const expect = { hypervisorFlag: false, detectVirt: "vm-other", clocksource: "tsc" };
	t.deepEqual(expectedFacts({ hypervisor: hidden, expect }), {
		signature: "none",
		hypervisorFlag: "false",
		kernelDetects: "none",
		detectVirt: "vm-other",
		clocksource: "tsc",
	});
	t.deepEqual(expectedFacts({ hypervisor: shown, expect: { hypervisorFlag: false } }), { hypervisorFlag: "false" });
});

test("a signature of one's own is for KVM", (t) => {
	const hypervisor = { hidden: false, signature: "Microsoft Hv" };
	t.notThrows(() => checkSignature("vm", hypervisor, { kind: "kvm", reason: "" }));
	t.notThrows(() => checkSignature("vm", hidden, { kind: "tcg", reason: "" }));
	t.throws(() => checkSignature("vm", hypervisor, { kind: "tcg", reason: "" }), {
		name: "AccelerationError",
		message:
			'domain "vm" is emulated, and its signature cannot be "Microsoft Hv": QEMU\'s emulation knows its own, TCGTCGTCGTCG, or none\n  what to do: take hypervisor.signature out of the stack file, or write hidden: true for none; another signature needs KVM',
	});
});

test("a stack file can expect each fact, by the name that the guest gives it", (t) => {
	const { domains } = stackFileSchema.shape;
	t.deepEqual(Object.keys(domains.valueType.shape.expect.unwrap().shape), [...factNames]);
});
