/** Text in quotes, on one line, with nothing in it that a terminal would act on or hide, and no password. */
export function quote(text: string): string {
	return visible(JSON.stringify(text).replace(/:\/\/[^/"]*@/, "://…@"));
}

/** Text with control and format characters written as escapes, as JSON has them. */
export function visible(text: string): string {
	return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
		[...character].map((part) => `\\u{${(part.codePointAt(0) ?? 0).toString(16)}}`).join(""),
	);
}
