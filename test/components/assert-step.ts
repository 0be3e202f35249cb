import type { ExecutionContext } from "ava";
import { type StepInput, stepProgram } from "../../components/step-program.ts";
import { type Registered, type Run, resource } from "./mocks.ts";
import { scriptOf, split, word } from "./step-text.ts";

export interface ExpectedStep {
	script: string;
	/** All inputs, less those that every step gets. */
	inputs: Record<string, StepInput>;
	/**
	 * What the step is replaced for.
	 * @default the step is never replaced
	 */
	identity?: string;
}

/** The inputs of a step's program as it has them, one assignment a line, less the generation: fresh in each test. */
export function givenTo({ inputs }: Registered): string {
	return split(String(inputs["stdin"])).head.replace(/^generation=.*\n/m, "");
}

/** Asserts all that a step is registered with. */
export function isStep(t: ExecutionContext, run: Run<unknown>, name: string, expected: ExpectedStep): void {
	const { type, inputs } = resource(run, name);
	const { stdin, ...others } = inputs;
	const program = String(stdin);
	const generation = word(program, "generation") ?? "";
	const given = { ...expected.inputs, stack: run.stack, step: name, generation };
	t.is(type, "command:local:Command");
	// The inputs first: a difference in them is easier to read than one in a whole program.
	t.is(split(program).head, split(stepProgram(expected.script, given)).head);
	t.is(scriptOf(program), expected.script);
	t.regex(generation, /^[0-9a-f]{16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
	t.deepEqual(others, {
		create: "bash -s -- apply",
		update: "bash -s -- apply",
		delete: "bash -s -- remove",
		interpreter: ["bash", "-c"],
		logging: "stderr",
		...(expected.identity === undefined ? {} : { triggers: [expected.identity] }),
	});
}
