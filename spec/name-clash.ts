import { quote } from "./quote.ts";
import type { Stack } from "./schema.ts";

export class NameClashError extends Error {
	override readonly name = "NameClashError";
}

/**
 * What a lab has on its host goes by STACK-NAME: folders, libvirt's domains, LTTng's sessions. So domain `b-c` of stack `a` and domain
 * `c` of stack `a-b` cannot both be there.
 *
 * @param begun domains and trace sessions that stacks have on the host, each by a step of it, as STACK/STEP
 * @throws NameClashError where another stack has the name of one of this
 */
export function checkNames(stack: Pick<Stack, "name" | "domains" | "traces">, begun: readonly string[]): void {
	for (const step of begun) {
		const [, other = "", kind, theirs = ""] = /^([^/]+)\/(domain|trace)-(.+)-(?:share|session)$/.exec(step) ?? [];
		if (kind === undefined || other === stack.name) continue;
		const whole = `${other}-${theirs}`;
		const ours = Object.keys(kind === "domain" ? stack.domains : stack.traces);
		const clash = ours.find((name) => `${stack.name}-${name}` === whole);
		if (clash === undefined) continue;
		throw new NameClashError(
			`${kind} ${quote(clash)} would be ${whole} on this host, which ${kind} ${quote(theirs)} of stack ${quote(other)} is\n  what to do: give one of the two another name`,
		);
	}
}
