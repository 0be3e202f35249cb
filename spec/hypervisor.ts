import { type Acceleration, AccelerationError } from "./acceleration.ts";
import { quote } from "./quote.ts";
import type { DomainSpec } from "./schema.ts";

/**
 * What a guest can tell by that it is one, by the names that guest/hypervisor-facts.c prints and that `expect` in a
 * stack file has, in the order in which they are shown.
 */
export const factNames = [
	"signature",
	"hypervisorFlag",
	"kernelDetects",
	"detectVirt",
	"dmiVendor",
	"dmiProduct",
	"clocksource",
] as const;

/** Where there is no such thing in a guest. */
const none = "none";

/** What boards have whose makers wrote nothing into them. */
const unwritten = "To be filled by O.E.M.";

/**
 * What a guest's facts must be: what the stack file expects, and, where it says nothing else, that what it hides is
 * hidden and what it changes is changed.
 */
export function expectedFacts({
	hypervisor,
	expect,
}: Pick<DomainSpec, "hypervisor" | "expect">): Record<string, string> {
	const hidden = { signature: none, hypervisorFlag: "false", kernelDetects: none, detectVirt: none };
	const { signature, dmiVendor, dmiProduct } = hypervisor;
	const wanted: Readonly<Record<string, string | boolean | undefined>> = {
		...(hypervisor.hidden ? hidden : {}),
		...given({ signature, dmiVendor, dmiProduct }),
		...given(expect),
	};
	return Object.fromEntries(
		factNames.flatMap((name) => (wanted[name] === undefined ? [] : [[name, String(wanted[name])]])),
	);
}

function given<T extends object>(values: T): Partial<T> {
	return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/**
 * Options of QEMU that change what the guest sees. They are properties of every processor, so that they hold whichever
 * model libvirt chooses; libvirt has no word for the one that hides the emulator's own signature (tcg-cpuid).
 */
export function hypervisorOptions({ hidden, signature, dmiVendor, dmiProduct }: DomainSpec["hypervisor"]): string[] {
	const processor = [
		...(hidden ? ["hypervisor=off", "tcg-cpuid=off", "kvm=off"] : []),
		// QEMU takes a name only together with one of Hyper-V's enlightenments; this one changes least.
		...(signature === undefined ? [] : ["hv-relaxed=on", `hv-vendor-id=${signature}`]),
	].flatMap((property) => ["-global", `x86_64-cpu.${property}`]);
	const vendor = dmiVendor ?? (hidden ? unwritten : undefined);
	const product = dmiProduct ?? (hidden ? unwritten : undefined);
	const firmware = [
		...(vendor === undefined ? [] : [`manufacturer=${optionValue(vendor)}`]),
		...(product === undefined ? [] : [`product=${optionValue(product)}`]),
		...(hidden ? [`version=${unwritten}`] : []),
	];
	const system = firmware.length === 0 ? [] : ["-smbios", ["type=1", ...firmware].join(",")];
	// The box that the machine is in says QEMU, too.
	const chassis = hidden ? ["-smbios", `type=3,manufacturer=${unwritten},version=${unwritten}`] : [];
	return [...processor, ...system, ...chassis];
}

/** @throws AccelerationError for a signature that an emulated guest cannot be given */
export function checkSignature(name: string, { signature }: DomainSpec["hypervisor"], { kind }: Acceleration): void {
	if (signature === undefined || kind === "kvm") return;
	throw new AccelerationError(
		`domain ${quote(name)} is emulated, and its signature cannot be ${quote(signature)}: QEMU's emulation knows its own, TCGTCGTCGTCG, or none\n  what to do: take hypervisor.signature out of the stack file, or write hidden: true for none; another signature needs KVM`,
	);
}

/** A value within a QEMU option: a comma ends it unless doubled. */
export function optionValue(value: string): string {
	return value.replaceAll(",", ",,");
}
