import { type HostFacts, hostFactsSchema } from "../spec/host-facts.ts";
import { LabError } from "./errors.ts";
import { project } from "./host.ts";
import { run } from "./program.ts";

/** What this host is now. */
export async function hostFacts(): Promise<HostFacts> {
	// It sources its library by a path from its own folder.
	const { code, stdout, stderr } = await run("bash", [
		"-c",
		'cd "$0" && exec bash host-facts.sh',
		`${project}/scripts`,
	]);
	// Below the cause are the library's own words on it.
	const [cause] = stderr.split("\n");
	if (code !== 0)
		throw new LabError(`scripts/host-facts.sh failed: ${cause}`, "run it by hand: cd scripts && bash host-facts.sh");
	return hostFactsSchema.parse(JSON.parse(stdout));
}
