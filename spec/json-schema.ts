import { z } from "zod";
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
export function stackJsonSchema(): JsonSchema {
	// Draft 7 is what editors' YAML servers know best.
	return z.toJSONSchema(stackFileSchema, { io: "input", target: "draft-7" }) as JsonSchema;
}

/** stacks/schema.json. */
export function stackJsonSchemaText(): string {
	const { $schema, ...rest } = stackJsonSchema() as JsonSchema & { $schema?: string };
	const head = { $schema, title: "tracelab stack", description: "A lab of tracelab: stacks/STACK.yaml." };
	return `${JSON.stringify({ ...head, ...rest }, undefined, "\t")}\n`;
}
