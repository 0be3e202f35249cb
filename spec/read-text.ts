import { readFileSync, statSync } from "node:fs";
import type { Fault } from "./stack-file-error.ts";

/**
 * The text of a file, or why it has none that can be read; undefined where there is no file.
 *
 * @param maxBytes largest file that is read: a stack file has a few thousand
 */
export function readText(path: string, maxBytes = 65536): string | Fault | undefined {
	let bytes: Buffer;
	try {
		const stats = statSync(path);
		// A pipe would be waited for, and a device may never end.
		if (!stats.isFile() && !stats.isDirectory()) {
			return { message: "is a device, a pipe or a socket, not a file", hint: "see what the name leads to: ls -lL" };
		}
		if (stats.isFile() && stats.size > maxBytes) {
			return {
				message: `is ${stats.size} bytes long, and at most ${maxBytes} are read`,
				hint: "is it the right file?",
			};
		}
		bytes = readFileSync(path);
	} catch (error) {
		const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
		if (code === "ENOENT" || code === "ENOTDIR") return undefined;
		if (code === "EISDIR")
			return { message: "is a folder, not a file", hint: "move the folder away, and write the file" };
		if (code === "EACCES")
			return { message: "cannot be read: no permission", hint: "make it readable for yourself: chmod u+r" };
		return { message: `cannot be read: ${code}`, hint: "see what the name leads to: ls -l" };
	}
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch {
		return { message: "is not UTF-8 text", hint: "save it as UTF-8: iconv -f latin1 -t utf-8" };
	}
}
