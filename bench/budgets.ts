import { LabError, orFault } from "../cli/errors.ts";
import { say, size } from "../cli/terminal.ts";
import type { Budget } from "../spec/budget.ts";
import { loadProfile, profileNames } from "../spec/load-profile.ts";
import type { Profile } from "../spec/profile.ts";
import type { Run } from "../spec/run.ts";
import { type Bench, count, type Figure } from "./figure.ts";
import { eventsOf, lostIn, madeBy, partOfBudget, recorded, traceAround, traceRun } from "./runs.ts";

/** Seconds of a load: more than buffers hold that nobody empties, and what its kernel writes has room in the guest's memory. */
const long = 15;

/** Requests of the disk past every cache, each reader in a part of the disk of its own. */
const requests = "for i in 0 1; do dd if=/dev/vda of=/dev/null bs=4k iflag=direct skip=$((i * 262144)) & done";

/** Programs that start, have 64 fresh pages, and end. */
const pages = "for i in 0 1; do while :; do dd if=/dev/zero of=/dev/null bs=256k count=1; done & done";

/** Reads of the ports 0xA00 to 0xBFF, which no device has: each takes the processor out of its guest. */
const exits = "for i in 0 1; do while :; do dd if=/dev/port of=/dev/null bs=512 skip=5 count=1; done & done";

/** As much as the guest's two processors can do of what a profile records; any other one has all of it. */
const loads: Readonly<Record<string, string>> = {
	"block-io": requests,
	memory: pages,
	"exits-and-interrupts": `${exits}\n${requests}`,
};

/** Whether a profile loses events where its load comes to its budget, by which its buffers are sized. */
export async function budgetFigures(bench: Bench): Promise<Figure[]> {
	await bench.lab("up");
	const figures: Figure[] = [];
	for (const profile of profileNames().map((name) => loadProfile(name))) {
		// It is not why the other figures are lost.
		const figure = await orFault(() => budgetFigure(bench, profile));
		if (figure instanceof LabError) say(`bench: ${profile.name}: ${figure.message}`);
		figures.push(
			figure instanceof LabError ? { name: nameOf(profile), measured: "it failed: see above", met: false } : figure,
		);
	}
	return figures;
}

const nameOf = ({ name }: Profile): string => `profile ${name}, at a budget that its load comes to`;

/**
 * What the load makes depends on the machine, and is mostly less than the budget: so it is recorded once more by a copy of the
 * profile whose budget, and with it the buffers, is what the first run made.
 */
async function budgetFigure(bench: Bench, profile: Profile): Promise<Figure> {
	const load = loads[profile.name] ?? `${requests}\n${pages}\n${exits}`;
	const own = await underLoad(bench, profile, load);
	const lowered = { ...profile, name: `lowered-${profile.name}`, budget: madeBy(own) };
	bench.copy.write(`profiles/${lowered.name}.yaml`, profileText(lowered));
	const at = await underLoad(bench, lowered, load);
	return {
		name: nameOf(profile),
		measured: `${lossOf(at)} at ${percent(at)} of ${budgetText(at.budget)}; ${lossOf(own)} at ${percent(own)} of its own`,
		goal: "none lost",
		met: lostIn(at) === 0 && (lostIn(own) === 0 || partOfBudget(own) > 1),
	};
}

/** The load of a profile that begins with a reset is the boot. */
async function underLoad(bench: Bench, profile: Profile, load: string): Promise<Run> {
	const command = ["sh", "-c", `timeout ${long} sh -c '${load}\nwait' 2>/dev/null; [ $? = 124 ]`];
	const record = () => (profile.reset ? traceRun(bench, profile.name) : traceAround(bench, profile.name, command));
	return recorded(bench, profile.name, record, ({ run }) => {
		say(`bench: ${profile.name} under load: ${lossOf(run)} at ${percent(run)} of ${budgetText(run.budget)}`);
		const full = run.notes.find((note) => note.includes("(/dev/shm) is full"));
		if (full !== undefined) throw new LabError(full);
		return run;
	});
}

/** A profile as a file of it says it: JSON is YAML. */
export function profileText({ name: _, ...profile }: Profile): string {
	return `${JSON.stringify(profile)}\n`;
}

const lossOf = (run: Run): string => `${count(lostIn(run))} of ${count(eventsOf(run) + lostIn(run))} events lost`;

const percent = (run: Run): string => `${Math.round(100 * partOfBudget(run))} %`;

const budgetText = ({ rate, events }: Budget): string =>
	`${size(Math.round(rate * 1e6))}/s and ${count(events)} events/s`;
