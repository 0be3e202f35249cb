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
	if (code !== 0) throw new LabError(`scripts/host-facts.sh failed: ${stderr.trim()}`);
	return hostFactsSchema.parse(JSON.parse(stdout));
}
