/**
 * npm run bench: how long the lab takes, as ratios to what a person would otherwise do, on one machine in one run.
 *
 *     npm run bench            all figures
 *     npm run bench -- kernel  what the quickstart kernel costs beside a defconfig: builds both plainly, some 30 minutes on two cores
 *     npm run bench -- cold    what a first up costs: builds everything twice, some 30 minutes on two cores
 *     npm run bench -- quick   what a lab that is built costs: builds nothing but a module
 *     npm run bench -- again   whether builds are the same when made again, and what a pull costs: builds everything once
 *     npm run bench -- traces  what tracing costs: builds a second QEMU, without tracepoints
 *
 * Runs on a stack of its own. The cold figures put the lab's caches aside and bring them back.
 */
import { table } from "../cli/terminal.ts";
import { againFigures } from "./again.ts";
import { coldFigures } from "./cold.ts";
import { Bench, type Figure } from "./figure.ts";
import { kernelFigures } from "./kernel.ts";
import { quickFigures } from "./quick.ts";
import { traceFigures } from "./traces.ts";

const parts = {
	cold: coldFigures,
	kernel: kernelFigures,
	again: againFigures,
	quick: quickFigures,
	traces: traceFigures,
};
const only = process.argv[2];
if (only !== undefined && !(only in parts)) {
	process.stderr.write(
		`bench: there is no part ${only}: take ${Object.keys(parts).join(", ")}, or none for all of them\n`,
	);
	process.exit(2);
}

const bench = new Bench();
const figures: Figure[] = [];
try {
	bench.refuseWhereLabsAreUp();
	for (const [part, measure] of Object.entries(parts)) {
		if (only === undefined || only === part) figures.push(...(await measure(bench)));
	}
} finally {
	// Of the parts that came to their end, where one did not.
	const rows = figures.map(({ name, measured, goal = "", met }) => [
		met === undefined ? "" : met ? "met" : "MISSED",
		name,
		measured,
		goal,
	]);
	if (rows.length > 0) process.stdout.write(`${table(["", "WHAT", "MEASURED", "GOAL"], rows)}\n`);
	await bench.end();
}
process.exitCode = figures.every(({ met }) => met !== false) ? 0 : 1;
