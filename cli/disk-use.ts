import { run } from "./program.ts";

/** Bytes that each of these files and folders takes on disk; none for what is gone, or cannot be looked into. */
export async function diskUse(paths: readonly string[]): Promise<Map<string, number>> {
	if (paths.length === 0) return new Map();
	// Its exit status is for what went away meanwhile, too.
	const { stdout } = await run("du", ["--summarize", "--block-size=1", "--one-file-system", "--", ...paths]);
	const rows = stdout.split("\n").map((line) => line.split("\t"));
	return new Map(rows.flatMap(([bytes, path]) => (path === undefined ? [] : [[path, Number(bytes)]])));
}
