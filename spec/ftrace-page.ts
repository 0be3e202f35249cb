/** Bytes of a page of ftrace's ring buffer on x86-64, as trace_pipe_raw gives it. */
export const pageSize = 4096;

export interface FtraceRecord {
	/** The trace clock, in nanoseconds. */
	readonly time: bigint;
	readonly data: Buffer;
}

export interface FtracePage {
	/** Events that were written over just before it; undefined where there are some and there was no room to say how many. */
	readonly missed: number | undefined;
	readonly records: readonly FtraceRecord[];
}

// include/linux/ring_buffer.h and kernel/trace/ring_buffer.c: header of the page, and types of records.
const begin = 16;
const [missedEvents, missedStored, commitMask] = [2 ** 31, 2 ** 30, 2 ** 20 - 1];
const [padding, timeExtend, timeStamp] = [29, 30, 31];

/**
 * The records of one processor's page. Each begins with a word of 5 bits of type, or of length, and 27 of the time since
 * the one before; the page begins with the time that the first of these counts from.
 *
 * @throws RangeError for what is no such page
 */
export function readPage(page: Buffer): FtracePage {
	let time = page.readBigUInt64LE(0);
	const commit = page.readUInt32LE(8);
	const end = begin + (commit & commitMask);
	if (end > page.length) throw new RangeError(`a page says that it ends at ${end}`);
	const stored = commit & missedStored ? Number(page.readBigUInt64LE(end)) : undefined;
	const records: FtraceRecord[] = [];
	for (let at = begin; at < end; ) {
		const word = page.readUInt32LE(at);
		const [type, delta] = [word & 0x1f, BigInt(word >>> 5)];
		at += 4;
		if (type === padding) {
			// Without a time, nothing follows on the page.
			if (delta === 0n) break;
			time += delta;
			at += page.readUInt32LE(at);
		} else if (type === timeExtend) {
			time += (BigInt(page.readUInt32LE(at)) << 27n) + delta;
			at += 4;
		} else if (type === timeStamp) {
			// It has all but the upper five bits, which count centuries.
			time = (BigInt(page.readUInt32LE(at)) << 27n) + delta;
			at += 4;
		} else {
			const length = type === 0 ? page.readUInt32LE(at) - 4 : type * 4;
			if (type === 0) at += 4;
			if (length < 0 || at + length > end) throw new RangeError(`a record of ${length} bytes at ${at} of ${end}`);
			time += delta;
			records.push({ time, data: page.subarray(at, at + length) });
			at += Math.ceil(length / 4) * 4;
		}
	}
	return { missed: commit & missedEvents ? stored : 0, records };
}
