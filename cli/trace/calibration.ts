import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Layer, matches, type Profile } from "../../spec/profile.ts";
import { type RunLayer, titleOf } from "../../spec/run.ts";
import { GuestAgent } from "../guest/agent.ts";
import { say, size } from "../terminal.ts";
import { fetchPart, guestBytes, stopped, takePart } from "./guest.ts";
import { convertHost, takeHost } from "./host-kernel.ts";
import { layerOf, moveKernel } from "./layers.ts";
import { lossesIn, lttng } from "./lttng.ts";
import type { Recording } from "./record.ts";
import { makeSession, recordOf, removeSession, type TraceSession, trialSession } from "./session.ts";

/** Seconds that a command has run when its run is taken for a long one. */
const longAfter = 5;

type Calibrated = Pick<Recording, "folder" | "session" | "run">;

/** What a layer cost while it was calibrated. */
interface Cost {
	layer: RunLayer;
	seconds: number;
}

/** Says what is over the budget before a recording begins of which nobody knows how long it will be. */
export const warnBeforehand = (recording: Calibrated): Promise<void> => warn(recording, recording.session.layers);

/**
 * Says what is over the budget once a command turns out to be a long one, unless it ends before that.
 *
 * To make a session in a guest is work that would be in the very trace, so a guest is calibrated only where its part is
 * large by now: over half of what it may write.
 */
export async function warnOnceLong(recording: Recording, ended: AbortSignal): Promise<void> {
	const long = await pause(longAfter * 1000, true, { signal: ended }).catch(() => false);
	if (!long) return;
	const { layers } = recording.session;
	const busy = layers.includes("guest") && (await hasBusyGuest(recording));
	await warn(
		recording,
		layers.filter((layer) => layer !== "guest" || busy),
	);
}

async function hasBusyGuest({ session, run }: Recording): Promise<boolean> {
	const seconds = Number(process.hrtime.bigint() - BigInt(run.monotonic.started)) / 1e9;
	for (const domain of session.domains) {
		const bytes = await guestBytes(new GuestAgent(domain), session.session).catch(() => 0);
		if (bytes / seconds > (session.profile.budget.rate * 1e6) / 2) return true;
	}
	return false;
}

/** A recording goes on without it, but not silently. */
async function warn(recording: Calibrated, layers: readonly Layer[]): Promise<void> {
	const { profile, domains } = recording.session;
	const asked = layers.filter((layer) => Object.keys(profile[layer]).length > 0);
	if (asked.length === 0) return;
	try {
		for (const cost of await calibrate(recording, asked))
			for (const line of overBudget(cost, profile, domains.length)) say(line);
	} catch (error) {
		say(`lab: what this recording costs could not be measured: ${(error as Error).message}`);
	}
}

/** Records a second of the same in a session of its own, and reads it back. */
async function calibrate(recording: Calibrated, layers: readonly Layer[]): Promise<Cost[]> {
	const { folder, session } = recording;
	const trial = trialOf(recording, layers);
	const base = join(folder, "calibration");
	try {
		await makeSession(trial);
		await pause(1000);
		await lttng("stop", trial.session);
		const said = await lttng("--mi", "xml", "list", trial.session);
		moveKernel(base);
		const costs: Cost[] = [];
		if (layers.includes("qemu")) costs.push(await costOf(base, { layer: "qemu", path: "qemu" }, lossesIn(said, "UST")));
		const host = await takeHost(trial, "stream");
		if (host !== undefined) {
			const { losses } = await convertHost(host, `${base}/host`, "stream");
			costs.push(await costOf(base, { layer: "host", path: "host" }, losses));
		} else if (existsSync(`${base}/host`))
			costs.push(await costOf(base, { layer: "host", path: "host" }, lossesIn(said, "KERNEL")));
		for (const domain of layers.includes("guest") ? session.domains : []) {
			const path = `guest/${domain.name}`;
			const agent = new GuestAgent(domain);
			const part = await takePart(domain, trial.session, stopped(trial.session));
			const { losses } = await fetchPart(agent, part, join(base, path), "stream");
			costs.push(await costOf(base, { layer: "guest", domain: domain.name, path }, losses));
		}
		return costs;
	} finally {
		await endCalibration(recording);
	}
}

const trialOf = ({ folder, session, run }: Calibrated, layers: readonly Layer[]): TraceSession => ({
	...session,
	session: trialSession(run.stack, run.run),
	layers,
	folder: join(folder, "calibration", "qemu"),
});

/** Ends what is there of a calibration, such as that of a recording that was killed. */
export async function endCalibration(recording: Calibrated): Promise<void> {
	const { folder, session } = recording;
	const trial = trialOf(recording, session.layers);
	if (existsSync(recordOf(trial.session))) await removeSession(trial);
	rmSync(join(folder, "calibration"), { recursive: true, force: true });
}

/** Parts of a session do not begin at once: each lasted from its first event to its last, and a second at least. */
async function costOf(
	base: string,
	layer: Pick<RunLayer, "layer" | "domain" | "path">,
	losses: Pick<RunLayer, "discarded" | "lostPackets">,
): Promise<Cost> {
	const counted = await layerOf(base, layer, losses);
	return { layer: counted, seconds: Math.max(counted.seconds ?? 0, 1) };
}

/** What is to be said of a layer that costs more than it may: how much, which event it is, and what to do. */
export function overBudget({ layer, seconds }: Cost, profile: Profile, domains: number): string[] {
	const budgets = layer.layer === "qemu" ? domains : 1;
	const [rate, most] = [profile.budget.rate * budgets, profile.budget.events * budgets];
	const bytes = Math.round(layer.bytes / seconds);
	// An event for which there was no room happened as well.
	const events = Math.round((layer.total + layer.discarded) / seconds);
	if (bytes <= rate * 1e6 && events <= most) return [];
	const [name = "", count = 0] = Object.entries(layer.events).sort(([, a], [, b]) => b - a)[0] ?? [];
	const patterns = Object.keys(profile[layer.layer]).filter((pattern) => matches(pattern, name));
	return [
		`lab: ${titleOf(layer)} costs ${size(bytes)} and ${events} events a second, and its budget is ${rate} MB and ${most}: a long run is large, and may lose events`,
		`  ${Math.round((100 * count) / layer.total)} % of the events are ${name}`,
		`  what to do: record without ${patterns.join(" and ") || name}, by a copy of profiles/${profile.name}.yaml that does not name it; or allow more, by budget: in traces: of the stack file`,
	];
}
