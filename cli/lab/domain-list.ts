import { accelerationLines } from "../../spec/acceleration.ts";
import type { LabCard } from "../../spec/lab-card.ts";
import { readCard } from "../card.ts";
import { domainProcess, domainState } from "../libvirt.ts";
import { paint, print, table } from "../terminal.ts";

/** Shows the domains of a lab, as a table or as JSON. */
export async function list(stack: string, { json = false }: { json?: boolean }): Promise<void> {
	const lab = readCard(stack);
	const domains = await describeDomains(stack, lab);
	print(json ? JSON.stringify(domains.map(asJson), null, 2) : domainTable(domains));
}

/** A domain of a lab, with what it does now. */
interface Described {
	name: string;
	card: LabCard["domains"][string];
	/** As libvirt calls it. */
	state: string;
	process: { pid: number; program: string } | undefined;
}

export function describeDomains(stack: string, lab: LabCard): Promise<Described[]> {
	const names = Object.keys(lab.domains).sort();
	return Promise.all(
		names.map(async (name) => {
			const card = lab.domains[name] as (typeof lab.domains)[string];
			const kernel = lab.kernels[card.kernel] as (typeof lab.kernels)[string];
			const domain = { name, card, kernel, stack };
			return { name, card, state: await domainState(domain), process: domainProcess(domain) };
		}),
	);
}

export const asJson = ({ name, card, state, process }: Described) => ({
	name,
	state,
	pid: process?.pid ?? null,
	...card,
	gdb: { address: `127.0.0.1:${card.gdb.port}`, ...card.gdb },
	modules: Object.keys(card.modules).sort(),
});

export function domainTable(domains: readonly Described[]): string {
	const rows = domains.map(({ name, card, state, process }) => [
		paint("bold", name),
		paint(state === "running" ? "green" : "yellow", state),
		process === undefined ? card.processName : `${card.processName} (${process.pid})`,
		process === undefined || process.program === "" || process.program === card.emulator
			? card.qemu
			: paint("red", `${process.program}, not ${card.emulator}`),
		card.acceleration.kind,
		card.kernel,
		`127.0.0.1:${card.gdb.port}`,
		Object.keys(card.modules).sort().join(", ") || "none",
	]);
	const accelerations = Object.fromEntries(domains.map(({ name, card }) => [name, card.acceleration]));
	const shown = table(["DOMAIN", "STATE", "PROCESS", "QEMU", "ACCEL", "KERNEL", "GDB", "MODULES"], rows);
	return [shown, ...accelerationLines(accelerations)].join("\n");
}
