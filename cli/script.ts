import { LabError } from "./errors.ts";
import { project } from "./host.ts";
import { run } from "./program.ts";

type Inputs = Readonly<Record<string, string>> & { readonly stack: string; readonly step: string };

/** What `env` is given to run a script of scripts/ that is no step, with its inputs in the environment. */
export function scriptWords(name: string, inputs: Inputs, ...args: readonly string[]): string[] {
	const given = Object.entries({ generation: "", ...inputs }).map(([key, value]) => `${key}=${value}`);
	// It sources its libraries by a path from its own folder.
	return [...given, "bash", "-c", `cd "$0" && exec bash ${name}.sh "$@"`, `${project}/scripts`, ...args];
}

/**
 * Runs a script of scripts/ that is no step; returns what it printed. A detached one does not hear of a Ctrl-C (program.ts).
 *
 * @throws LabError in the script's own words
 */
export async function runScript(
	name: string,
	inputs: Inputs,
	args: readonly string[] = [],
	options: { detached?: boolean } = {},
): Promise<string> {
	const { code, stdout, stderr } = await run("env", scriptWords(name, inputs, ...args), "", options);
	if (code === 0) return stdout;
	const said = stderr.split(`tracelab: ${inputs.step}: `).at(-1) ?? "";
	const [message = "", todo] = said.split("\n  what to do: ");
	throw new LabError(message, todo);
}
