import { z } from "zod";
import { lockSchema } from "./lock-schema.ts";
import { profileSchema } from "./profile.ts";
import { stackFileSchema } from "./schema.ts";

/** The part of JSON Schema that a stack file's schema uses. */
export interface JsonSchema {
	readonly title?: string;
	readonly description?: string;
	readonly examples?: readonly unknown[];
	readonly type?: string;
	readonly enum?: readonly unknown[];
	readonly required?: readonly string[];
	readonly properties?: Readonly<Record<string, JsonSchema>>;
	readonly propertyNames?: JsonSchema;
	readonly additionalProperties?: JsonSchema | boolean;
	readonly items?: JsonSchema;
	readonly anyOf?: readonly JsonSchema[];
	readonly if?: JsonSchema;
	readonly else?: JsonSchema;
}

/** The JSON Schema of a stack file as a person writes it, where what has a default may be left out. */
export const stackJsonSchema = once(() => jsonSchema(stackFileSchema));

/** The JSON Schema of an event profile. */
export const profileJsonSchema = once(() => jsonSchema(profileSchema));

/** The JSON Schema of a lock: only for what is said of one, since no editor needs it. */
export const lockJsonSchema = once(() => jsonSchema(lockSchema));

/** stacks/schema.json: editors see one file alone, so nothing is required of one that extends another. */
export const stackJsonSchemaText = (): string =>
	text(
		{
			...jsonSchema(stackFileSchema, { override: ({ jsonSchema }) => delete jsonSchema.required }),
			if: { type: "object", required: ["extends"], properties: { extends: {} } },
			else: whatMustBeThere(stackJsonSchema()),
		},
		"tracelab stack",
		"A lab of tracelab: stacks/STACK.yaml. Whether one that extends another lacks a key, the lab itself checks.",
	);

/** profiles/schema.json. */
export const profileJsonSchemaText = (): string =>
	text(profileJsonSchema(), "tracelab profile", "What a trace records: profiles/PROFILE.yaml.");

/** Made when it is first needed: that takes longer than to read a file. */
function once(make: () => JsonSchema): () => JsonSchema {
	let made: JsonSchema | undefined;
	return () => {
		made ??= make();
		return made;
	};
}

function jsonSchema(schema: z.ZodType, options: z.core.ToJSONSchemaParams = {}): JsonSchema {
	// Draft 7 is what editors' YAML servers know best.
	return z.toJSONSchema(schema, { io: "input", target: "draft-7", ...options }) as JsonSchema;
}

/** A schema's types and required keys, without the keys of which nothing more is said then. */
function whatMustBeThere({ type, required, properties, additionalProperties, anyOf }: JsonSchema): JsonSchema {
	const saysMore = (field: JsonSchema) => Object.keys(field).some((key) => key !== "type");
	const within = Object.entries(properties ?? {})
		.map(([key, field]): [string, JsonSchema] => [key, whatMustBeThere(field)])
		.filter(([key, field]) => required?.includes(key) || saysMore(field));
	const named = typeof additionalProperties === "object" ? whatMustBeThere(additionalProperties) : {};
	return {
		...(type && { type }),
		...(required && { required }),
		...(within.length > 0 && { properties: Object.fromEntries(within) }),
		...(saysMore(named) && { additionalProperties: named }),
		...(anyOf && { anyOf: anyOf.map(whatMustBeThere) }),
	};
}

function text(schema: JsonSchema, title: string, description: string): string {
	const { $schema, ...rest } = schema as JsonSchema & { $schema?: string };
	return `${JSON.stringify({ $schema, title, description, ...rest }, undefined, "\t")}\n`;
}
