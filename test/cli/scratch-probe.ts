import type { ScratchLab } from "./scratch-lab.ts";

/** The kernel of the card. */
export const kernel = "/opt/tracelab/kernel/0123456789abcdef";

/** What a module for that kernel has in it, as far as anybody looks. */
export const compiledModule = "\0vermagic=6.1.0 SMP mod_unload \0";

/** A stap that compiles anything for that kernel to these points, each with the script's own, and lets `vm` see it. */
export function fakeStap(lab: ScratchLab, points: readonly (readonly [point: string, own: string])[]): void {
	lab.write(`${kernel}/build/Makefile`, "");
	lab.write(`${kernel}/release`, "6.1.0\n");
	lab.write("var/lib/tracelab/domains/quickstart-vm/root/lib/modules/6.1.0/modules.dep", "");
	lab.write("stap-module", compiledModule);
	lab.write("stap-points", ["# probes\n", ...points.map(([point, own]) => `${point} /* <- ${own} */\n`)].join(""));
	lab.fake(
		"stap",
		`case "$*" in
		*-p2*) cat "$root/stap-points" ;;
		*) while [ "$1" != -m ]; do shift; done; mkdir -p "$root/lab/probes"; tee "$2.ko" <"$root/stap-module" >"$root/lab/probes/$2.ko" ;;
		esac`,
	);
}
