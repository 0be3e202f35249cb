import type { HostFacts } from "./host-facts.ts";
import { visible } from "./quote.ts";
import type { Stack } from "./schema.ts";

export class GdbPortError extends Error {
	override readonly name = "GdbPortError";
}

/** The gdb ports that a stack file gives to its domains. */
export function givenPorts({ domains }: Pick<Stack, "domains">): number[] {
	return Object.values(domains).flatMap(({ gdb }) => gdb.port ?? []);
}

/**
 * What the step that reserves a port (scripts/gdb-port.sh) would refuse as well, and in the same words, but behind other changes.
 *
 * @throws GdbPortError where a port that the stack file gives is another stack's, or somebody else listens on it
 */
export function checkGdbPorts(
	{ name: stack, domains }: Pick<Stack, "name" | "domains">,
	{ gdbPorts, begun }: Pick<HostFacts, "gdbPorts" | "begun">,
): void {
	const ours = (domain: string) =>
		domain.startsWith(`${stack}-`) && begun.includes(`${stack}/domain-${domain.slice(stack.length + 1)}-gdb-port`);
	for (const [name, { gdb }] of Object.entries(domains)) {
		const taken = gdbPorts[String(gdb.port)];
		if (taken === undefined) continue;
		const { reserved, given, listener, qemuOf } = taken;
		// The domain's own, or one that goes from domain to domain within the stack: the steps see to it.
		if (reserved === `${stack}-${name}` || (given && ours(reserved))) continue;
		if (reserved !== "") {
			throw new GdbPortError(
				`gdb port ${gdb.port} is reserved for the domain ${reserved}\n  what to do: give another port in the stack file, or none, and the lab chooses`,
			);
		}
		// Another account than root cannot tell that it is the domain's own QEMU.
		if (listener === "an unknown process" && ours(`${stack}-${name}`)) continue;
		if (listener !== "" && qemuOf !== `${stack}-${name}` && !ours(qemuOf)) {
			throw new GdbPortError(
				`gdb port ${gdb.port} is in use by ${visible(listener)}\n  what to do: stop that process, give another port in the stack file, or none, and the lab chooses`,
			);
		}
	}
}
