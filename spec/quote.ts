/** Most characters of a text that are shown: the place says where the rest is. */
const mostShown = 120;

/** Text in quotes, on one line, with nothing in it that a terminal would act on or hide, and no password. */
export function quote(text: string): string {
	const characters = [...withoutPassword(text)];
	const shown = characters.length <= mostShown ? characters : [...characters.slice(0, mostShown), "…"];
	return visible(JSON.stringify(shown.join("")));
}

/** Text without password, and with control and format characters, and spaces that look like others, written as escapes. */
export function visible(text: string): string {
	return withoutPassword(text).replace(/(?! )[\p{Cc}\p{Cf}\p{Cs}\p{Z}]/gu, (character) =>
		[...character].map((part) => `\\u{${(part.codePointAt(0) ?? 0).toString(16)}}`).join(""),
	);
}

/** Names in a row, as many as a person reads. */
export function listed(names: readonly string[]): string {
	const first = names.slice(0, 20).map(visible).join(", ");
	return names.length <= 20 ? first : `${first} and ${names.length - 20} more`;
}

function withoutPassword(text: string): string {
	return text.replace(/:\/\/[^/"\s]*@/g, "://…@");
}
