import { LabError } from "./errors.ts";
import { project } from "./host.ts";
import { run } from "./program.ts";

/**
 * Runs a script of scripts/ that is no step, with its inputs in the environment; returns what it printed.
 *
 * @throws LabError in the script's own words
 */
export async function runScript(
	name: string,
	inputs: Readonly<Record<string, string>> & { readonly stack: string; readonly step: string },
	...args: readonly string[]
): Promise<string> {
	// It sources its libraries by a path from its own folder.
	const command = ["bash", "-c", `cd "$0" && exec bash ${name}.sh "$@"`, `${project}/scripts`, ...args];
	const given = Object.entries(inputs).map(([key, value]) => `${key}=${value}`);
	const { code, stdout, stderr } = await run("env", [...given, ...command]);
	if (code === 0) return stdout;
	const said = stderr.split(`tracelab: ${inputs.step}: `).at(-1) ?? "";
	const [message = "", todo] = said.split("\n  what to do: ");
	throw new LabError(message, todo);
}
