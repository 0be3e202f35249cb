import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { loadProfile, ProfileError } from "../spec/load-profile.ts";
import { type Layer, layers, type Profile } from "../spec/profile.ts";
import { quote } from "../spec/quote.ts";
import type { Run, RunLayer } from "../spec/run.ts";
import { type Domain, findDomain, readCard } from "./card.ts";
import { LabError, UsageError } from "./errors.ts";
import { clockText } from "./events.ts";
import { GuestAgent, GuestRefusal } from "./guest-agent.ts";
import { project } from "./host.ts";
import { mustRun } from "./libvirt.ts";
import { type Losses, lossesIn, lttng, versionIn } from "./lttng.ts";
import { fitRun } from "./run-clock.ts";
import { runNames, runsFolder } from "./run-folder.ts";
import { guestSystemClock, type SystemClock } from "./system-clock.ts";
import { say } from "./terminal.ts";
import { emptyGuest, emptyQemu } from "./trace-causes.ts";
import { bytesIn, countEvents } from "./trace-events.ts";
import { endBeacons, fetchGuest, keepBeacons, startBeacons, tracedDomain } from "./trace-guest.ts";
import { writeRun } from "./trace-run-file.ts";
import { clockEvents, makeSession, removeSession, type TraceSession } from "./trace-session.ts";
import { titleOf } from "./trace-summary.ts";

export interface RecordOptions {
	/** Names of the domains; none: the only one. */
	domains: readonly string[];
	/** The run's name; by default PROFILE-TIME. */
	name?: string;
	/** Of the profile's layers, the only one that is recorded. */
	layer?: Layer;
}

/** A run that is being recorded. */
export interface Recording {
	readonly folder: string;
	readonly session: TraceSession;
	run: Run;
}

/** Starts to record a run. Its clock-beacons begin by `startClocks`, once the guests can run them. */
export async function startRecording(stack: string, profileName: string, options: RecordOptions): Promise<Recording> {
	const profile = readProfile(profileName);
	const domains = chosenDomains(stack, options.domains);
	for (const domain of domains) await mustRun(domain, "not paused");
	const run = runName(stack, options.name ?? `${profile.name}-${stamp(new Date())}`);
	const folder = `${runsFolder(stack)}/${run}`;
	const chosen = layers.filter((layer) => options.layer === undefined || options.layer === layer);
	if (options.layer !== undefined && Object.keys(profile[options.layer]).length === 0)
		throw new UsageError(`profile ${quote(profile.name)} has nothing in ${options.layer}`, "leave --layer out");
	const session: TraceSession = {
		stack,
		session: `tracelab-${stack}-${run}`,
		profile,
		layers: chosen,
		domains,
		folder: `${folder}/qemu`,
	};
	const traced = await Promise.all(domains.map(async (domain) => [domain.name, await tracedDomain(domain)] as const));
	mkdirSync(folder, { recursive: true });
	try {
		const untraced = await makeSession(session);
		const events = (layer: Layer) => (chosen.includes(layer) ? Object.keys(profile[layer]) : []);
		const recording: Recording = {
			folder,
			session,
			run: {
				stack,
				run,
				tracelab: (JSON.parse(readFileSync(`${project}/package.json`, "utf8")) as { version: string }).version,
				profile: profile.name,
				budget: profile.budget,
				asked: {
					qemu: events("qemu"),
					exclude: Object.keys(profile.exclude),
					guest: events("guest"),
					host: events("host"),
				},
				session: session.session,
				mode: "stream",
				started: new Date().toISOString(),
				monotonic: { started: String(process.hrtime.bigint()) },
				domains: Object.fromEntries(traced),
				lttng: { host: versionIn(await lttng("--version")), guests: {} },
				layers: untraced === undefined ? [] : [{ ...empty, layer: "host", path: "host", absent: untraced }],
				notes: [],
			},
		};
		writeRun(folder, recording.run);
		return recording;
	} catch (error) {
		await removeSession(session).catch(() => {});
		rmSync(folder, { recursive: true, force: true });
		throw error;
	}
}

/** Starts clock-beacon in each guest; without one, the guests' events stay on a clock of their own. */
export async function startClocks({ session, run }: Recording): Promise<void> {
	for (const domain of session.domains) {
		if (await startBeacons(new GuestAgent(domain), session.session)) continue;
		run.notes.push(`guest ${domain.name} has no clock-beacon: its clock is not put on the host's`);
	}
}

/**
 * Stops a recording, brings the guests' parts in, counts what is there, and puts the guests' clocks on the host's.
 *
 * @throws LabError for a layer that is empty, with its likely cause; the run is complete then, too
 */
export async function stopRecording(recording: Recording): Promise<{ clock: string[] }> {
	const { folder, session, run } = recording;
	const clocks: Record<string, SystemClock> = {};
	for (const domain of session.domains) {
		const lines = await unlessRefused(() => endBeacons(new GuestAgent(domain), session.session));
		if (lines !== undefined) keepBeacons(folder, domain.name, lines);
	}
	run.ended = new Date().toISOString();
	run.monotonic.ended = String(process.hrtime.bigint());
	await lttng("stop", session.session);
	const losses = lossesIn(await lttng("--mi", "xml", "list", session.session));
	await lttng("destroy", session.session);
	// The kernel's part of the session stands beside QEMU's, and is a layer of its own.
	if (existsSync(`${folder}/qemu/kernel`)) {
		mkdirSync(`${folder}/host`);
		renameSync(`${folder}/qemu/kernel`, `${folder}/host/kernel`);
	}
	run.layers.unshift(await layerOf(folder, { layer: "qemu", path: "qemu" }, losses));
	if (existsSync(`${folder}/host`)) run.layers.push(await layerOf(folder, { layer: "host", path: "host" }, losses));
	for (const domain of session.domains) {
		if (run.asked.guest.length === 0) continue;
		const agent = new GuestAgent(domain);
		const path = `guest/${domain.name}`;
		const { version, ...lost } = await fetchGuest(agent, session.session, join(folder, path));
		run.lttng.guests[domain.name] = version;
		run.layers.push(await layerOf(folder, { layer: "guest", domain: domain.name, path }, lost));
	}
	for (const domain of session.domains) clocks[domain.name] = await guestSystemClock(new GuestAgent(domain));
	await removeSession(session);
	writeRun(folder, run);
	await checkLayers(recording);
	const pids = Object.fromEntries(Object.entries(run.domains).map(([name, { pid }]) => [name, pid]));
	if (!existsSync(join(folder, "clock"))) return { clock: [] };
	return { clock: clockText(await fitRun(folder, { guests: clocks, pids })) };
}

/** What a run is asked for by name is a part of paths and of a session's name. */
function runName(stack: string, name: string): string {
	if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(name)) {
		throw new UsageError(`${quote(name)} is no name for a run`, "take at most 64 of A-Z, a-z, 0-9, _, . and -");
	}
	if (!runNames(stack).includes(name)) return name;
	throw new UsageError(
		`stack ${quote(stack)} has a run ${quote(name)} already`,
		`give another --name, or remove ${runsFolder(stack)}/${name}`,
	);
}

/** @throws UsageError where there is no such profile, or it cannot be used */
export function readProfile(name: string): Profile {
	try {
		return loadProfile(name);
	} catch (error) {
		if (!(error instanceof ProfileError)) throw error;
		const [problem] = error.problems;
		if (error.problems.length === 1 && problem?.line === 0) throw new UsageError(problem.message, problem.hint);
		throw new UsageError(`profile ${quote(name)} cannot be used:\n${error.message}`);
	}
}

function chosenDomains(stack: string, names: readonly string[]): Domain[] {
	const there = Object.keys(readCard(stack).domains).sort();
	const [only] = there;
	if (names.length > 0) return [...new Set(names)].map((name) => findDomain(stack, name));
	if (only !== undefined && there.length === 1) return [findDomain(stack, only)];
	throw new UsageError("which domain?", `say it with -d; the domains there are: ${there.join(", ")}`);
}

async function layerOf(
	folder: string,
	layer: Pick<RunLayer, "layer" | "domain" | "path">,
	losses: Losses,
): Promise<RunLayer> {
	const { events, total } = await countEvents(join(folder, layer.path));
	return { ...layer, events, total, ...losses, bytes: bytesIn(join(folder, layer.path)) };
}

/** Nothing is silent: what recorded nothing of what it was asked for is an error that names its cause. */
async function checkLayers({ folder, session, run }: Recording): Promise<void> {
	const found: { title: string; why: string; todo: string }[] = [];
	const { qemu, guest } = run.asked;
	if (qemu.length > 0) {
		const { processes } = await countEvents(join(folder, "qemu"), clockEvents(qemu));
		for (const domain of session.domains) {
			const pid = run.domains[domain.name]?.pid ?? 0;
			if ((processes.get(pid) ?? 0) > 0) continue;
			found.push({ title: `qemu of ${domain.name}`, ...(await emptyQemu(domain, pid, qemu)) });
		}
	}
	for (const layer of run.layers.filter((one) => one.layer === "guest" && one.total === 0)) {
		const domain = session.domains.find(({ name }) => name === layer.domain);
		if (domain === undefined) continue;
		found.push({ title: titleOf(layer), ...(await emptyGuest(domain, new GuestAgent(domain), guest)) });
	}
	if (found.length === 0) return;
	throw new LabError(
		found.map(({ title, why }) => `the layer ${title} recorded nothing: ${why}`).join("\n"),
		[...new Set(found.map(({ todo }) => todo))].join("\n"),
	);
}

async function unlessRefused<T>(ask: () => Promise<T>): Promise<T | undefined> {
	try {
		return await ask();
	} catch (error) {
		if (!(error instanceof GuestRefusal)) throw error;
		say(`lab: ${error.message}`);
		return undefined;
	}
}

const empty = { events: {}, total: 0, discarded: 0, lostPackets: 0, bytes: 0 };

/** 20261125T124500Z */
const stamp = (time: Date): string => time.toISOString().replace(/[-:]|\.\d+/g, "");
