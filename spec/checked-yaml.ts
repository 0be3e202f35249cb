import type { z } from "zod";
import { type Finding, located } from "./finding.ts";
import type { JsonSchema } from "./json-schema.ts";
import { plain } from "./located.ts";
import { readYaml } from "./read-yaml.ts";
import { schemaFindings } from "./schema-findings.ts";
import type { Fault, Problem } from "./stack-file-error.ts";

/** What a file holds where it is as it must be, or all that is wrong with it, in the order of its lines. */
export type CheckedYaml<T> = { readonly value: T } | { readonly problems: readonly Problem[] };

/** How a file must be. */
export interface YamlRules<T> {
	readonly schema: z.ZodType<T>;
	/** The same for texts that a person reads. */
	readonly json: JsonSchema;
	/** What is said of a file that is no map. */
	readonly notAMap: Fault;
	/** What the schema cannot tell. */
	readonly further?: (value: T) => Finding[];
}

/** Reads a file and checks it; undefined where there is none. `shown` is what problems call it. */
export function checkedYaml<T>(path: string, shown: string, rules: YamlRules<T>): CheckedYaml<T> | undefined {
	const yaml = readYaml(path, shown);
	if (yaml === undefined) return undefined;
	if (yaml.root === undefined) return { problems: yaml.problems };
	if (yaml.root.content.kind !== "map") return { problems: [{ ...yaml.root.place, path: "", ...rules.notAMap }] };
	const value = plain(yaml.root);
	const result = rules.schema.safeParse(value);
	const findings = result.success
		? (rules.further?.(result.data) ?? [])
		: schemaFindings(result.error.issues, value, rules.json);
	const problems = [...yaml.problems, ...located(yaml.root, findings)];
	if (result.success && problems.length === 0) return { value: result.data };
	return { problems: problems.sort((a, b) => a.line - b.line || a.column - b.column) };
}
