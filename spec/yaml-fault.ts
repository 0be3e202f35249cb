import type { YAMLError } from "yaml";
import { quote, visible } from "./quote.ts";
import type { Fault } from "./stack-file-error.ts";

export const nestedTooDeeply: Fault = { message: "values are nested too deeply", hint: "is it a stack file at all?" };

/** A tag other than those of YAML's own plain kinds. */
export const strayTag: Fault = {
	message: "a tag (!) that means nothing here",
	hint: "take it out; a text that starts with ! needs quotes",
};

/** What the parser found, in words about the file; where there are no better, its own. `line` is the text of the line. */
export function yamlFault({ code, message }: YAMLError, line: string): Fault {
	const [space] = /[^\P{Zs} ]/u.exec(line) ?? [];
	if (space !== undefined) {
		return {
			message: `a space in this line is none to YAML: ${quote(space)}`,
			hint: "type a plain space in its place",
		};
	}
	switch (code) {
		case "BLOCK_AS_IMPLICIT_KEY":
			return {
				message: "a colon too many in this line",
				hint: 'put a text with a colon in it in quotes: "a: b", "a:"',
			};
		case "MULTIPLE_DOCS":
			return {
				message: "a second document starts here",
				hint: "take the line --- or ... out: a stack file is one document",
			};
		case "TAB_AS_INDENT":
			return { message: "a tab indents this line", hint: "use spaces: YAML allows no tabs there" };
		case "BAD_INDENT":
			if (message.startsWith("Flow"))
				return { message: "a [ or { further up is never closed", hint: "close it with ] or }" };
			return {
				message: "the indentation changes here",
				hint: "give all keys of a map, and all items of a list, the same number of spaces",
			};
		case "TAG_RESOLVE_FAILED":
			return strayTag;
		case "BAD_SCALAR_START":
			return { message: `a text cannot start with ${quote(message.slice(-1))} here`, hint: "put it in quotes" };
		case "BAD_DQ_ESCAPE":
			return {
				message: `${quote(/\S*$/.exec(message)?.[0] ?? "")} is no escape in double quotes`,
				hint: "write \\\\ for a backslash, or put the text in single quotes",
			};
		case "BAD_ALIAS":
			return { message: "a * that no name follows", hint: "a text that starts with * needs quotes" };
		case "BAD_DIRECTIVE":
			return { message: "a directive (%) that YAML does not have", hint: "take the line out" };
		case "BLOCK_IN_FLOW":
			return { message: "a comma is missing in this [ or {", hint: "put one between two items" };
		case "UNEXPECTED_TOKEN":
			if (message.startsWith("Unexpected , in flow"))
				return { message: "a comma too many in this [ or {", hint: "put one between two items" };
			break;
		case "MISSING_CHAR":
			if (/quote/.test(message))
				return { message: "a quote further up is never closed", hint: "close it, or take it out" };
			break;
	}
	if (/call stack/i.test(message)) return nestedTooDeeply;
	const words = message.charAt(0).toLowerCase() + message.slice(1);
	return {
		message: `not YAML: ${visible(words)}`,
		hint: "compare the line, and the one above, with those of stacks/quickstart.yaml",
	};
}
