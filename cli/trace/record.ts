import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Budget, withBudget } from "../../spec/budget.ts";
import type { Causality } from "../../spec/causality.ts";
import type { ClockRecord } from "../../spec/clock-record.ts";
import { loadProfile, ProfileError } from "../../spec/load-profile.ts";
import { buffersFor, type Layer, layers, type Profile } from "../../spec/profile.ts";
import { quote } from "../../spec/quote.ts";
import type { Run } from "../../spec/run.ts";
import { type Domain, findDomain, readCard, stackOption } from "../card.ts";
import { guestSystemClock } from "../clock/system-clock.ts";
import { errorText, LabError, orFault, systemCode, UsageError } from "../errors.ts";
import { GuestAgent, GuestRefusal } from "../guest/agent.ts";
import { domainState, mustRun, PausedError } from "../libvirt.ts";
import { run as program } from "../program.ts";
import { keepStack } from "../runs/own-stack.ts";
import { recorder } from "../runs/recorder.ts";
import { goesOn, writeRun } from "../runs/run-file.ts";
import { makeRunFolder } from "../runs/run-folder.ts";
import { say } from "../terminal.ts";
import { exchange, overAgent, seesBeacons } from "./agent-clock.ts";
import { endCalibration, warnBeforehand } from "./calibration.ts";
import {
	dropBeacons,
	endBeacons,
	type GuestParts,
	type GuestTaking,
	guestBuilds,
	keepBeacons,
	lackLast,
	startBeacons,
	stopped,
	takePart,
	tracedDomain,
} from "./guest.ts";
import { takeHost } from "./host-kernel.ts";
import { absentHost, completeRun } from "./layers.ts";
import { lttng, rotateHost, versionIn } from "./lttng.ts";
import { guestFolder, leaveParts, makeSession, removeSession, runSession, type TraceSession } from "./session.ts";

export interface RecordOptions {
	/** Names of the domains; none: the only one. */
	domains: readonly string[];
	/** The run's name; by default WHAT-TIME. */
	name?: string;
	/** Of the profile's layers, the only one that is recorded. */
	layer?: Layer;
	/** What it may cost, where that is not what the profile or the session says. */
	budget?: Budget;
	/** Is it to be calibrated before it begins? */
	beforehand?: boolean;
}

/** A run that is being recorded. */
export interface Recording {
	readonly folder: string;
	readonly session: TraceSession;
	run: Run;
	/** How the guests' clocks stand to the host's. */
	clock?: ClockRecord;
	/** Whether causes come first by it, where that was looked at. */
	causality?: Causality;
	/** Why the guests' clocks could not be put on the host's, where they could not. */
	clockFault?: LabError;
	/** Events of each process in QEMU's layer, but for those that are there for the clock alone. */
	processes?: ReadonlyMap<number, number>;
	/** Why a guest does not answer at the end, by its domain's name: it is asked nothing more. */
	silent?: ReadonlyMap<string, LabError>;
	/** Why a guest's part could not be had, by its domain's name. */
	readonly guestFaults: Map<string, LabError>;
	/** Why QEMU's part could not be had, where it could not. */
	qemuFault?: LabError;
	/** Why that of the host's kernel could not be had, where it could not. */
	hostFault?: LabError;
}

/** Starts to record a run. Its clock-beacons begin by `startClocks`, once the guests can run them. */
export async function startRecording(stack: string, what: string, options: RecordOptions): Promise<Recording> {
	const { profile: named, domains: own } = whatToRecord(stack, what);
	const profile = withBudget(named, options.budget);
	const domains = chosenDomains(stack, options.domains.length > 0 ? options.domains : own);
	for (const domain of domains) await mustRun(domain, "not paused");
	if (options.layer !== undefined && Object.keys(profile[options.layer]).length === 0)
		throw new UsageError(`profile ${quote(profile.name)} has nothing in ${options.layer}`, "leave --layer out");
	const { run, folder } = makeRunFolder(stack, what, options.name);
	const session: TraceSession = {
		stack,
		session: runSession(stack, run),
		profile,
		layers: layers.filter((layer) => options.layer === undefined || options.layer === layer),
		domains,
		folder: `${folder}/qemu`,
	};
	try {
		const recording: Recording = { folder, session, run: await newRun(session, run, "stream"), guestFaults: new Map() };
		keepStack(folder, recording.run);
		// Before there is any session: where this is killed, `trace stop` finds what there is of them by it.
		writeRun(folder, recording.run);
		if (options.beforehand) await warnBeforehand(recording);
		const untraced = await makeSession(session);
		if (untraced !== undefined) recording.run.layers.push(absentHost(untraced));
		begun(recording.run);
		writeRun(folder, recording.run);
		return recording;
	} catch (error) {
		await dropRecording({ session, folder });
		throw error;
	}
}

/** Leaves nothing of a recording that could not begin. */
export async function dropRecording({ session, folder }: Pick<Recording, "session" | "folder">): Promise<void> {
	await removeSession(session).catch(() => {});
	rmSync(folder, { recursive: true, force: true });
}

/**
 * What is known of a run before it is recorded; of guests that do not say what they run, a note.
 *
 * @param silent guests that do not answer, which are not asked
 */
export async function newRun(
	session: TraceSession,
	run: string,
	mode: Run["mode"],
	silent: readonly Domain[] = [],
): Promise<Run> {
	const { stack, profile, domains } = session;
	const events = (layer: Layer) => (session.layers.includes(layer) ? Object.keys(profile[layer]) : []);
	const notes: string[] = [];
	const traced = await Promise.all(
		domains.map(async (domain) => {
			const { name } = domain;
			const guest = silent.includes(domain)
				? new LabError(`the guest agent of ${quote(name)} does not answer`)
				: await orFault(() => guestBuilds(domain));
			if (!(guest instanceof LabError)) return [name, tracedDomain(domain, guest)] as const;
			// A guest that gives no part of a run would have it fail at its end.
			if (mode === "stream" && events("guest").length > 0) throw guest;
			notes.push(`which kernel and modules ${name} runs is not known: ${guest.message}`);
			return [name, tracedDomain(domain, { modules: {} })] as const;
		}),
	);
	return {
		stack,
		run,
		...(await recorder()),
		lab: readCard(stack).hashes,
		profile: profile.name,
		budget: profile.budget,
		asked: {
			qemu: events("qemu"),
			guest: events("guest"),
			host: events("host"),
		},
		session: session.session,
		mode,
		started: new Date().toISOString(),
		monotonic: { started: String(process.hrtime.bigint()) },
		domains: Object.fromEntries(traced),
		lttng: { host: versionIn(await lttng("--version")), guests: {} },
		layers: [],
		notes,
	};
}

function begun(run: Run): void {
	run.started = new Date().toISOString();
	run.monotonic.started = String(process.hrtime.bigint());
}

export function ended(run: Run): void {
	run.ended = new Date().toISOString();
	run.monotonic.ended = String(process.hrtime.bigint());
}

/**
 * Starts clock-beacon in each guest; without one, the guests' events stay on a clock of their own. Where LTTng does not
 * see QEMU's side of the beacons, the guest's agent is asked instead. Before that, a guest is asked for its clocksource:
 * one that does not answer is asked nothing else.
 */
export async function startClocks({ folder, session, run }: Recording): Promise<void> {
	for (const domain of session.domains) {
		const agent = new GuestAgent(domain);
		const traced = run.domains[domain.name];
		const clock = await orFault(() => guestSystemClock(agent));
		if (clock instanceof LabError && !(clock instanceof GuestRefusal)) {
			// As when a run begins: its guest's part would have no clock.
			if (run.mode === "stream" && run.asked.guest.length > 0) throw clock;
			run.notes.push(`the clock of ${domain.name} is not put on the host's: ${clock.message}`);
			continue;
		}
		if (traced !== undefined && !(clock instanceof LabError)) {
			traced.clocksource = clock.clocksource;
			traced.bootId = clock.bootId;
		}
		if (!(await seesBeacons(traced?.pid ?? 0))) {
			await exchange(folder, domain);
			continue;
		}
		if (await startBeacons(agent, session.session)) continue;
		run.notes.push(`guest ${domain.name} has no clock-beacon: its clock is not put on the host's`);
	}
}

/**
 * Ends the beacons, and keeps what they printed; or asks the agents whose guests have none once more. A guest that does not answer,
 * such as one that crashed, has said its last, and its run is a run all the same. Returns the names of such guests' domains.
 */
export async function endClocks({ folder, session, run, silent: before }: Recording): Promise<ReadonlySet<string>> {
	const silent = new Set<string>();
	for (const domain of session.domains) {
		const fault = before?.get(domain.name);
		if (overAgent(folder, domain.name)) {
			if (fault === undefined) await exchange(folder, domain);
			else say(`lab: the clock of ${domain.name} is not compared: ${fault.message}`);
			run.notes.push(
				`LTTng sees no beacons of ${domain.name}'s QEMU: the guest's clock is compared over its agent, and known to milliseconds`,
			);
			continue;
		}
		const lines = fault ?? (await orFault(() => endBeacons(new GuestAgent(domain), session.session)));
		if (lines instanceof LabError) {
			run.notes.push(`the beacons of ${domain.name} are not to be had: ${lines.message}`);
			silent.add(domain.name);
		}
		if (lines === undefined || lines instanceof LabError) continue;
		if (lackLast(lines))
			run.notes.push(
				`clock-beacon ended before the run did in ${domain.name}: the guest's clock is known the less, the later an event is`,
			);
		keepBeacons(folder, domain.name, lines);
		await orFault(() => dropBeacons(new GuestAgent(domain), session.session));
	}
	return silent;
}

/** Records while `work` goes on; what was recorded up to a failure is a run as well. */
export async function recordWhile(
	recording: Recording,
	work: () => Promise<void>,
): Promise<{ clocks: string[]; failure?: unknown }> {
	let failure: unknown;
	try {
		await work();
	} catch (error) {
		failure = error;
	}
	const clocks = await stopRecording(recording).catch((error: unknown) => {
		const words = failure instanceof Error ? failure.message : "";
		if (failure !== undefined && !errorText(error).includes(words)) say(errorText(failure));
		throw goingOn(recording, error);
	});
	return { clocks, failure };
}

/** What keeps a run from its end, with how it is ended later: it was not begun to go on. */
function goingOn({ folder, run }: Recording, error: unknown): unknown {
	const end = `./lab${stackOption(run.stack)} trace stop ${run.run}`;
	if (!(error instanceof LabError) || !goesOn(folder) || error.todo.includes(end)) return error;
	return new LabError(
		`${error.message}: run ${run.run} is still being recorded`,
		`${error.todo}; then end the run: ${end}`,
	);
}

/**
 * Stops a recording, and makes a whole run of it; returns what is to be said of the clocks.
 *
 * @throws PausedError where a debugger holds a guest, which has its part still and gives it once it goes on
 * @throws LabError where there is no room for it: all its parts stay where they are, for another stop
 */
export async function stopRecording(recording: Recording): Promise<string[]> {
	const { session, run } = recording;
	for (const domain of session.domains) if ((await domainState(domain)) === "paused") throw new PausedError(domain);
	try {
		return await endRecording(recording);
	} catch (error) {
		if (systemCode(error) !== "ENOSPC") throw error;
		try {
			// There is mostly room for an empty file.
			writeFileSync(wasFull(recording), "");
		} catch {}
		throw new LabError(
			`run ${run.run} is not whole yet: ${(error as Error).message}`,
			`make room (df -h shows on which disk), then: ./lab${stackOption(run.stack)} trace stop ${run.run}; until then, nothing of it is removed`,
		);
	}
}

/** Is there from a stop that found no room to the end of the run. */
const wasFull = ({ folder }: Recording): string => join(folder, "disk-was-full");

/** What finds no room on this host's disk is lost, and LTTng does not count it. */
async function fullDisk(recording: Recording): Promise<string[]> {
	const { folder, session } = recording;
	const { stdout } = await program("df", ["--output=avail", "--block-size=1", folder], "", { detached: true });
	const room = Number(stdout.trim().split("\n").at(-1));
	if (!existsSync(wasFull(recording)) && !(room < buffersFor(session.profile).size)) return [];
	return [
		`the disk of ${folder} was full when the run was stopped: what came last on this host may not be in its layers, and is not counted as lost; make room before the next run`,
	];
}

async function endRecording(recording: Recording): Promise<string[]> {
	const { session, run } = recording;
	recording.silent = await silentGuests(recording);
	const clocks = await noRoomLater(() => endClocks(recording));
	ended(run);
	await endCalibration(recording);
	const name = session.session;
	// All parts at once: whichever went on would record what the others did not.
	const [said, host, parts] = await Promise.all([
		orFault(() => stopHost(session)),
		orFault(() => takeHost(session, "stream")),
		takeParts(recording, stopped(name)),
	]);
	run.notes.push(...(await fullDisk(recording)));
	// Nothing is recorded any more.
	const silent = clocks();
	for (const domain of session.domains) {
		const lacks = silent.has(domain.name) || parts.get(domain.name) instanceof LabError;
		if (lacks && (await domainState(domain)) === "paused") throw new PausedError(domain);
	}
	const gone =
		said instanceof LabError
			? new LabError(
					`trace session ${name} is gone: root's session daemon was ended or started again while it recorded, somebody destroyed it, or what made it was killed before\n${said.message}`,
					`./lab${stackOption(session.stack)} up starts the daemon; then record it again`,
				)
			: undefined;
	const text = await completeRun(recording, gone ?? said, parts, host).catch(async (error: unknown) => {
		// What there is then is a run that has ended, but for one that only wants room, or its debugger to let go.
		if (systemCode(error) !== "ENOSPC" && !(error instanceof PausedError)) await keep(recording);
		throw error;
	});
	await keep(recording);
	return text;
}

/** The guests that do not answer, all of which are waited for at once: meanwhile, all the others are recorded. */
async function silentGuests({ session, run }: Recording): Promise<Map<string, LabError>> {
	const silent = new Map<string, LabError>();
	const ask = async (domain: Domain) => {
		const fault = await new GuestAgent(domain).silence(15);
		if (fault === undefined) return;
		const stands = fault instanceof PausedError || run.asked.guest.length === 0;
		const keeps = !stands && (await domainState(domain)) === "running";
		silent.set(domain.name, keeps ? new LabError(fault.message, `${fault.todo}\n${later(domain, session)}`) : fault);
	};
	await Promise.all(session.domains.map(ask));
	return silent;
}

/** How to have what a guest recorded that answers only after its run. */
function later({ name, stack }: Domain, { session }: TraceSession): string {
	const lab = `./lab${stackOption(stack)}`;
	const folder = guestFolder(session);
	return `    if it goes on, it has what LTTng recorded still: ${lab} exec ${name} -- lttng destroy ${session}, then ${lab} cp ${name}:${folder} ., then ${lab} exec ${name} -- rm -r ${folder}`;
}

/** Has some work that finds no room say so when it is asked what it came to. */
async function noRoomLater<T>(work: () => Promise<T>): Promise<() => T> {
	try {
		const result = await work();
		return () => result;
	} catch (error) {
		if (systemCode(error) !== "ENOSPC") throw error;
		return () => {
			throw error;
		};
	}
}

/** Writes that a run has ended, and what it came to; only then may what recorded it go. */
async function keep(recording: Recording): Promise<void> {
	const { session, run, folder } = recording;
	writeRun(folder, run);
	rmSync(wasFull(recording), { force: true });
	if (recording.silent !== undefined) leaveParts(session, recording.silent);
	await removeSession(session);
}

async function stopHost({ session, folder }: TraceSession): Promise<string> {
	// It fails for one that was stopped before, by who was then cut off: what there is of it is for the list to say.
	await orFault(() => lttng("stop", session));
	// Or else LTTng would move what came last to the other pieces once the session goes, when the run has noted where it is.
	if (existsSync(join(folder, "archives"))) await orFault(() => rotateHost(session));
	return lttng("--mi", "xml", "list", session);
}

/** Has all guests whose kernels are recorded end their parts at once. */
export async function takeParts({ session, run, silent }: Recording, taking: GuestTaking): Promise<GuestParts> {
	const asked = run.asked.guest.length === 0 ? [] : session.domains;
	const take = async (domain: Domain) =>
		[
			domain.name,
			silent?.get(domain.name) ?? (await orFault(() => takePart(domain, session.session, taking))),
		] as const;
	return new Map(await Promise.all(asked.map(take)));
}

/** What a name stands for: a trace session of the stack's, with its domains and its budget, or else a profile. */
export function whatToRecord(stack: string, name: string): { profile: Profile; domains: readonly string[] } {
	const { traces } = readCard(stack);
	const trace = Object.hasOwn(traces, name) ? traces[name] : undefined;
	if (trace === undefined) return { profile: readProfile(name), domains: [] };
	return { profile: withBudget(readProfile(trace.profile), trace.budget), domains: trace.domains };
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
