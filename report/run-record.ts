import { z } from "zod";
import type { DomainFacts, LayerFacts, RunFacts } from "./facts.ts";

const count = z.number().int().nonnegative();

const layer = z.object({
	layer: z.enum(["qemu", "guest", "host"]),
	domain: z.string().optional(),
	discarded: count.optional(),
	lostPackets: count.optional(),
	bytes: count.optional(),
	absent: z.string().optional(),
});

/** What a report takes from a run's run.json; whatever else is there of a domain is shown as it is. */
const runRecord = z.object({
	profile: z.string().optional(),
	command: z.union([z.string(), z.array(z.string())]).optional(),
	exitStatus: z.number().int().optional(),
	started: z.iso.datetime({ offset: true }).optional(),
	ended: z.iso.datetime({ offset: true }).optional(),
	notes: z.array(z.string()).default([]),
	domains: z.record(z.string(), z.unknown()).default({}),
	layers: z.array(layer).default([]),
});

/** @throws z.ZodError for a record that is of another shape */
export function runFacts(json: unknown): Omit<RunFacts, "stack" | "run" | "clocks" | "causality"> {
	const { profile, command, exitStatus, started, ended, notes, domains, layers } = runRecord.parse(json);
	return {
		profile,
		command: Array.isArray(command) ? command.map(shellWord).join(" ") : command,
		exitStatus,
		started,
		seconds:
			started === undefined || ended === undefined ? undefined : (Date.parse(ended) - Date.parse(started)) / 1000,
		notes,
		domains: Object.entries(domains)
			.sort(([a], [b]) => (a < b ? -1 : 1))
			.map(([name, facts]): DomainFacts => ({ name, facts: flat(facts) })),
		layers: layers.map((each): LayerFacts => ({ ...each, domain: each.domain })),
	};
}

/** As a shell would take it. */
function shellWord(word: string): string {
	return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Facts within facts, as names with more than one word: kernel.buildId is `kernel build id`. */
function flat(facts: unknown, name = ""): [string, string][] {
	if (typeof facts !== "object" || facts === null) return [[name, String(facts ?? "none")]];
	if (Array.isArray(facts) && facts.every((each) => typeof each !== "object")) return [[name, facts.join(", ")]];
	return Object.entries(facts).flatMap(([key, value]): [string, string][] => {
		// Both are told by their build-ids.
		if (name === "" && key === "kernel" && typeof value === "string") return [["kernel's build-id", value]];
		if (name === "modules") return [[`build-id of ${key}`, String(value)]];
		const words = key.replace(/(?<=[a-z])[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
		return flat(value, name === "" ? words : `${name} ${words}`);
	});
}
