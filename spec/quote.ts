/** Most characters of a text that are shown: the place says where the rest is. */
const mostShown = 200;

/**
 * What comes before a secret in the query of an address: `?private_token=`, `&X-Amz-Signature=` and the like. Without flags, as editors
 * have it from the JSON Schema.
 */
export const secretQuery =
	"[?&](?:[^=&#\\s]*(?:[Tt]oken|[Ss]ecret|[Pp]assw|[Ss]ignature|[Cc]redential|[Kk]ey)[^=&#\\s]*|sig|auth|pass)=";

/** Text in quotes, on one line, as `visible` has it. */
export function quote(text: string): string {
	return escaped(JSON.stringify(shortened(withoutSecrets(text))));
}

/**
 * The beginning of a text, with nothing in it that a terminal would act on or hide: control and format characters, and
 * spaces that look like others, are written as escapes, and the password or token of an address is left out.
 */
export function visible(text: string): string {
	return escaped(shortened(withoutSecrets(text)));
}

/** Names in a row, as many as a person reads. */
export function listed(names: readonly string[]): string {
	const first = names.slice(0, 20).map(visible).join(", ");
	return names.length <= 20 ? first : `${first} and ${names.length - 20} more`;
}

function escaped(text: string): string {
	return text.replace(/(?! )[\p{Cc}\p{Cf}\p{Cs}\p{Z}]/gu, (character) =>
		[...character].map((part) => `\\u{${(part.codePointAt(0) ?? 0).toString(16)}}`).join(""),
	);
}

function shortened(text: string): string {
	const characters = [...text];
	return characters.length <= mostShown ? text : `${characters.slice(0, mostShown).join("")}…`;
}

function withoutSecrets(text: string): string {
	return text.replace(/:\/\/[^/"\s]*@/g, "://…@").replace(new RegExp(`(${secretQuery})[^&#"\\s]*`, "g"), "$1…");
}
