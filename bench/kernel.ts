import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { size } from "../cli/terminal.ts";
import { type Figure, seconds } from "./figure.ts";
import { installHostPackages, PlainCommands } from "./plain.ts";

/** What a kernel costs that has what a lab uses, beside one that is configured for any guest: of one source, built the same plain way. */
export async function kernelFigures(): Promise<Figure[]> {
	await installHostPackages();
	const plain = new PlainCommands();
	try {
		await plain.run("kernel_source");
		const own = await seconds("quickstart's kernel", () => plain.run("quickstart_kernel"));
		const other = await seconds("defconfig, kvm_guest.config and DWARF5", () => plain.run("defconfig_kernel"));
		const [ours, theirs] = [kernelIn(join(plain.folder, "quickstart")), kernelIn(join(plain.folder, "defconfig"))];
		return [
			{
				name: "quickstart's kernel, beside defconfig with kvm_guest.config and DWARF5",
				measured: `${(own / other).toFixed(2)} × (${own.toFixed(0)} s against ${other.toFixed(0)} s)`,
			},
			{ name: "symbols that are set in it", measured: `${ours.symbols} against ${theirs.symbols}` },
			{ name: "size of its vmlinux", measured: `${size(ours.vmlinux)} against ${size(theirs.vmlinux)}` },
		];
	} finally {
		plain.remove();
	}
}

/** How many symbols are y or m, and how many bytes vmlinux has with its debug information. */
function kernelIn(objects: string): { symbols: number; vmlinux: number } {
	const config = readFileSync(join(objects, ".config"), "utf8");
	return {
		symbols: [...config.matchAll(/^CONFIG_\w+=[ym]$/gm)].length,
		vmlinux: statSync(join(objects, "vmlinux")).size,
	};
}
