import { LabError } from "../cli/errors.ts";
import { loadProfile, profileNames } from "../spec/load-profile.ts";
import { type Bench, type Figure, median } from "./figure.ts";
import { recorded, traceRun, work } from "./runs.ts";

/** Runs of each profile. */
const rounds = 2;

/** Nanoseconds between the clocks of host and guest that a run may leave open. */
const goal = 2000;

/** How exactly a run's clocks are put on one, and what the beacons cost that do it. */
export async function clockFigures(bench: Bench): Promise<Figure[]> {
	await bench.lab("up");
	return [await boundFigure(bench), await beaconFigure(bench)];
}

/** By how much an event of the guest is off at most, in runs of all profiles that record a guest at work. */
async function boundFigure(bench: Bench): Promise<Figure> {
	const bounds: number[] = [];
	for (let round = 0; round < rounds; round++) {
		for (const profile of profileNames().filter((name) => !loadProfile(name).reset)) {
			const record = () => traceRun(bench, profile, work(5));
			bounds.push(await recorded(bench, profile, record, ({ clock }) => clock.guests["vm"]?.bound ?? Number.NaN));
		}
	}
	const worst = Math.max(...bounds);
	const microseconds = (ns: number) => `${(ns / 1000).toFixed(2)} µs`;
	return {
		name: "bound of the clocks' difference, the worst run's",
		measured: `${microseconds(worst)} of ${bounds.length} runs (median ${microseconds(median(bounds))})`,
		goal: microseconds(goal),
		met: worst <= goal,
	};
}

/** What the beacons of a run of two minutes cost, as there (cli/trace/guest.ts): the guest's kernel says what time on a processor they had. */
async function beaconFigure(bench: Bench): Promise<Figure> {
	const beacons = "$0 30 10000 0; $0 120 3000000 30; $0 30 10000 150";
	const timed = `TIMEFORMAT='%R %U %S'; time { ${beacons}; } >/dev/null`;
	const { stderr } = await bench.lab("exec", "vm", "--", "bash", "-c", timed, "/lab/bin/clock-beacon");
	const [wall = 0, user = 0, system = 0] = stderr.trim().split(" ").map(Number);
	const part = (100 * (user + system)) / wall;
	if (!(part > 0)) throw new LabError(`the guest's bash printed no times: ${stderr}`);
	return {
		name: "clock-beacon of a run, in processor time of the guest",
		measured: `${part.toFixed(2)} % of a vCPU, over ${Math.round(wall)} s`,
		goal: "0.1 %",
		met: part < 0.1,
	};
}
