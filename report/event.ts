import type { Fields, FieldValue } from "../spec/ctf-line.ts";
import type { Layer } from "../spec/profile.ts";

export type { Layer };

/** The layers in the order in which a page shows them. */
export const outsideIn: readonly Layer[] = ["host", "qemu", "guest"];

const layerNames: Readonly<Record<Layer, string>> = {
	host: "host kernel",
	qemu: "QEMU",
	guest: "guest kernel",
};

/** One event of a run, on the clock of the host. */
export interface TraceEvent {
	/** Nanoseconds of the host's clock since the run's base. */
	readonly time: number;
	readonly layer: Layer;
	/** The domain's name in the stack file; nothing for the host's own. */
	readonly domain: string | undefined;
	/** The guest's CPU for an event of the guest's kernel, the host's for the other layers. */
	readonly cpu: number;
	readonly name: string;
	/** Read from the trace when they are asked for. */
	readonly fields: Fields;
}

/** `QEMU vm`: whose events these are. */
export function sourceName(layer: Layer, domain: string | undefined): string {
	return domain === undefined ? layerNames[layer] : `${layerNames[layer]} · ${domain}`;
}

/** The event's name without the provider's, which LTTng puts before those of user space. */
export function bareName(name: string): string {
	return name.slice(name.indexOf(":") + 1);
}

/** A field for people, and for JSON: what has parts is one text. */
export function plainValue(value: FieldValue | undefined): string | number {
	if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
	if (typeof value === "string") return value;
	// Of 64 bits and more than 53: an address, or flags.
	if (typeof value === "bigint") return value < 0n ? String(value) : `0x${value.toString(16)}`;
	return value === undefined
		? ""
		: JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part));
}
