import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findDomain } from "../cli/card.ts";
import { LabError, orFault } from "../cli/errors.ts";
import { reset } from "../cli/guest/reset.ts";
import { say } from "../cli/terminal.ts";
import { loadProfile, profileNames } from "../spec/load-profile.ts";
import { secondsOf } from "../spec/run.ts";
import type { Ran } from "../test/host/project-copy.ts";
import { type Bench, count, type Figure, median, seconds } from "./figure.ts";
import { eventsOf, lostIn, type Recorded, recorded, traceRun, work, workSeconds } from "./runs.ts";

const rounds = 5;

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

/** What a profile costs the guest, and what its runs have. */
class Cost {
	readonly profile: string;
	/** Seconds of what the guest did. */
	readonly times: number[] = [];
	/** Events of all layers, in a second of the run. */
	readonly rates: number[] = [];
	lost = 0;
	#failed = false;

	constructor(profile: string) {
		this.profile = profile;
	}

	/** @param took finds the seconds in what was said */
	async record(bench: Bench, command: readonly string[], took: (ran: Ran) => number): Promise<void> {
		const { profile } = this;
		if (this.#failed) return;
		const look = ({ ran, run }: Recorded) => {
			this.times.push(told(profile, took(ran)));
			this.rates.push(eventsOf(run) / secondsOf(run));
			this.lost += lostIn(run);
		};
		// It is not why the other figures are lost.
		const fault = await orFault(() => recorded(bench, profile, () => traceRun(bench, profile, command), look));
		if (!(fault instanceof LabError)) return;
		if (bench.interrupted) throw fault;
		say(`bench: ${profile}: ${fault.message}`);
		this.#failed = true;
	}

	/** Beside the same untraced, and on a QEMU without trace backends where it was done there, which took so many seconds. */
	figure(what: string, untraced: number, without?: number): Figure {
		const name = `profile ${this.profile}, beside the same ${what} untraced`;
		if (this.#failed) return { name, measured: "it failed: see above", met: false };
		const beside = (other: number) => `${(median(this.times) / other).toFixed(2)} × of ${other.toFixed(1)} s`;
		const floor = without === undefined ? "" : ` (${beside(without)} on a QEMU without trace backends)`;
		return {
			name,
			measured: `${beside(untraced)}${floor}, ${count(median(this.rates))} events/s, ${count(this.lost)} lost`,
			goal: "none lost",
			met: this.lost === 0,
		};
	}
}

/** What tracing costs: each profile beside the same untraced, and QEMU's tracepoints beside none at all. */
export async function traceFigures(bench: Bench): Promise<Figure[]> {
	bench.copy.write(`stacks/${bench.stack}.yaml`, `extends: quickstart\n${domains}`);
	await bench.lab("up");
	const costs = (ofBoot: boolean) =>
		profileNames().flatMap((name) => (loadProfile(name).reset === ofBoot ? new Cost(name) : []));
	const [ofWork, ofBoot] = [costs(false), costs(true)];
	const [without, untraced, boots]: [number[], number[], number[]] = [[], [], []];
	// One after the other in each round, so that what else the machine does falls on all of them.
	for (let round = 0; round < rounds; round++) {
		without.push(await worked(bench, "without", "without a trace backend"));
		untraced.push(await worked(bench, "vm", "untraced"));
		for (const cost of ofWork) await cost.record(bench, work(5), workSeconds);
	}
	const floor = median(untraced);
	const everything = ofWork.find(({ profile }) => profile === "everything");
	const rates = everything?.rates ?? [];
	const report = rates.length === 0 ? [] : [await reportFigure(bench, median(rates) * floor)];
	// Last: a guest that has just booted is not as idle as one that has been up for a while.
	for (let round = 0; round < rounds; round++) {
		boots.push(told("boot, untraced", await reset(findDomain(bench.stack, "vm"))));
		for (const cost of ofBoot) await cost.record(bench, [], bootSeconds);
	}
	return [
		{
			name: "QEMU with LTTng-UST, untraced, beside one without trace backends",
			measured: `${(floor / median(without)).toFixed(2)} × (${floor.toFixed(1)} s of the guest's work)`,
		},
		...ofWork.map((cost) => cost.figure("work", floor, median(without))),
		...ofBoot.map((cost) => cost.figure("boot", median(boots))),
		...report,
	];
}

function told(what: string, took: number): number {
	say(`bench: ${what}: ${took.toFixed(1)} s`);
	return took;
}

/** Seconds of the guest's work, where nothing is recorded. */
async function worked(bench: Bench, domain: string, what: string): Promise<number> {
	return told(`the guest's work, ${what}`, workSeconds(await bench.lab("exec", domain, "--", ...work(5))));
}

/** Seconds from the reset of a guest that is recorded to its agent's answer, as `trace run` says. */
function bootSeconds({ all }: Ran): number {
	const [, minutes = "0", said] = /^lab: vm booted in (?:(\d+) min )?([\d.]+) s$/m.exec(all) ?? [];
	if (said === undefined) throw new LabError(`a run of boot does not say how long that took:\n${all}`);
	return 60 * Number(minutes) + Number(said);
}

/** A run of everything that is long enough, and the page of it. */
async function reportFigure(bench: Bench, eventsOfWork: number): Promise<Figure> {
	const profile = "everything";
	const scratch = mkdtempSync(join(tmpdir(), "tracelab-bench-"));
	const times = Math.ceil((5 * many) / eventsOfWork);
	try {
		return await recorded(
			bench,
			profile,
			() => traceRun(bench, profile, work(times)),
			async ({ run }) => {
				const events = eventsOf(run);
				const page = join(scratch, "page.html");
				const took = await seconds(`report of ${count(events)} events`, () => bench.lab("report", run.run, "-o", page));
				const megabytes = (statSync(page).size / 1e6).toFixed(1);
				return {
					name: "report, for a million events",
					measured: `${((took * many) / events).toFixed(1)} s (${count(events)} events, a page of ${megabytes} MB)`,
				};
			},
		);
	} finally {
		rmSync(scratch, { recursive: true });
	}
}
