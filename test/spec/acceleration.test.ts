import test from "ava";
import { AccelerationError, accelerationLines, decideAcceleration } from "../../spec/acceleration.ts";

const decides = test.macro({
	title: (_, wish: "auto" | "kvm" | "tcg", has: string) => `${wish} on a host with ${has}`,
	exec(t, wish: "auto" | "kvm" | "tcg", has: string, kind: string, reason: string) {
		t.deepEqual(decideAcceleration(wish, facts(has)), { kind: kind as "kvm" | "tcg", reason });
	},
});

function facts(has: string) {
	return {
		kvm: has.includes("device"),
		virtualization: has.includes("vmx") ? ("vmx" as const) : has.includes("svm") ? ("svm" as const) : ("" as const),
		hypervisor: has.includes("hypervisor"),
	};
}

test(decides, "auto", "device and vmx", "kvm", "the host has /dev/kvm and the processor shows vmx");
test(decides, "auto", "device and svm", "kvm", "the host has /dev/kvm and the processor shows svm");
test(decides, "auto", "device only", "tcg", "the processor shows neither vmx nor svm, so /dev/kvm proves nothing");
test(decides, "auto", "vmx only", "tcg", "there is no /dev/kvm");
test(decides, "auto", "neither", "tcg", "there is no /dev/kvm and the processor shows neither vmx nor svm");
test(decides, "tcg", "device and vmx", "tcg", "the stack file asks for it");
test(decides, "kvm", "device and vmx", "kvm", "the stack file asks for it");

const refuses = test.macro({
	title: (_, has: string) => `kvm is refused on a host with ${has}`,
	exec(t, has: string, why: string, todo: string) {
		const error = t.throws(() => decideAcceleration("kvm", facts(has)), { instanceOf: AccelerationError });
		const what = "acceleration: kvm cannot work on this host";
		t.is(error?.message, `${what}: ${why}\n  what to do: ${todo}, or write acceleration: auto`);
	},
});

test(refuses, "vmx only", "there is no /dev/kvm", "load the module (modprobe kvm_intel)");
test(refuses, "svm only", "there is no /dev/kvm", "load the module (modprobe kvm_amd)");
test(
	refuses,
	"device and hypervisor",
	"the processor shows neither vmx nor svm, so /dev/kvm proves nothing",
	"turn on nested virtualization for this virtual machine on the host that runs it",
);
test(
	refuses,
	"nothing",
	"there is no /dev/kvm and the processor shows neither vmx nor svm",
	"turn on virtualization in the firmware's settings",
);

test("what domains run by is said once for those that have the same reason, in order of their names", (t) => {
	const emulated = { kind: "tcg", reason: "there is no /dev/kvm" } as const;
	const asked = { kind: "tcg", reason: "the stack file asks for it" } as const;
	t.deepEqual(accelerationLines({ vm: emulated, slow: asked, other: emulated }), [
		"acceleration of other, vm is tcg: there is no /dev/kvm",
		"acceleration of slow is tcg: the stack file asks for it",
	]);
	t.deepEqual(accelerationLines({}), []);
});
