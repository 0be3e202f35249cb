import { readdirSync } from "node:fs";
import { didYouMean } from "./did-you-mean.ts";
import { namePattern } from "./fields.ts";
import { quote } from "./quote.ts";
import type { Fault } from "./stack-file-error.ts";

/** Names of the stacks in a folder, in order; Pulumi's own files beside them (Pulumi.STACK.yaml) are none. */
export function stackNames(folder: string): string[] {
	return filesIn(folder)
		.filter((file) => file.endsWith(".yaml"))
		.map((file) => file.slice(0, -".yaml".length))
		.filter((name) => namePattern.test(name))
		.sort();
}

/** That there is no such stack, and which there are. */
export function unknownStack(name: string, folder: string): Fault {
	const there = stackNames(folder);
	const message = `there is no stack ${quote(name)}${didYouMean(name, there)}`;
	const stem = name.replace(/\.ya?ml$/, "");
	if (stem !== name && there.includes(stem)) return { message, hint: `leave .yaml out: ${stem}` };
	if (!namePattern.test(name)) {
		return { message, hint: "a stack's name has at most 31 of a-z, 0-9 and -, first a letter, last no dash" };
	}
	if (filesIn(folder).includes(`${name}.yml`)) {
		return { message, hint: `name the file ${name}.yaml: ${name}.yml is not read` };
	}
	return {
		message,
		hint: there.length === 0 ? "there are no stacks at all" : `the stacks there are: ${there.join(", ")}`,
	};
}

function filesIn(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}
