/**
 * npm run bench [-- PART]: how long the lab takes, as ratios to what a person would otherwise do, on one machine in one run.
 *
 * Runs on a stack of its own. The cold figures put the lab's caches aside and bring them back.
 */
import { errorText } from "../cli/errors.ts";
import { say, table } from "../cli/terminal.ts";
import { againFigures } from "./again.ts";
import { budgetFigures } from "./budgets.ts";
import { bundleFigures } from "./bundle.ts";
import { clockFigures } from "./clock.ts";
import { coldFigures } from "./cold.ts";
import { Bench, type Figure, refuseWhereLabsAreUp } from "./figure.ts";
import { kernelFigures } from "./kernel.ts";
import { quickFigures } from "./quick.ts";
import { traceFigures } from "./traces.ts";

interface Part {
	measure: (bench: Bench) => Promise<Figure[]>;
	what: string;
}

const parts: Readonly<Record<string, Part>> = {
	cold: { measure: coldFigures, what: "what a first up costs: builds everything twice, some 30 minutes on two cores" },
	kernel: {
		measure: kernelFigures,
		what: "what the quickstart kernel costs beside a defconfig: builds both plainly, some 30 minutes on two cores",
	},
	again: {
		measure: againFigures,
		what: "whether builds are the same when made again, and what a pull costs: builds everything once",
	},
	bundle: {
		measure: bundleFigures,
		what: "whether a lab comes up from its bundle without a network: builds everything once",
	},
	quick: { measure: quickFigures, what: "what a lab that is built costs: builds nothing but a module" },
	clock: { measure: clockFigures, what: "how exactly the clocks are put on one, and what that costs: some 5 minutes" },
	budgets: { measure: budgetFigures, what: "whether profiles lose events at their budgets: some 15 minutes" },
	traces: { measure: traceFigures, what: "what tracing costs: builds a second QEMU, without tracepoints" },
};

const [only] = process.argv.slice(2);
if (only === "--help") {
	const lines = Object.entries(parts).map(([part, { what }]) => [`  npm run bench -- ${part}`, what]);
	process.stdout.write(
		`${table([], [["  npm run bench", "all of these figures, one part after the other"], ...lines])}\n`,
	);
	process.exit(0);
}
if (only !== undefined && !Object.hasOwn(parts, only)) {
	process.stderr.write(
		`bench: there is no part ${only}: take ${Object.keys(parts).join(", ")}, or none for all of them\n`,
	);
	process.exit(2);
}

if (process.geteuid?.() !== 0) {
	say("bench: this needs root: sudo npm run bench");
	process.exit(2);
}

refuseWhereLabsAreUp();
const bench = new Bench();
const figures: Figure[] = [];
try {
	for (const [part, { measure }] of Object.entries(parts)) {
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
	// What went wrong before is thrown on.
	await bench.end().catch((error: unknown) => {
		say(errorText(error));
		process.exitCode = 1;
	});
}
if (!figures.every(({ met }) => met !== false)) process.exitCode = 1;
