import { join } from "node:path";
import { LabError } from "../cli/errors.ts";
import { say } from "../cli/terminal.ts";
import { type Bench, type Figure, inScratch, seconds, without } from "./figure.ts";
import { installHostPackages } from "./plain.ts";

/** Whether a lab is the same when it is made again, and what it costs to get it from somebody who has it. */
export async function againFigures(bench: Bench): Promise<Figure[]> {
	await installHostPackages("rclone", "zstd");
	return inScratch(bench, async (scratch) => {
		const store = join(scratch, "store");
		await bench.lab("up");
		const { verdicts, took: built } = await builtAgain(bench);
		const same = verdicts.filter((verdict) => verdict === "same").length;
		await bench.lab("lock");
		const pushed = await seconds("push", () => bench.lab("push", store));
		await bench.lab("destroy", "--yes");
		const [pulled, up] = await without("/var/cache/tracelab/builds", async () => {
			const times = [
				await seconds("pull", () => pullAll(bench, store, verdicts.length)),
				await seconds("up of what was pulled", () => bench.lab("up")),
			] as const;
			await bench.lab("destroy", "--yes");
			return times;
		});
		return [
			{
				name: "results that are the same, of those built twice",
				measured: `${same} of ${verdicts.length}`,
				goal: "all",
				met: same === verdicts.length,
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
		];
	});
}

/** What a second building of everything says of each build, and the seconds that it took. */
async function builtAgain({ copy, stack }: Bench): Promise<{ verdicts: string[]; took: number }> {
	let table = "";
	const took = await seconds("all builds once more, one after the other", async () => {
		const { stdout, all } = await copy.lab("--stack", stack, "rebuild", "--check");
		// It ends with 1 as well where it was made, and is another.
		if (stdout === "") throw new LabError(`the builds cannot be made again:\n${all}`);
		table = stdout;
		say(stdout);
	});
	return { verdicts: [...table.matchAll(/^(same|DIFFERS) /gm)].map(([, verdict = ""]) => verdict), took };
}

async function pullAll(bench: Bench, store: string, builds: number): Promise<void> {
	const { stdout } = await bench.lab("pull", store);
	const pulled = [...stdout.matchAll(/: pulled, /g)].length;
	if (pulled !== builds) throw new LabError(`${pulled} of ${builds} builds were pulled:\n${stdout}`);
}
