import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { pulumiVersion } from "./parts.ts";
import { run } from "./run.ts";

/** The first `pulumi` on PATH, when it is new enough, is not that of our PULUMI_HOME and has its language host beside it. */
export async function pulumiOnPath(home: string, log: string): Promise<string | undefined> {
	for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
		const program = join(folder, "pulumi");
		if (folder === "" || !existsSync(program) || isSameFolder(folder, join(home, "bin"))) continue;
		const real = realpathSync(program);
		// In a home of its own, it would leave a log even of this.
		const env = { ...process.env, PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" };
		const said = await run([program, "version"], { env, log, advice: "" }).catch(() => "");
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
