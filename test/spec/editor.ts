import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

// stacks/schema.json, read by zod as an editor's YAML server reads it.

const text = readFileSync(join(import.meta.dirname, "../../stacks/schema.json"), "utf8")
	// zod compiles patterns without the flag u, which these classes need. No surrogate is in a text that was UTF-8.
	.replaceAll("\\\\p{Cc}", "\\\\x00-\\\\x1f\\\\x7f-\\\\x9f")
	.replaceAll("\\\\p{Cs}", "");

// zod knows neither if nor else.
const { if: condition, else: otherwise, ...rest } = JSON.parse(text);
const always = z.fromJSONSchema(rest);
const extendsAnother = z.fromJSONSchema(condition);
const alone = z.fromJSONSchema(otherwise);

/** The paths that an editor marks in a stack file that was parsed: of an unknown key its own. */
export function editorMarks(file: unknown): string[] {
	const schemas = extendsAnother.safeParse(file).success ? [always] : [always, alone];
	const issues = schemas.flatMap((schema) => schema.safeParse(file).error?.issues ?? []);
	const paths = issues.flatMap((issue) =>
		issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path, key]) : [issue.path],
	);
	return [...new Set(paths.map((path) => path.join(".")))].sort();
}
