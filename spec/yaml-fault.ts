import type { YAMLError } from "yaml";
import { quote, visible } from "./quote.ts";
import type { Fault } from "./stack-file-error.ts";

export const nestedTooDeeply: Fault = { message: "values are nested too deeply", hint: "is it a stack file at all?" };

/** What the parser found, in words about the file; where there are no better, its own. `text` starts at the place. */
export function yamlFault({ code, message }: YAMLError, text: string): Fault {
	switch (code) {
		case "DUPLICATE_KEY":
			return {
				message: `the key ${quote(text.split(/\s*[:\n]/, 1)[0] ?? "")} is there twice in one map`,
				hint: "keep one of them",
			};
		case "BLOCK_AS_IMPLICIT_KEY":
			return {
				message: "a colon too many in this line",
				hint: 'put a text with a colon in it in quotes: "a: b", "a:"',
			};
		case "MULTIPLE_DOCS":
			return { message: "a second document starts here", hint: "take the line --- out: a stack file is one document" };
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
			return {
				message: "a tag (!) that means nothing here",
				hint: "take it out; a text that starts with ! needs quotes",
			};
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
