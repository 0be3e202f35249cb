import type { HostFacts } from "./host-facts.ts";

/** What a stack file may ask for. */
export type AccelerationWish = "auto" | "kvm" | "tcg";

/** What a domain gets, and why, in half a sentence. */
export interface Acceleration {
	kind: "kvm" | "tcg";
	reason: string;
}

/** The reason of a domain whose stack file says what it gets. */
export const askedFor = "the stack file asks for it";

export class AccelerationError extends Error {
	override readonly name = "AccelerationError";
}

/**
 * Decides how a domain runs. KVM needs /dev/kvm and a processor that shows vmx or svm: a /dev/kvm alone exists,
 * opens and even runs a small real-mode guest on hosts where an ordinary kernel then hangs after "Booting from ROM".
 * Who may open /dev/kvm is not asked: the lab sees to that.
 *
 * @throws AccelerationError where `kvm` is asked for and cannot work
 */
export function decideAcceleration(
	wish: AccelerationWish,
	facts: Pick<HostFacts, "kvm" | "virtualization" | "hypervisor">,
): Acceleration {
	if (wish === "tcg") return { kind: "tcg", reason: askedFor };
	const obstacle = obstacleToKvm(facts);
	if (wish === "kvm" && obstacle !== undefined) {
		throw new AccelerationError(
			`acceleration: kvm cannot work on this host: ${obstacle}\n  what to do: ${remedy(facts)}, or write acceleration: auto`,
		);
	}
	if (obstacle !== undefined) return { kind: "tcg", reason: obstacle };
	if (wish === "kvm") return { kind: "kvm", reason: askedFor };
	return { kind: "kvm", reason: `the host has /dev/kvm and the processor shows ${facts.virtualization}` };
}

/** What domains run by, and why, a line for each that is another; the domains by name. */
export function accelerationLines(accelerations: Readonly<Record<string, Acceleration>>): string[] {
	const said = new Map<string, string[]>();
	for (const [name, { kind, reason }] of Object.entries(accelerations).sort(([a], [b]) => (a < b ? -1 : 1))) {
		const why = `${kind}: ${reason}`;
		said.set(why, [...(said.get(why) ?? []), name]);
	}
	return [...said].map(([why, names]) => `acceleration of ${names.join(", ")} is ${why}`);
}

function obstacleToKvm({ kvm, virtualization }: Pick<HostFacts, "kvm" | "virtualization">): string | undefined {
	if (kvm && virtualization !== "") return undefined;
	if (kvm) return "the processor shows neither vmx nor svm, so /dev/kvm proves nothing";
	if (virtualization !== "") return "there is no /dev/kvm";
	return "there is no /dev/kvm and the processor shows neither vmx nor svm";
}

function remedy({ virtualization, hypervisor }: Pick<HostFacts, "virtualization" | "hypervisor">): string {
	if (virtualization === "vmx") return "load the module (modprobe kvm_intel)";
	if (virtualization === "svm") return "load the module (modprobe kvm_amd)";
	if (hypervisor) return "turn on nested virtualization for this virtual machine on the host that runs it";
	return "turn on virtualization in the firmware's settings";
}
