import { processNameBytes } from "./fields.ts";

/** The name of a domain's QEMU process where the stack file gives none. */
export function defaultProcessName(stack: string, domain: string): string {
	const whole = `${stack}-${domain}`;
	return whole.length <= processNameBytes ? whole : domain.slice(0, processNameBytes);
}
