/** Text that is HTML already. */
export class Html {
	readonly text: string;

	constructor(text: string) {
		this.text = text;
	}
}

type Part = Html | string | number | readonly Part[] | undefined | false;

const escapes: Readonly<Record<string, string>> = {
	"&": "&amp;",
	"<": "&lt;",
	">": "&gt;",
	'"': "&quot;",
	"'": "&#39;",
};

/** Makes HTML of a template: what is put in is text, unless it is HTML itself. */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Html {
	return new Html(texts.map((text, index) => text + written(parts[index])).join(""));
}

function written(part: Part): string {
	if (part === undefined || part === false) return "";
	if (part instanceof Html) return part.text;
	if (Array.isArray(part)) return part.map(written).join("");
	return visible(String(part)).replace(/[&<>"']/g, (character) => escapes[character] ?? "");
}

/** A character that no one sees, or that turns the text around it, is shown as its code. */
function visible(text: string): string {
	return text.replace(
		/(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}]/gu,
		(character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
	);
}
