import { clockBeacon } from "../cli/clock/clock.ts";
import { LabError } from "../cli/errors.ts";
import { loadProfile, profileNames } from "../spec/load-profile.ts";
import { type Bench, type Figure, median } from "./figure.ts";
import { recorded, traceRun, work } from "./runs.ts";

/** Runs of each profile. */
const rounds = 2;

/** Seconds that the beacons' run takes. */
const seconds = 120;

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

/** What the beacons of a run of two minutes cost, as there (cli/trace/guest.ts), from the start of their process to its end. */
async function beaconFigure(bench: Bench): Promise<Figure> {
	const measured = `set -e; g=/sys/fs/cgroup/clock-beacon f=/run/clock-beacon
		mkdir $g; trap 'rmdir $g; rm -f $f.pid' EXIT
		(echo $BASHPID >$g/cgroup.procs; exec "$0" 30 10000 3000000 $f.pid) >/dev/null
		sleep ${seconds}
		kill $(<$f.pid)
		while grep -q . $g/cgroup.procs; do sleep 0.1; done
		sed -n 's/^usage_usec //p' $g/cpu.stat`;
	const { stdout } = await bench.lab("exec", "vm", "--", "bash", "-c", measured, clockBeacon);
	const part = Number(stdout) / seconds / 1e4;
	if (!(part > 0)) throw new LabError(`the guest's kernel did not say what time the beacons had: ${stdout}`);
	return {
		name: "clock-beacon of a run, in processor time of the guest",
		measured: `${part.toFixed(2)} % of a vCPU, over ${seconds} s`,
		goal: "0.1 %",
		met: part < 0.1,
	};
}
