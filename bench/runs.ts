import { readFileSync, rmSync } from "node:fs";
import { LabError } from "../cli/errors.ts";
import type { Budget } from "../spec/budget.ts";
import { type ClockRecord, clockRecordSchema } from "../spec/clock-record.ts";
import { layerSeconds, type Run, type RunLayer, runSchema } from "../spec/run.ts";
import type { Ran } from "../test/host/project-copy.ts";
import { type Bench, succeeded } from "./figure.ts";

/**
 * What the guest does: it reads its disk past every cache, starts programs, and sleeps in short pieces; so there is
 * work for every profile. The guest takes the time itself, by a clock that goes on with the host's: the agent's way
 * there and back is not what is measured.
 */
export const work = (times: number): string[] => [
	"sh",
	"-c",
	`begun=$(date +%s%N)
for i in $(seq ${times}); do
	dd if=/dev/vda of=/dev/null bs=4k count=400 iflag=direct 2>/dev/null
	for j in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do /bin/true; sleep 0.002; done
done
echo $((($(date +%s%N) - begun) / 1000))`,
];

/** Seconds of the guest's work, as the guest says. */
export function workSeconds({ stdout }: Ran): number {
	const took = Number(stdout.trim().split("\n").at(-1)) / 1e6;
	if (!(took > 0)) throw new LabError(`the guest's work printed no time: ${stdout}`);
	return took;
}

/** Nanoseconds: how well the clocks are known is a figure, and not why there is none. */
const anyBound = ["--clock-bound", "1000000000"] as const;

/** Records the domain vm while a command runs in its guest, or while that boots; the run is named as its profile. */
export const traceRun = (bench: Bench, profile: string, command: readonly string[] = []): Promise<Ran> =>
	bench.lab(
		...["trace", "run", "--name", profile, "--domain", "vm", ...anyBound, profile],
		...(command.length === 0 ? [] : ["--", ...command]),
	);

/** The same by way of `trace start`, which measures beforehand, and not beside the command, what a recording costs. */
export async function traceAround(bench: Bench, profile: string, command: readonly string[]): Promise<Ran> {
	await bench.lab("trace", "start", "--name", profile, "--domain", "vm", profile);
	try {
		return await bench.lab("exec", "vm", "--", ...command);
	} finally {
		// Of the copy: what was interrupted is stopped as well.
		succeeded(await bench.copy.lab("--stack", bench.stack, "trace", "stop", profile, ...anyBound));
	}
}

/** A run, while it is there. */
export interface Recorded {
	run: Run;
	clock: ClockRecord;
	/** What the command that recorded it said. */
	ran: Ran;
}

/** Has a run recorded that is named as its profile, and removes it once it was looked at. */
export async function recorded<T>(
	{ stack }: Bench,
	profile: string,
	record: () => Promise<Ran>,
	look: (recorded: Recorded) => T | Promise<T>,
): Promise<T> {
	const folder = `/var/lib/tracelab/runs/${stack}/${profile}`;
	const read = (file: string): unknown => JSON.parse(readFileSync(`${folder}/${file}`, "utf8"));
	try {
		const ran = await record();
		const run = runSchema.parse(read("run.json"));
		return await look({ run, clock: clockRecordSchema.parse(read("clock.json")), ran });
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** Events that a run has. */
export const eventsOf = (run: Run): number => sum(run, ({ total }) => total);

/** Events, or packets of them, that found no room. */
export const lostIn = (run: Run): number => sum(run, ({ discarded, lostPackets }) => discarded + lostPackets);

const sum = ({ layers }: Run, of: (layer: RunLayer) => number): number =>
	layers.reduce((total, layer) => total + of(layer), 0);

/** What the busiest layer of a run made, as its budget counts: an event for which there was no room happened as well. */
export function madeBy(run: Run): Budget {
	const most = (of: (layer: RunLayer) => number) =>
		Math.max(...run.layers.map((layer) => of(layer) / layerSeconds(run, layer)));
	return { rate: most(({ bytes }) => bytes) / 1e6, events: most(({ total, discarded }) => total + discarded) };
}

/** What part of its budget a run made; 1: all of it. */
export function partOfBudget(run: Run): number {
	const { rate, events } = madeBy(run);
	return Math.max(rate / run.budget.rate, events / run.budget.events);
}
