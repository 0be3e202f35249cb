import { libvirtName } from "./proof.ts";

export const virsh = "virsh -c qemu:///system";

/** Shell that defines the domain anew with its XML changed by sed. */
export function edited(change: string): string {
	const xml = `/tmp/${libvirtName}-edited.xml`;
	return `${virsh} dumpxml --inactive ${libvirtName} | sed '${change}' >${xml}; ${virsh} define ${xml}; rm ${xml}`;
}

/** Shell that starts the domain's QEMU anew. */
export const restart = `${virsh} destroy ${libvirtName}; ${virsh} start ${libvirtName}`;
