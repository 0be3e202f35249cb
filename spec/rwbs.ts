import type { FieldValue } from "./ctf-line.ts";

export type RequestKind = "write" | "discard" | "read" | "flush";

/** Bits of lttng-modules' rwbs, in include/instrumentation/events/block.h there, and the letters of the kernel's own. */
const kinds: readonly (readonly [bits: number, letter: string, kind: RequestKind])[] = [
	[1 << 0, "W", "write"],
	[1 << 1, "D", "discard"],
	[1 << 2, "R", "read"],
	[(1 << 8) | (1 << 10), "F", "flush"],
];

/** What a request of the block layer does, by its rwbs: LTTng has it as bits, and ftrace as letters. */
export function requestKind(rwbs: FieldValue | undefined): RequestKind | undefined {
	const is = (bits: number, letter: string) =>
		typeof rwbs === "string" ? rwbs.includes(letter) : (Number(rwbs ?? 0) & bits) !== 0;
	return kinds.find(([bits, letter]) => is(bits, letter))?.[2];
}
