import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { pulumiVersion } from "./parts.ts";
import { run } from "./run.ts";

/** The first `pulumi` on PATH, when it is new enough, is not ours and has its language host beside it. */
export async function pulumiOnPath(ourBin: string, log: string): Promise<string | undefined> {
	for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
		const program = join(folder, "pulumi");
		if (folder === "" || !existsSync(program) || isSameFolder(folder, ourBin)) continue;
		const real = realpathSync(program);
		const said = await run([program, "version"], { log, advice: "" }).catch(() => "");
		return isAtLeast(said, pulumiVersion) && existsSync(join(dirname(real), "pulumi-language-nodejs"))
			? real
			: undefined;
	}
	return undefined;
}

/** A folder has many spellings on PATH, and a link from ours to itself would be the end of it. */
function isSameFolder(one: string, other: string): boolean {
	return existsSync(other) && realpathSync(one) === realpathSync(other);
}

export function isAtLeast(said: string, wanted: string): boolean {
	const numbers = /^v?(\d+)\.(\d+)\.(\d+)/.exec(said.trim())?.slice(1).map(Number);
	if (numbers === undefined) return false;
	for (const [at, least] of wanted.split(".").map(Number).entries()) {
		const has = numbers[at] ?? 0;
		if (has !== least) return has > least;
	}
	return true;
}
