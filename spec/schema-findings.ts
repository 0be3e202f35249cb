import type { z } from "zod";
import { didYouMean, nearest } from "./did-you-mean.ts";
import type { Finding } from "./finding.ts";
import type { JsonSchema } from "./json-schema.ts";
import type { Path } from "./located.ts";
import { quote, visible } from "./quote.ts";

type Issue = z.core.$ZodIssue;

/** What the schema says of a file, in words for a person: at most one finding a value. */
export function schemaFindings(issues: readonly Issue[], stack: unknown, schema: JsonSchema): Finding[] {
	const findings = new Map<string, Finding>();
	for (const finding of issues.flatMap((issue) => explain({ issue, path: toPath(issue.path), stack, schema }))) {
		const id = JSON.stringify([finding.path, finding.at === "key" ? finding.message : ""]);
		if (!findings.has(id)) findings.set(id, finding);
	}
	return [...findings.values()];
}

interface Context {
	issue: Issue;
	path: Path;
	stack: unknown;
	schema: JsonSchema;
}

function explain(context: Context): Finding[] {
	const { issue, path } = context;
	const value = valueAt(context.stack, path);
	const field = fieldAt(context.schema, path);
	const hint = rule(field);
	switch (issue.code) {
		case "invalid_type":
			return value === undefined ? missing(context) : [wrongType(path, issue.expected, value, field)];
		case "unrecognized_keys":
			return issue.keys.map((key) => unknownKey([...path, key], key, field));
		case "invalid_key":
			return [invalidKey(path, fieldAt(context.schema, path.slice(0, -1)))];
		case "invalid_value":
			return [notOneOf(path, value, issue.values.map(String), field)];
		case "invalid_format":
			return [
				{ path, at: "value", message: `${show(value)} is not ${article(field.title ?? "text as wanted")}`, hint },
			];
		case "too_big":
		case "too_small":
			return [
				{
					path,
					at: "value",
					message: outOfBounds(issue, value, field),
					hint: Array.isArray(value) ? `write at least one: ${hint}` : hint,
				},
			];
		case "invalid_union":
			return unionIssues(context, value);
		case "custom":
			return [{ path, at: "value", message: issue.message, hint: String(issue.params?.["hint"] ?? hint) }];
		default:
			return [{ path, at: "value", message: issue.message, hint }];
	}
}

/** Of a text or a map, what is wrong with it as what it is. */
function unionIssues(context: Context, value: unknown): Finding[] {
	const { issue, path } = context;
	if (issue.code !== "invalid_union") return [];
	if (value === undefined) return missing(context);
	const within = issue.errors.find((errors) =>
		errors.some((error) => error.code !== "invalid_type" || error.path.length > 0),
	);
	if (within === undefined) return [wrongType(path, "source", value, fieldAt(context.schema, path))];
	return within.flatMap((inner) => explain({ ...context, issue: inner, path: [...path, ...toPath(inner.path)] }));
}

/** Where the key is there, but misspelled, it is told as an unknown one; where its value could not be read, that is told. */
function missing({ path, schema, stack }: Context): Finding[] {
	const key = String(path.at(-1));
	const within = path.slice(0, -1);
	const known = keysOf(fieldAt(schema, within));
	const written = Object.keys(asMap(valueAt(stack, within)));
	if (written.includes(key)) return [];
	if (written.some((other) => !known.includes(other) && nearest(other, known) === key)) return [];
	const hint = `add it: ${rule(fieldAt(schema, path), key)}`;
	return [{ path: within, at: "key", message: `${show(key)} is missing`, hint }];
}

const typeNames: Readonly<Record<string, string>> = {
	array: "a list",
	boolean: "true or false",
	fraction: "a number",
	int: "a whole number",
	number: "a whole number",
	object: "a map",
	record: "a map",
	source: "text or a map",
	string: "text",
};

function wrongType(path: Path, expected: string, value: unknown, field: JsonSchema): Finding {
	const last = path.at(-1);
	const key = typeof last === "string" ? last : undefined;
	const finding = {
		path,
		at: "value" as const,
		message: `must be ${typeNames[field.type === "number" ? "fraction" : expected] ?? expected}, not ${describe(value)}`,
	};
	const isScalar = value !== null && typeof value !== "object";
	if (value === null) return { ...finding, hint: `write its value, or take the line out: ${rule(field, key)}` };
	if (expected === "array" && /^-[^-\s]/.test(String(value)))
		return { ...finding, hint: "put a space behind each dash: - ITEM" };
	const [, wantedKey = "", wantedValue = ""] = /^([A-Za-z]+):(\S.*)/.exec(String(value)) ?? [];
	if (expected === "object" && keysOf(field).includes(wantedKey))
		return { ...finding, hint: `put a space behind the colon: ${wantedKey}: ${visible(wantedValue)}` };
	if (expected === "array" && isScalar)
		return { ...finding, hint: `write it as a list: ${key}: [${visible(String(value))}]` };
	if (typeof value === "string" && (expected === "int" || expected === "number") && /^-?[0-9]+$/.test(value))
		return { ...finding, hint: `take the quotes away: ${key}: ${value}` };
	if (typeof value === "string" && expected === "boolean" && /^(?:yes|no|on|off|true|false)$/i.test(value))
		return { ...finding, hint: `write ${key}: ${/^(?:yes|on|true)$/i.test(value)}, without quotes: all else is text` };
	if (expected === "string" && isScalar)
		return { ...finding, hint: `put it in quotes if it is meant: YAML takes it for a ${typeof value}` };
	return { ...finding, hint: rule(field, key) };
}

function unknownKey(path: Path, key: string, field: JsonSchema): Finding {
	const known = keysOf(field);
	const hint = `the keys here are: ${known.join(", ")}`;
	return {
		path,
		at: "key",
		message: `unknown key ${show(key)}${didYouMean(key, known)}`,
		hint: key === "<<" ? `YAML 1.2 has no merge keys, so write the keys out; ${hint}` : hint,
	};
}

function invalidKey(path: Path, { propertyNames }: JsonSchema): Finding {
	const title = propertyNames?.title ?? "name";
	return { path, at: "key", message: `${show(path.at(-1))} is not ${article(title)}`, hint: rule(propertyNames ?? {}) };
}

function notOneOf(path: Path, value: unknown, values: string[], { title = "value" }: JsonSchema): Finding {
	const isText = typeof value === "string";
	return {
		path,
		at: "value",
		message: `${isText ? show(value) : describe(value)} is not ${article(title)}${isText ? didYouMean(value, values) : ""}`,
		hint: `write one of: ${values.join(", ")}`,
	};
}

function outOfBounds(issue: Issue, value: unknown, { title = "value" }: JsonSchema): string {
	if (typeof value === "string" && issue.code === "too_big") {
		return `${show(value)} is ${Buffer.byteLength(value)} bytes long, and ${article(title)} has at most ${issue.maximum}`;
	}
	if (typeof value === "number") return `${value} is too ${issue.code === "too_big" ? "large" : "small"}`;
	return Array.isArray(value) ? "the list is empty" : "is empty";
}

/** The rule of a value, with an example where there is one. */
function rule({ description, examples, enum: values, type, properties }: JsonSchema, key?: string): string {
	const [example] = examples ?? values ?? [];
	if (description === undefined && type === "object")
		return `its keys are: ${Object.keys(properties ?? {}).join(", ")}`;
	if (description === undefined) return "see stacks/schema.json";
	if (example === undefined) return description;
	return `${description} For example: ${key === undefined ? "" : `${key}: `}${example}`;
}

/** What the schema says of the value at a path; of a value of several forms, all of them as one. */
function fieldAt(schema: JsonSchema, path: Path): JsonSchema {
	let here: JsonSchema = schema;
	for (const part of path) here = fieldOf(here, part) ?? {};
	return here;
}

function keysOf({ properties = {}, anyOf = [] }: JsonSchema): string[] {
	return [...Object.keys(properties), ...anyOf.flatMap(keysOf)];
}

function fieldOf(field: JsonSchema, part: string | number): JsonSchema | undefined {
	if (typeof part === "number") return field.items;
	const { properties = {}, additionalProperties, anyOf = [] } = field;
	if (Object.hasOwn(properties, part)) return properties[part];
	if (typeof additionalProperties === "object") return additionalProperties;
	return anyOf.map((form) => fieldOf(form, part)).find((found) => found !== undefined);
}

function valueAt(stack: unknown, path: Path): unknown {
	let here = stack;
	for (const part of path) here = Array.isArray(here) ? here[Number(part)] : asMap(here)[String(part)];
	return here;
}

function asMap(value: unknown): Record<string, unknown> {
	const entries = value !== null && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : [];
	return Object.assign(Object.create(null), Object.fromEntries(entries));
}

function describe(value: unknown): string {
	if (value === null) return "nothing";
	if (Array.isArray(value)) return "a list";
	if (typeof value === "object") return "a map";
	if (typeof value === "number") return `the number ${value}`;
	return typeof value === "string" ? `the text ${show(value)}` : String(value);
}

const toPath = (path: readonly PropertyKey[]): Path =>
	path.map((part) => (typeof part === "number" ? part : String(part)));
const show = (value: unknown): string => (typeof value === "string" ? quote(value) : String(value));
const article = (noun: string): string => `${/^[aeiou]/i.test(noun) ? "an" : "a"} ${noun}`;
