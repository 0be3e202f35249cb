import { renameSync, rmSync } from "node:fs";

/** Has `write` make a file, which then takes the place of the one that is there: where it fails, that one stays as it is. */
export function replaceFile(file: string, write: (part: string) => void): void {
	const part = `${file}.part`;
	try {
		write(part);
		renameSync(part, file);
	} finally {
		rmSync(part, { force: true });
	}
}
