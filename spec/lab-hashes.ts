import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { contentSha256, sha256, treeSha256 } from "./content-hash.ts";
import { fragmentTexts } from "./kconfig.ts";
import type { Source, Stack } from "./schema.ts";

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** What tells a lab from any other: sha256s; docs/reproducibility.md says over what. */
export const labHashesSchema = z.object({
	/** Of what its stack file asks for. */
	stack: hash,
	/** Of its lock's file, where it has one. */
	lock: hash.exactOptional(),
	/** Of those files of tracelab that make a lab of a stack file. */
	tracelab: hash,
	/** What each build came to, by its name in a lock; null for one of an older tracelab, which did not note it. */
	builds: z.record(z.string(), hash.nullable()),
});

export type LabHashes = z.infer<typeof labHashesSchema>;

/** The one hash of a lab; undefined where that of a build is not known. */
export function labHash({ stack, tracelab, builds }: LabHashes): string | undefined {
	const results = Object.entries(builds).sort(([a], [b]) => (a < b ? -1 : 1));
	if (results.some(([, result]) => result === null)) return undefined;
	return sha256([["stack", stack], ["tracelab", tracelab], ...results].map((line) => `${line.join(" ")}\n`).join(""));
}

/** The line by which a lab is cited. */
export function citation(stack: string, hashes: LabHashes): string | undefined {
	const hash = labHash(hashes);
	return hash === undefined ? undefined : `lab ${stack} sha256:${hash}`;
}

/** What tells two labs apart, a line each: `kernel-main: 8f3c1de0a7c6 → 2b910cc01f4e`. What is not known of either tells them apart. */
export function labDifferences(before: LabHashes, now: LabHashes): string[] {
	const all = ({ stack, tracelab, builds }: LabHashes): LabHashes["builds"] => ({ stack, tracelab, ...builds });
	const [old, young] = [all(before), all(now)];
	const names = [...new Set([...Object.keys(old), ...Object.keys(young)])];
	const shown = (hash: string | null | undefined) => hash?.slice(0, 12) ?? (hash === null ? "not known" : "none");
	return names
		.filter((name) => old[name] !== young[name] || old[name] === null)
		.map((name) => `${name}: ${shown(old[name])} → ${shown(young[name])}`);
}

/**
 * Hash of a stack as it was read, with defaults and what it extends: so it is the same for another order, another comment,
 * another split into files, another comment in a fragment. Not in it is what is of one machine (folders, ports) or for people alone (names, descriptions).
 */
export function stackHash({ name: _, description: __, ...asked }: Stack): string {
	return contentSha256({
		...asked,
		qemu: each(asked.qemu, placeless),
		kernels: each(asked.kernels, (kernel) => ({ ...placeless(kernel), texts: fragmentTexts(kernel.fragments) })),
		modules: each(asked.modules, placeless),
		domains: each(asked.domains, ({ processName: _, gdb, ...domain }) => ({ ...domain, gdb: { paused: gdb.paused } })),
		probes: each(asked.probes, ({ domain }) => ({ domain })),
	});
}

/** What is in the folder is in the result of the build. */
function placeless<Spec extends { readonly source: Source }>(spec: Spec): object {
	return spec.source.kind === "path" ? { ...spec, source: { kind: "path" } } : spec;
}

function each<In, Out>(map: Readonly<Record<string, In>>, make: (value: In) => Out): Record<string, Out> {
	return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, make(value)]));
}

const ownRoot = fileURLToPath(new URL("..", import.meta.url));

/** Hash of the files that make a lab of a stack file, as they are: whether committed or not, whatever else is beside them. */
export function tracelabHash(projectRoot: string = ownRoot): string {
	const files = ["index.ts", "package-lock.json"].map((name) => [name, readFileSync(join(projectRoot, name), "utf8")]);
	const folders = ["components", "scripts", "spec"].map((name) => [name, treeSha256(join(projectRoot, name))]);
	return contentSha256(Object.fromEntries([...files, ...folders]));
}
