import { createHash, randomUUID } from "node:crypto";
import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { type StepInput, stepProgram } from "./step-program.ts";

export interface StepArgs {
	/** Name of the script in scripts/, without `.sh`. */
	script: string;
	/** What the script is given, by variable name; arrives as data, never as shell text. */
	inputs: Readonly<Record<string, pulumi.Input<StepInput>>>;
	/**
	 * What the step makes, where that can become another thing: a change replaces the step, so that the new
	 * one is applied first and the old one removed when nothing uses it any more.
	 * @default the step is updated in place
	 */
	identity?: pulumi.Input<string>;
	/**
	 * How a shell command reaches the host: this host, or `["ssh", HOST]` for another.
	 * @default ["bash", "-c"]
	 */
	interpreter?: readonly string[];
}

/** What a build came to, by the outputs of its step: one sha256 over its files; null for one that an older tracelab built. */
export const resultIn = (outputs: Readonly<Record<string, string>>): string | null => outputs["result"] ?? null;

type Given = pulumi.Output<Record<string, StepInput>>;

/** A part of the lab that knows whether this run leaves it as it is. */
export interface Foreseen {
	/** Was it found as wanted, and all that it depends on, so that nothing of it is applied? */
	readonly asWanted: Promise<boolean>;
}

interface Probe {
	drift: string;
	stamp: string;
	/** What could not be looked at, and why. */
	note?: string;
}

/**
 * One thing on the host that a script in scripts/ can look at (probe), make so (apply) and undo (remove).
 *
 * The probe runs at every preview and up. Where it finds the host other than wanted, the step's generation
 * changes, and with it the resource: the preview shows an update, and the up runs apply. The stamp that apply
 * leaves on the host ties generation and inputs together, so a step whose state was lost finds its way back.
 *
 * It probes twice at most. First as soon as its inputs are known, beside all other steps: where all that it depends
 * on is found as wanted, nothing changes before its turn, and the answer holds. Else it probes again at its turn: a
 * probe that ran before what the step depends on would report what this very run is about to mend.
 *
 *     new Step("tracing-group", { script: "tracing-group", inputs: { user: "libvirt-qemu" } });
 */
export class Step extends local.Command implements Foreseen {
	/** What differs on the host in one sentence, or the empty string. */
	readonly drift: pulumi.Output<string>;
	/** What apply printed. */
	readonly outputs: pulumi.Output<Record<string, string>>;
	readonly asWanted: Promise<boolean>;

	constructor(name: string, args: StepArgs, opts: pulumi.CustomResourceOptions = {}) {
		const interpreter = [...(args.interpreter ?? ["bash", "-c"])];
		const given: Record<string, pulumi.Input<StepInput>> = { ...args.inputs, stack: pulumi.getStack(), step: name };
		const inputs: Given = pulumi.output(given);
		const probed = probe(name, args, inputs, interpreter, opts);
		const generation = pulumi.all([probed, inputs]).apply(([found, given]) => generationOf(found, digest(given)));
		const stdin = pulumi
			.all([inputs, generation])
			.apply(([given, word]) => stepProgram(args.script, { ...given, generation: word }));
		super(
			name,
			{
				create: "bash -s -- apply",
				update: "bash -s -- apply",
				delete: "bash -s -- remove",
				stdin,
				interpreter,
				logging: local.Logging.Stderr,
				...(args.identity === undefined ? {} : { triggers: [args.identity] }),
			},
			opts,
		);
		this.drift = pulumi.all([probed, inputs]).apply(([found, given]) => {
			if (found.drift !== "" && isRepair(found, digest(given))) pulumi.log.warn(`drift: ${found.drift}`, this);
			if (found.note !== undefined) pulumi.log.warn(found.note, this);
			return found.drift;
		});
		this.asWanted = new Promise((resolve) => {
			pulumi
				.all([probed, inputs, upstream(opts.dependsOn).foreseen])
				.apply(([found, given, calm]) => resolve(calm && found.drift === "" && isRepair(found, digest(given))));
			// In a preview, what is not known by then never is.
			this.urn.apply(() => resolve(false));
		});
		this.outputs = this.stdout.apply((text): Record<string, string> => (text === "" ? {} : JSON.parse(text)));
	}
}

function probe(
	name: string,
	args: StepArgs,
	inputs: Given,
	interpreter: string[],
	opts: pulumi.CustomResourceOptions,
): pulumi.Output<Probe> {
	const command = { command: "bash -s -- probe", interpreter, logging: local.Logging.None };
	const parent = opts.parent === undefined ? {} : { parent: opts.parent };
	const dependsOn = opts.dependsOn === undefined ? {} : { dependsOn: opts.dependsOn };
	const stdin = inputs.apply((given) => stepProgram(args.script, { ...given, generation: "" }));
	const answer = ({ stdout, stderr }: local.RunResult): Probe => {
		try {
			return JSON.parse(stdout) as Probe;
		} catch {
			throw new pulumi.RunError(`the probe of ${name} printed no JSON: ${stdout}${stderr}`);
		}
	};
	const { foreseen, others } = upstream(opts.dependsOn);
	const early = pulumi.all([stdin, others]).apply(async ([stdin]) => {
		// Does something change that it depends on, as far as is known by now?
		if (!(await Promise.race([foreseen, true]))) return undefined;
		try {
			return answer(await local.run({ ...command, stdin }, parent));
		} catch {
			// What it lacks to run, such as a package, may be there at its turn.
			return undefined;
		}
	});
	return pulumi
		.all([early, foreseen])
		.apply(([found, asWanted]) =>
			found !== undefined && asWanted
				? pulumi.output(found)
				: local.runOutput({ ...command, stdin }, { ...parent, ...dependsOn }).apply(answer),
		);
}

/** Of what a step depends on: is all of it as wanted, and what is there that cannot tell, and is waited for. */
function upstream(dependsOn: pulumi.CustomResourceOptions["dependsOn"]): {
	foreseen: Promise<boolean>;
	others: pulumi.Output<unknown>;
} {
	const all: unknown[] = [dependsOn ?? []].flat();
	const others = all.filter((one) => !isForeseen(one));
	return {
		foreseen: allTrue(all.filter(isForeseen).map(({ asWanted }) => asWanted)),
		others: pulumi.output(others.map((one) => (pulumi.Resource.isInstance(one) ? one.urn : one))),
	};
}

function isForeseen(one: unknown): one is Foreseen {
	return pulumi.Resource.isInstance(one) && "asWanted" in one;
}

export async function allTrue(answers: readonly Promise<boolean>[]): Promise<boolean> {
	return (await Promise.all(answers)).every((answer) => answer);
}

/** Digest of the inputs; the first half of a generation. */
function digest(inputs: Readonly<Record<string, StepInput>>): string {
	const sorted = Object.entries(inputs).sort(([a], [b]) => (a < b ? -1 : 1));
	return sha256(JSON.stringify(sorted));
}

/**
 * The generation that the stamp has, as long as the host is as wanted; else one that differs from it.
 * It is made from the stamp, so that a preview and the up after it agree, and a second drift of the same kind
 * differs from the first; with no stamp there is nothing to differ from, and anything fresh will do.
 */
export function generationOf(found: Probe, inputs: string): string {
	if (found.drift === "" && isRepair(found, inputs)) return found.stamp;
	return `${inputs}.${found.stamp === "" ? randomUUID() : sha256(found.stamp + found.drift)}`;
}

/** Was the step applied before with these very inputs? Then a drift is somebody else's doing. */
function isRepair(found: Probe, inputs: string): boolean {
	return found.stamp.startsWith(`${inputs}.`);
}

function sha256(text: string): string {
	return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
