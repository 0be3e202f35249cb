import { existsSync, readFileSync } from "node:fs";
import { quote } from "../../spec/quote.ts";
import { LabError } from "../errors.ts";
import { onHost, project } from "../host.ts";
import { virsh } from "../libvirt.ts";
import { run } from "../program.ts";
import { say } from "../terminal.ts";
import { names, readState } from "./engine.ts";

/** A step that was begun on this host and not undone since, as it says there itself (scripts/lib/step.sh). */
export interface BegunStep {
	name: string;
	/** `bash FILE remove` undoes it. */
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

/**
 * Makes a stack's lab on this host ours. Where its state was lost, with the project or by itself, each step finds its way
 * back; but libvirt's objects would stand in the way of their like, and go.
 *
 * @throws LabError where it is up from another project: that would take it for drift, and mend it
 */
export async function takeOver(stack: string): Promise<void> {
	const steps = begunSteps(stack);
	const other = steps.find((step) => step.project !== project && existsSync(`${step.project}/Pulumi.yaml`));
	if (other !== undefined) {
		throw new LabError(
			`the lab of stack ${quote(stack)} is up from another project: ${other.project}`,
			`work with it there; or have one beside it: a file stacks/NAME.yaml with "extends: ${stack}", and a processName of its own for each domain`,
		);
	}
	const state = readState(stack);
	if (state === undefined || (state.resources ?? []).some(({ type }) => type.startsWith("libvirt:"))) return;
	if (steps.length === 0) return;
	const gone = [];
	for (const { name, file } of steps) {
		const domain = /^domain-(.+)-guest$/.exec(name)?.[1];
		if (domain === undefined) continue;
		// It keeps the definition that is about to go.
		await run("bash", [file, "remove"]);
		await virsh("destroy", `${stack}-${domain}`);
		if ((await virsh("undefine", `${stack}-${domain}`)).code === 0) gone.push(domain);
	}
	const pool = `tracelab-${stack}`;
	await virsh("pool-start", pool);
	const { stdout } = await virsh("vol-list", pool);
	for (const [, volume = ""] of stdout.matchAll(/^ *(\S+\.qcow2) /gm))
		await virsh("vol-delete", volume, "--pool", pool);
	await virsh("pool-destroy", pool);
	await virsh("pool-undefine", pool);
	if (gone.length === 0) return;
	say(
		`lab: the state of stack ${quote(stack)} was lost: its lab is taken over, and its domains are made anew: ${gone.join(", ")}`,
	);
}
