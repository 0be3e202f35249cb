import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LabError } from "../cli/errors.ts";
import { say } from "../cli/terminal.ts";
import { clockRecordSchema } from "../spec/clock-record.ts";
import { profileNames } from "../spec/load-profile.ts";
import { type Run, runSchema, secondsOf } from "../spec/run.ts";
import { type Bench, type Figure, median, seconds } from "./figure.ts";

const rounds = 5;

/** Nanoseconds between the clocks of host and guest that a run may leave open. */
const clockGoal = 2000;

/** A million events, for the report. */
const many = 1_000_000;

/** The same guest on two QEMUs: one has the tracepoints, the other was compiled without any. */
const domains = `
qemu:
  without: { source: debian:qemu, traceBackends: [nop] }
domains:
  vm: { processName: bench-vm }
  without: { qemu: without, kernel: main, image: main, processName: bench-without }
`;

/**
 * What the guest does: it reads its disk past every cache, starts programs, and sleeps in short pieces; so there is
 * work for every profile. The guest takes the time itself, by a clock that goes on with the host's: the agent's way
 * there and back is not what is measured.
 */
const work = (times: number) => `
begun=$(date +%s%N)
for i in $(seq ${times}); do
	dd if=/dev/vda of=/dev/null bs=4k count=400 iflag=direct 2>/dev/null
	for j in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do /bin/true; sleep 0.002; done
done
echo $((($(date +%s%N) - begun) / 1000))`;

/** What a profile costs the guest, and what its runs have. */
interface Measured {
	/** Seconds of the work. */
	times: number[];
	/** Of all layers, in a second of the run. */
	rates: number[];
	lost: number;
	/** Nanoseconds, the worst of the runs. */
	bound: number;
}

/** What tracing costs: each profile beside the same work untraced, and QEMU's tracepoints beside none at all. */
export async function traceFigures(bench: Bench): Promise<Figure[]> {
	bench.copy.write(`stacks/${bench.stack}.yaml`, `extends: quickstart\n${domains}`);
	await bench.lab("up");
	const profiles = profileNames().filter((name) => name !== "boot");
	const [untraced, without]: [number[], number[]] = [[], []];
	const measured = new Map<string, Measured>(
		profiles.map((name) => [name, { times: [], rates: [], lost: 0, bound: 0 }]),
	);
	// One after the other in each round, so that what else the machine does falls on all of them.
	for (let round = 0; round < rounds; round++) {
		without.push(await worked(bench, "without a trace backend", "exec", "without", "--"));
		untraced.push(await worked(bench, "untraced", "exec", "vm", "--"));
		for (const [profile, into] of measured) await traced(bench, profile, into);
	}
	const floor = median(untraced);
	return [
		{
			name: "QEMU with LTTng-UST, untraced, beside one without trace backends",
			measured: `${(floor / median(without)).toFixed(2)} × (${floor.toFixed(1)} s of the guest's work)`,
		},
		...[...measured].map(([profile, { times, rates, lost }]) => ({
			name: `profile ${profile}, beside the same work untraced`,
			measured: `${(median(times) / floor).toFixed(2)} ×, ${Math.round(median(rates))} events/s, ${lost} lost`,
			goal: "none lost",
			met: lost === 0,
		})),
		await beaconFigure(bench),
		clockFigure([...measured.values()].map(({ bound }) => bound)),
		await reportFigure(bench, median(measured.get("everything")?.rates ?? []) * floor),
	];
}

/** What the beacons of a run cost, three every two seconds as there: the guest's kernel says what time on a processor they had. */
async function beaconFigure(bench: Bench): Promise<Figure> {
	const minutes = "TIMEFORMAT='%R %U %S'; time /lab/bin/clock-beacon 180 2000000 >/dev/null";
	const { stderr } = await bench.lab("exec", "vm", "--", "bash", "-c", minutes);
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

function clockFigure(bounds: readonly number[]): Figure {
	const worst = Math.max(...bounds);
	return {
		name: "bound of the clocks' difference, the worst run's",
		measured: `${worst} ns`,
		goal: `${clockGoal} ns`,
		met: worst <= clockGoal,
	};
}

/** Seconds of the guest's work, as the guest says. */
async function worked(bench: Bench, what: string, ...command: string[]): Promise<number> {
	const { stdout } = await bench.lab(...command, "sh", "-c", work(5));
	const took = Number(stdout.trim().split("\n").at(-1)) / 1e6;
	if (!(took > 0)) throw new LabError(`the guest's work printed no time: ${stdout}`);
	say(`bench: the guest's work, ${what}: ${took.toFixed(1)} s`);
	return took;
}

async function traced(bench: Bench, profile: string, into: Measured): Promise<void> {
	const name = `bench-${profile}`;
	const options = ["--name", name, "--domain", "vm"];
	try {
		into.times.push(await worked(bench, profile, "trace", "run", ...options, profile, "--"));
		const run = readRun(bench, name);
		into.rates.push(events(run) / secondsOf(run));
		into.lost += run.layers.reduce((sum, { discarded, lostPackets }) => sum + discarded + lostPackets, 0);
		into.bound = Math.max(into.bound, clockBound(bench, name));
	} finally {
		rmSync(folder(bench, name), { recursive: true, force: true });
	}
}

/** A run of everything that is long enough, and the page of it. */
async function reportFigure(bench: Bench, eventsOfWork: number): Promise<Figure> {
	const name = "bench-million";
	const scratch = mkdtempSync(join(tmpdir(), "tracelab-bench-"));
	try {
		const times = Math.ceil((5 * many) / eventsOfWork);
		await bench.lab("trace", "run", "--name", name, "--domain", "vm", "everything", "--", "sh", "-c", work(times));
		const count = events(readRun(bench, name));
		const page = join(scratch, "page.html");
		const took = await seconds(`report of ${count} events`, () => bench.lab("report", name, "-o", page));
		const megabytes = (statSync(page).size / 1e6).toFixed(1);
		return {
			name: "report, for a million events",
			measured: `${((took * many) / count).toFixed(1)} s (${count} events, a page of ${megabytes} MB)`,
		};
	} finally {
		rmSync(scratch, { recursive: true });
		rmSync(folder(bench, name), { recursive: true, force: true });
	}
}

const folder = ({ stack }: Bench, run: string): string => `/var/lib/tracelab/runs/${stack}/${run}`;

const readRun = (bench: Bench, run: string): Run =>
	runSchema.parse(JSON.parse(readFileSync(`${folder(bench, run)}/run.json`, "utf8")));

/** Nanoseconds by which an event of the guest is off at most. */
function clockBound(bench: Bench, run: string): number {
	const { guests } = clockRecordSchema.parse(JSON.parse(readFileSync(`${folder(bench, run)}/clock.json`, "utf8")));
	return Math.max(...Object.values(guests).map(({ bound }) => bound));
}

const events = (run: Run): number => run.layers.reduce((sum, { total }) => sum + total, 0);
