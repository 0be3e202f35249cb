import { type StepInput, stepProgram } from "../../components/step-program.ts";
import { domain, emulator, folder } from "./fake-guest.ts";
import type { ScratchHost, StepRun } from "./run-step.ts";

export const guestInputs = {
	domain,
	uuid: "0d000000-0000-0000-0000-000000000001",
	folder,
	emulator,
	kernel_prefix: "/opt/tracelab/kernel/fedcba9876543210",
	process_name: "vm",
	gdb_port: "1234",
	paused: "0",
	overlay: "/var/lib/tracelab/pools/quick/quick-vm-0123456789abcdef.qcow2",
	base: "/opt/tracelab/image/0123456789abcdef/image.qcow2",
};

/** The guest step's program, but for its patience. */
export function guestStep(given: Readonly<Record<string, StepInput>> = {}): string {
	return patientStep(given)
		.replace("\nguest_wait=480\n", "\nguest_wait=0\n")
		.replace("\nagain_wait=120\n", "\nagain_wait=0\n");
}

export function patientStep(given: Readonly<Record<string, StepInput>> = {}): string {
	return stepProgram("guest", { stack: "quick", step: "guest", generation: "g", ...guestInputs, ...given });
}

export function runGuest(
	scratch: ScratchHost,
	verb: "probe" | "apply" | "remove",
	given: Readonly<Record<string, StepInput>> = {},
): Promise<StepRun> {
	return scratch.bash(guestStep(given), verb);
}
