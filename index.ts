import * as pulumi from "@pulumi/pulumi";
import { Lab } from "./components/lab.ts";
import { loadStack, StackFileError } from "./spec/load-stack.ts";

function readStack(name: string) {
	try {
		return loadStack(name);
	} catch (error) {
		// The engine shows a RunError's text and no stack trace.
		if (error instanceof StackFileError) throw new pulumi.RunError(error.message);
		throw error;
	}
}

const stack = readStack(pulumi.getStack());

/** What came up, as in /var/lib/tracelab/labs/STACK.json. */
export const lab = new Lab(stack.name, { stack }).card;
