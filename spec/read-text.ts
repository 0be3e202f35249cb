import { readFileSync } from "node:fs";
import type { Fault } from "./stack-file-error.ts";

/** Largest file that is read, in bytes: a stack file has a few thousand. */
const maxBytes = 65536;

/** The text of a file, or why it has none that can be read; undefined where there is no file. */
export function readText(path: string): string | Fault | undefined {
	let bytes: Buffer;
	try {
		bytes = readFileSync(path);
	} catch (error) {
		const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
		if (code === "ENOENT" || code === "ENOTDIR") return undefined;
		if (code === "EISDIR")
			return { message: "is a folder, not a file", hint: "a stack is one file: move the folder away" };
		if (code === "EACCES")
			return { message: "cannot be read: no permission", hint: "make it readable for yourself: chmod u+r" };
		return { message: `cannot be read: ${code}`, hint: "see what the name leads to: ls -l" };
	}
	if (bytes.length > maxBytes) {
		return {
			message: `is ${bytes.length} bytes long, and at most ${maxBytes} are read`,
			hint: "is it a stack file at all?",
		};
	}
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch {
		return { message: "is not UTF-8 text", hint: "save it as UTF-8: iconv -f latin1 -t utf-8" };
	}
}
