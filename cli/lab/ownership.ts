import { existsSync, readFileSync } from "node:fs";
import { quote } from "../../spec/quote.ts";
import { LabError, orFault } from "../errors.ts";
import { onHost, project } from "../host.ts";
import { virsh } from "../libvirt.ts";
import { type Ran, run } from "../program.ts";
import { say } from "../terminal.ts";
import { names, readState } from "./engine.ts";
import { removeDomain, removePool, removeVolume, startLibvirtd } from "./libvirt-objects.ts";

/** A step that was begun on this host and not undone since, as it says there itself (scripts/lib/step.sh). */
export interface BegunStep {
	name: string;
	/** What undoes it. */
	file: string;
	/** Folder of the project that did it. */
	project: string;
}

export function begunSteps(stack: string): BegunStep[] {
	const folder = onHost(`/var/lib/tracelab/undo/${stack}`);
	return names(folder)
		.filter((name) => !name.startsWith("."))
		.map((name) => {
			const file = `${folder}/${name}`;
			return { name, file, project: /^# from (.*)\n/.exec(readFileSync(file, "utf8"))?.[1] ?? "" };
		});
}

/** Undoes a step from what it left on the host; a failure is for the caller to judge. */
export const undo = ({ file }: BegunStep): Promise<Ran> => run("bash", [file, "remove"]);

/**
 * @throws LabError for a stack that Pulumi has renamed since its lab came up: what that left on this host goes by the old name
 */
function checkRenamed(stack: string): void {
	for (const { inputs } of readState(stack)?.resources ?? []) {
		const [, before] = /^stack='([^']*)'$/m.exec(String(inputs?.["stdin"] ?? "")) ?? [];
		if (before === undefined || before === stack) continue;
		throw new LabError(
			`stack ${quote(stack)} was ${quote(before)} when its lab came up, and is that on this host`,
			`give it its name back: eval "$(./lab env)"; pulumi stack rename ${before} -s ${stack}; then ./lab -s ${before} destroy and ./lab -s ${stack} up`,
		);
	}
}

/**
 * That a state knows the stack says nothing: a copy of a project has one, too. A project that was moved is not where it was.
 *
 * @throws LabError where the stack's lab is up from another project, which would be mended as drift, or destroyed
 */
export function checkOwner(stack: string): void {
	const other = begunSteps(stack).find((step) => step.project !== project && existsSync(`${step.project}/Pulumi.yaml`));
	if (other === undefined) return;
	throw new LabError(
		`the lab of stack ${quote(stack)} is up from another project: ${other.project}`,
		`work with it there; or have one beside it: a file stacks/NAME.yaml with "extends: ${stack}", and a processName of its own for each domain`,
	);
}

/**
 * Makes a stack's lab on this host, which is no other project's, ours. Where its state was lost, with the project or by itself,
 * each step finds its way back; but libvirt's objects would stand in the way of their like, and go.
 */
export async function takeOver(stack: string): Promise<void> {
	checkRenamed(stack);
	const steps = begunSteps(stack);
	const state = readState(stack);
	if (state === undefined || (state.resources ?? []).some(({ type }) => type.startsWith("libvirt:"))) return;
	// Before that step an up has made none, and there may be no virsh yet.
	if (!steps.some(({ name }) => name === "libvirt-daemon")) return;
	await orFault(() => startLibvirtd(stack));
	const gone = [];
	for (const step of steps) {
		const domain = /^domain-(.+)-guest$/.exec(step.name)?.[1];
		if (domain === undefined) continue;
		// It keeps the definition that is about to go.
		await undo(step);
		if (await removeDomain(`${stack}-${domain}`)) gone.push(domain);
	}
	// It would bring back the pool that is about to go.
	for (const step of steps.filter(({ name }) => name === `${stack}-pool-active`)) await undo(step);
	const pool = `tracelab-${stack}`;
	await virsh("pool-start", pool);
	const { stdout } = await virsh("vol-list", pool);
	for (const [, volume = ""] of stdout.matchAll(/^ *(\S+\.qcow2) /gm)) await removeVolume(volume, pool);
	await removePool(pool);
	if (gone.length === 0) return;
	say(
		`lab: the state of stack ${quote(stack)} was lost: its lab is taken over, and its domains are made anew: ${gone.join(", ")}`,
	);
}
