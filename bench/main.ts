/**
 * npm run bench: how long the lab takes, as ratios to what a person would otherwise do, on one machine in one run.
 *
 *     npm run bench            all figures; builds everything twice, some 30 minutes on two cores
 *     npm run bench -- quick   those that build nothing: the lab must be built already
 *
 * Runs on a stack of its own. The cold figures put the lab's caches aside and bring them back.
 */
import { table } from "../cli/terminal.ts";
import { coldFigures } from "./cold.ts";
import { Bench, type Figure } from "./figure.ts";
import { quickFigures } from "./quick.ts";

const bench = new Bench();
const figures: Figure[] = [];
try {
	bench.refuseWhereLabsAreUp();
	if (process.argv[2] !== "quick") figures.push(...(await coldFigures(bench)));
	figures.push(...(await quickFigures(bench)));
} finally {
	await bench.end();
}
const rows = figures.map(({ name, measured, goal, met }) => [met ? "met" : "MISSED", name, measured, goal]);
process.stdout.write(`${table(["", "WHAT", "MEASURED", "GOAL"], rows)}\n`);
process.exitCode = figures.every(({ met }) => met) ? 0 : 1;
