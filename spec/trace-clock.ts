/** The clock of a trace, as its metadata describes it. */
export interface TraceClock {
	/** LTTng's is "monotonic": CLOCK_MONOTONIC. */
	readonly name: string;
	/** Differs from one boot to the next: the kernel's boot_id. */
	readonly uuid: string;
	/** CLOCK_REALTIME less CLOCK_MONOTONIC when the trace began, in nanoseconds. */
	readonly offset: bigint;
}

const nanoseconds = 1_000_000_000n;

/** The clock in the text of a CTF 1 metadata stream; nothing where there is none, or it does not count nanoseconds. */
export function traceClock(metadata: string): TraceClock | undefined {
	const block = /^clock \{$(.*?)^\};$/ms.exec(metadata)?.[1];
	if (block === undefined) return undefined;
	const value = (name: string): string | undefined =>
		new RegExp(`^\\s*${name} = (?:"([^"]*)"|(-?\\d+));`, "m")
			.exec(block)
			?.slice(1)
			.find((text) => text !== undefined);
	if (BigInt(value("freq") ?? nanoseconds) !== nanoseconds) return undefined;
	return {
		name: value("name") ?? "",
		uuid: value("uuid") ?? "",
		offset: BigInt(value("offset_s") ?? 0) * nanoseconds + BigInt(value("offset") ?? 0),
	};
}
