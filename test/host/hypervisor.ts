import test from "ava";
import { copy, domainCard, hidden, lab, stack } from "./proof.ts";

interface Seen {
	facts: Record<string, string>;
	expected: Record<string, string>;
	differing: string[];
}

const seen = async (name: string): Promise<Seen> =>
	JSON.parse((await copy.lab("-s", name, "facts", "vm", "--json")).stdout);

/** What a command in the guest of that stack prints, whatever its exit status says. */
const inside = async (name: string, script: string): Promise<string> =>
	(await copy.lab("-s", name, "exec", "vm", "--", "sh", "-c", script)).stdout;

test("a guest sees its hypervisor as CPUID, the kernel, systemd and the firmware show it, and the card has it", async (t) => {
	const { kind } = domainCard().acceleration;
	const { facts } = await seen(stack);
	t.log(facts);
	const kvm = { signature: "KVMKVMKVM", kernelDetects: "KVM", detectVirt: "kvm" };
	const tcg = { signature: "TCGTCGTCGTCG", kernelDetects: "none", detectVirt: "qemu" };
	t.like(facts, { ...(kind === "kvm" ? kvm : tcg), hypervisorFlag: "true", dmiVendor: "QEMU" });
	t.is(facts["detectVirt"], await inside(stack, "systemd-detect-virt --vm"));
	t.is(facts["dmiProduct"], await inside(stack, "cat /sys/class/dmi/id/product_name"));
	t.is(await inside(stack, "grep -c '^flags.* hypervisor' /proc/cpuinfo"), await inside(stack, "nproc"));
	const { clocksource: _, ...lasting } = facts;
	t.like(domainCard().hypervisor, { facts: lasting, expected: {} });
	t.regex((await lab("facts", "vm")).stdout, /^FACT +SEEN IN THE GUEST +EXPECTED\nsignature +((?:KVM|TCG){3,4}) +\1\n/);
});

/** Brings up the hidden one, its facts expected to be so. */
function up(expect: string) {
	copy.write(
		`stacks/${hidden}.yaml`,
		`extends: quickstart
domains:
  vm:
    processName: ${hidden}
    memory: 512
    kernelArguments: [clocksource=acpi_pm]
    hypervisor: { hidden: true, dmiVendor: "Acme, Inc." }
    expect: { ${expect} }
`,
	);
	return copy.lab("-s", hidden, "up");
}

test("a guest that does not see what its stack file expects is an error with both", async (t) => {
	const { code, all } = await up("detectVirt: vmware, signature: none");
	t.not(code, 0);
	t.regex(all, /hypervisor-facts: detectVirt in proof-hidden-vm is none, and vmware is expected$/m);
	t.regex(all, /what to do: mend hypervisor: or expect: of domain vm in the stack file$/m);
	const mended = await up("clocksource: acpi_pm");
	t.is(mended.code, 0, mended.all);
	const again = await copy.lab("-s", hidden, "preview", "--", "--expect-no-changes");
	t.is(again.code, 0, again.all);
});

test("a hidden hypervisor is hidden from inside", async (t) => {
	const { facts, expected, differing } = await seen(hidden);
	t.log(facts);
	t.deepEqual(expected, {
		signature: "none",
		hypervisorFlag: "false",
		kernelDetects: "none",
		detectVirt: "none",
		dmiVendor: "Acme, Inc.",
		clocksource: "acpi_pm",
	});
	t.deepEqual(differing, []);
	t.is(await inside(hidden, "systemd-detect-virt"), "none");
	t.is(await inside(hidden, "grep -c '^flags.* hypervisor' /proc/cpuinfo"), "0");
	t.is(await inside(hidden, "cat /sys/class/dmi/id/sys_vendor"), "Acme, Inc.");
	t.is(await inside(hidden, "grep -ls QEMU /sys/class/dmi/id/*"), "");
});

test("a clocksource that is changed by hand is drift, which names both", async (t) => {
	const change = (name: string) =>
		inside(hidden, `echo ${name} >/sys/devices/system/clocksource/clocksource0/current_clocksource`);
	await change("hpet");
	const { all } = await copy.lab("-s", hidden, "preview");
	t.regex(all, /drift: clocksource in proof-hidden-vm is hpet, and acpi_pm is expected/);
	const facts = await copy.lab("-s", hidden, "facts", "vm");
	t.is(facts.code, 1);
	t.is(facts.stderr, "lab: vm: clocksource is hpet, and acpi_pm is expected");
	await change("acpi_pm");
	const again = await copy.lab("-s", hidden, "preview", "--", "--expect-no-changes");
	t.is(again.code, 0, again.all);
	const { code, all: gone } = await copy.lab("-s", hidden, "destroy", "--yes");
	t.is(code, 0, gone);
});
