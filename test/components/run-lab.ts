import { Lab, type LabArgs } from "../../components/lab.ts";
import type { HostFacts } from "../../spec/host-facts.ts";
import { loadStack } from "../../spec/load-stack.ts";
import type { Stack } from "../../spec/schema.ts";
import { type Run, run } from "./mocks.ts";
import { withoutKvm } from "./samples.ts";

/** Runs a program as index.ts is one: a lab by its stack's name. */
export function runLab(
	stack: Stack,
	facts: HostFacts = withoutKvm,
	preview = false,
	locked: Pick<LabArgs, "lock" | "lockHash"> = {},
): Promise<Run<Lab>> {
	return run({ stack: stack.name, preview }, () => new Lab(stack.name, { stack, facts, ...locked }));
}

/** Runs the lab of stacks/NAME.yaml. */
export function runStack(name: string, facts?: HostFacts): Promise<Run<Lab>> {
	return runLab(loadStack(name), facts);
}
