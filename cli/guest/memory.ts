import type { Domain } from "../card.ts";
import { monitor } from "../libvirt.ts";

/** Bytes of a guest's memory at a physical address, running or paused; its gdbstub is not asked, which would stop it. */
export async function guestMemory(domain: Domain, address: bigint, length: number): Promise<Buffer> {
	const shown = await monitor(domain, `xp /${length}xb 0x${address.toString(16)}`);
	// ADDRESS: 0x12 0x34 …
	const bytes = shown
		.split("\n")
		.flatMap((line) => [...line.slice(line.indexOf(":") + 1).matchAll(/0x([0-9a-f]{2})\b/g)]);
	return Buffer.from(bytes.map(([, byte = "00"]) => Number.parseInt(byte, 16)));
}
