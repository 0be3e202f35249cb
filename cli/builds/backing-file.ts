import { closeSync, openSync, readSync } from "node:fs";

/** What a qcow2 disk lies over, by its header; nothing for another kind of file, or one that lies over none. */
export function backingFile(disk: string): string | undefined {
	const bytes = Buffer.alloc(4096);
	try {
		const file = openSync(disk, "r");
		try {
			readSync(file, bytes, 0, bytes.length, 0);
		} finally {
			closeSync(file);
		}
	} catch {
		return undefined;
	}
	if (bytes.toString("latin1", 0, 4) !== "QFI\xfb") return undefined;
	// The name stands in the first cluster, which is of 4 kB where it is not of more.
	const at = Number(bytes.readBigUInt64BE(8));
	const length = bytes.readUInt32BE(16);
	return at === 0 || length === 0 ? undefined : bytes.toString("utf8", at, at + length);
}
