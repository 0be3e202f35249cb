import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { say, size } from "../cli/terminal.ts";
import { readLock } from "../spec/lock.ts";
import { type Bench, type Figure, seconds } from "./figure.ts";

const builds = "/var/cache/tracelab/builds";

/** Whether a lab is the same when it is made again, and what it costs to get it from somebody who has it. */
export async function againFigures(bench: Bench): Promise<Figure[]> {
	const scratch = mkdtempSync(join(tmpdir(), "tracelab-bench-"));
	const [store, archive] = [join(scratch, "store"), join(scratch, "lab.tar")];
	try {
		await bench.lab("up");
		let table = "";
		const built = await seconds("all builds once more, one after the other", async () => {
			const { stdout, all } = await bench.copy.lab("--stack", bench.stack, "rebuild", "--check");
			table = stdout;
			say(stdout === "" ? all : stdout);
		});
		const verdicts = [...table.matchAll(/^(same|DIFFERS) /gm)].map(([, verdict]) => verdict);
		const same = verdicts.filter((verdict) => verdict === "same").length;
		await bench.lab("lock");
		const pushed = await seconds("push", () => bench.lab("push", store));
		await seconds("bundle", () => bench.lab("bundle", archive));
		await bench.lab("destroy", "--yes");
		for (const { build } of Object.values(readLock(bench.stack, undefined, bench.copy.folder) ?? {}))
			rmSync(`${builds}/${build}`, { recursive: true, force: true });
		const pulled = await seconds("pull", () => bench.lab("pull", store));
		const up = await seconds("up of what was pulled", () => bench.lab("up"));
		return [
			{
				name: "results that are the same, of those built twice",
				measured: `${same} of ${verdicts.length}`,
				goal: "all",
				met: same === verdicts.length && same > 0,
			},
			{
				name: "pull of all builds from a folder, beside building them",
				measured: `${(pulled / built).toFixed(3)} × (${pulled.toFixed(0)} s against ${built.toFixed(0)} s; push ${pushed.toFixed(0)} s)`,
			},
			{
				name: "pull and up, where the host packages are there",
				measured: `${(pulled + up).toFixed(0)} s`,
				goal: "120 s",
				met: pulled + up <= 120,
			},
			{ name: "bundle of quickstart", measured: size(statSync(archive).size) },
		];
	} finally {
		rmSync(scratch, { recursive: true });
	}
}
