import { virsh } from "../libvirt.ts";

// What is not there needs no removal, so a refusal is as good.

/** Stops and undefines a domain; says whether it was there. */
export async function removeDomain(name: string): Promise<boolean> {
	await virsh("destroy", name);
	return (await virsh("undefine", name)).code === 0;
}

export async function removeVolume(name: string, pool: string): Promise<void> {
	await virsh("vol-delete", name, "--pool", pool);
}

export async function removePool(name: string): Promise<void> {
	await virsh("pool-destroy", name);
	await virsh("pool-undefine", name);
}
