import { readFileSync, writeFileSync } from "node:fs";
import { card, libvirtName } from "./proof.ts";

export const virsh = "virsh -c qemu:///system";

/** Shell that defines the domain anew with its XML changed by sed. */
export function edited(change: string): string {
	const xml = `/tmp/${libvirtName}-edited.xml`;
	return `${virsh} dumpxml --inactive ${libvirtName} | sed '${change}' >${xml}; ${virsh} define ${xml}; rm ${xml}`;
}

/** Shell that starts the domain's QEMU anew. */
export const restart = `${virsh} destroy ${libvirtName}; ${virsh} start ${libvirtName}`;

/** Shell that tells whether the guest's agent answers. */
export const answers = `${virsh} qemu-agent-command --timeout 2 ${libvirtName} '{"execute":"guest-ping"}' >/dev/null 2>&1`;

/** Shell that waits until a guest that was just started has booted. */
export const booted = `for i in $(seq 240); do if ${answers}; then break; fi; sleep 0.5; done`;

/** The kernel that the domain boots. */
export const bzImage = (): string => `${card().kernels["main"]?.prefix}/bzImage`;

/** What `otherKernel` makes, where libvirt's user can read it. */
export const otherBzImage = `/tmp/${libvirtName}-bzImage`;

/** Makes a copy of the kernel that is another by its build-id. */
export const otherKernel = (): void => writeFileSync(otherBzImage, ofAnotherBuild(bzImage()));

/** The bytes of the kernel's bzImage or vmlinux with another build-id: nothing compresses that, so lz4 has left it in bzImage as it is. */
export function ofAnotherBuild(file: string): Buffer {
	const bytes = readFileSync(file);
	// What is at either end may be of one piece with its neighbours.
	const id = Buffer.from(card().kernels["main"]?.buildId ?? "", "hex").subarray(4, 16);
	const at = bytes.indexOf(id);
	if (id.length !== 12 || at < 0) throw new Error(`${file} does not have its build-id as it is`);
	return bytes.fill(0xab, at, at + id.length);
}
