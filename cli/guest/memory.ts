import type { Domain } from "../card.ts";
import { LabError } from "../errors.ts";
import { libvirtFault, virsh } from "../libvirt.ts";

/** Bytes of a guest's memory at a physical address, running or paused; its gdbstub is not asked, which would stop it. */
export async function guestMemory({ card }: Domain, address: bigint, length: number): Promise<Buffer> {
	const command = `xp /${length}xb 0x${address.toString(16)}`;
	const { code, stdout, stderr } = await virsh("qemu-monitor-command", card.libvirtName, "--hmp", command);
	if (code !== 0)
		throw libvirtFault(stderr) ?? new LabError(`virsh qemu-monitor-command ${card.libvirtName}: ${stderr}`);
	// ADDRESS: 0x12 0x34 …
	const bytes = stdout
		.split("\n")
		.flatMap((line) => [...line.slice(line.indexOf(":") + 1).matchAll(/0x([0-9a-f]{2})\b/g)]);
	return Buffer.from(bytes.map(([, byte = "00"]) => Number.parseInt(byte, 16)));
}
