import type { ScratchLab } from "./scratch-lab.ts";

/** The kernel of the card. */
export const kernel = "/opt/tracelab/kernel/0123456789abcdef";

/** A stap that compiles anything for that kernel to these points, each with the script's own, and lets `vm` see it. */
export function fakeStap(lab: ScratchLab, points: readonly (readonly [point: string, own: string])[]): void {
	lab.write(`${kernel}/build/Makefile`, "");
	lab.write(`${kernel}/release`, "6.1.0\n");
	lab.write("var/lib/tracelab/domains/quickstart-vm/root/lib/modules/6.1.0/modules.dep", "");
	lab.write("stap-points", ["# probes\n", ...points.map(([point, own]) => `${point} /* <- ${own} */\n`)].join(""));
	lab.fake(
		"stap",
		`case "$*" in
		*-p2*) cat "$root/stap-points" ;;
		*) while [ "$1" != -m ]; do shift; done; echo compiled >"$2.ko"; mkdir -p "$root/lab/probes"; : >"$root/lab/probes/$2.ko" ;;
		esac`,
	);
}
