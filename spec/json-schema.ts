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
	readonly properties?: Readonly<Record<string, JsonSchema>>;
	readonly propertyNames?: JsonSchema;
	readonly additionalProperties?: JsonSchema | boolean;
	readonly items?: JsonSchema;
	readonly anyOf?: readonly JsonSchema[];
}

/** The JSON Schema of a stack file as a person writes it, where what has a default may be left out. */
export const stackJsonSchema = once(() => jsonSchema(stackFileSchema));

/** The JSON Schema of an event profile. */
export const profileJsonSchema = once(() => jsonSchema(profileSchema));

/** The JSON Schema of a lock: only for what is said of one, since no editor needs it. */
export const lockJsonSchema = once(() => jsonSchema(lockSchema));

/** stacks/schema.json. */
export const stackJsonSchemaText = (): string =>
	text(stackJsonSchema(), "tracelab stack", "A lab of tracelab: stacks/STACK.yaml.");

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

function jsonSchema(schema: z.ZodType): JsonSchema {
	// Draft 7 is what editors' YAML servers know best.
	return z.toJSONSchema(schema, { io: "input", target: "draft-7" }) as JsonSchema;
}

function text(schema: JsonSchema, title: string, description: string): string {
	const { $schema, ...rest } = schema as JsonSchema & { $schema?: string };
	return `${JSON.stringify({ $schema, title, description, ...rest }, undefined, "\t")}\n`;
}
