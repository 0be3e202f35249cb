import { virsh } from "../libvirt.ts";
import { runScript } from "../script.ts";
import type { StateResource } from "./engine.ts";

export const domainType = "libvirt:index/domain:Domain";
export const volumeType = "libvirt:index/volume:Volume";
export const poolType = "libvirt:index/pool:Pool";

/** Starts libvirtd where it is down, as a kill or a reboot leaves it, and nothing where it is not installed. */
export async function startLibvirtd(stack: string): Promise<void> {
	await runScript("libvirtd-start", { stack, step: "libvirtd" });
}

/** Does libvirt say that there is no such object? */
export async function isGone({ type, inputs }: StateResource): Promise<boolean> {
	const [name, pool] = [String(inputs?.["name"] ?? ""), String(inputs?.["pool"] ?? "")];
	// Of an inactive one, it does not know the volumes.
	if (type === volumeType) await virsh("pool-start", pool);
	const lists: Record<string, readonly string[]> = {
		[domainType]: ["list", "--all", "--name"],
		[volumeType]: ["vol-list", pool],
		[poolType]: ["pool-list", "--all", "--name"],
	};
	const list = lists[type];
	if (list === undefined) return false;
	const { code, stdout } = await virsh(...list);
	return code === 0 && !stdout.split("\n").some((line) => line.trim().split(/ +/)[0] === name);
}

// What is not there needs no removal, so a refusal is as good.

/** Stops and undefines a domain; says whether it was there. */
export async function removeDomain(name: string): Promise<boolean> {
	await virsh("destroy", name);
	return (await virsh("undefine", name)).code === 0;
}

export async function removeVolume(name: string, pool: string): Promise<void> {
	await virsh("vol-delete", name, "--pool", pool);
}

/** With its folder, where that is empty. */
export async function removePool(name: string): Promise<void> {
	await virsh("pool-destroy", name);
	await virsh("pool-delete", name);
	await virsh("pool-undefine", name);
}
