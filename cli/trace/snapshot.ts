import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { withBudget } from "../../spec/budget.ts";
import { didYouMean } from "../../spec/did-you-mean.ts";
import { layers } from "../../spec/profile.ts";
import { quote } from "../../spec/quote.ts";
import type { Run } from "../../spec/run.ts";
import { type Domain, findDomain, readCard, stackOption } from "../card.ts";
import { inOrder } from "../ending.ts";
import { LabError, orFault, UsageError } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { tryToHold } from "../hold.ts";
import { onHost } from "../host.ts";
import { ctfRange, ctfTraces, earliest } from "../runs/ctf.ts";
import { keepStack } from "../runs/own-stack.ts";
import { writeRun } from "../runs/run-file.ts";
import { makeRunFolder } from "../runs/run-folder.ts";
import { print, say } from "../terminal.ts";
import { dropSnapshot, snapshot } from "./guest.ts";
import { takeHost, written } from "./host-kernel.ts";
import { checkClocks, checkLayers, completeRun } from "./layers.ts";
import { followedIn, lttng } from "./lttng.ts";
import { endClocks, ended, newRun, type Recording, readProfile, startClocks, takeParts } from "./record.ts";
import { recordOf, type TraceSession } from "./session.ts";
import { summary } from "./summary.ts";

/** Makes a run of what a flight recorder of the stack file holds; it goes on recording. */
export async function traceSnapshot(
	stack: string,
	name: string,
	asked: string | undefined,
	clockBound?: number,
): Promise<void> {
	const { traces } = readCard(stack);
	const trace = Object.hasOwn(traces, name) ? traces[name] : undefined;
	if (trace === undefined) {
		const there = Object.keys(traces).sort();
		throw new UsageError(
			`the lab of stack ${quote(stack)} has no flight recorder ${quote(name)}${didYouMean(name, there)}`,
			there.length === 0
				? `name one in traces: of the stack file; ./lab${stackOption(stack)} up starts it`
				: `those that it has: ${there.join(", ")}`,
		);
	}
	const domains = trace.domains.map((domain) => findDomain(stack, domain));
	const profile = withBudget(readProfile(trace.profile), trace.budget);
	const { run, folder } = makeRunFolder(stack, name, asked);
	const session: TraceSession = {
		stack,
		session: trace.session,
		profile,
		layers,
		domains,
		folder: join(folder, "qemu"),
	};
	const { recording, clocks } = await inOrder(async (interrupted) => {
		let recording: Recording | undefined;
		try {
			const begun = () => {
				if (interrupted.aborted) throw new LabError("interrupted before there was a snapshot");
			};
			await alone(trace.session, begun);
			// Meanwhile, what QEMU did is written over: a guest that does not answer is waited for once.
			const answers = await Promise.all(domains.map((domain) => new GuestAgent(domain).answers(5)));
			const silent = domains.filter((_, index) => !answers[index]);
			recording = { folder, session, run: await newRun(session, run, "snapshot", silent), guestFaults: new Map() };
			const gone = await nameProcesses(recording.run);
			keepStack(folder, recording.run);
			await compareClocks(recording, silent, gone);
			begun();
			return { recording, clocks: await takeAll(recording) };
		} catch (error) {
			if (recording?.run.ended === undefined) rmSync(folder, { recursive: true, force: true });
			// What it was there for will not be in the next one.
			else say(`lab: what was taken by then stays in ${folder}`);
			throw error;
		}
	});
	for (const line of [...summary(recording.run, folder), ...clocks]) print(line);
	await checkLayers(recording);
	// Its beacons are all at its end, and how far back it goes is not ours to say: what is usual for runs is not, here.
	if (clockBound !== undefined) checkClocks(recording, clockBound);
}

/** Waits until nobody else takes a snapshot of a flight recorder: a guest has one place for it. */
async function alone(session: string, begun: () => void): Promise<void> {
	const record = recordOf(session);
	if (!existsSync(record)) return;
	while (!tryToHold(record)) {
		begun();
		await pause(100);
	}
}

/**
 * A QEMU that crashed, or was started again since, is not the domain's process any more, and still the one that was recorded.
 * Returns the names of such domains, of whose guests nothing is known.
 */
async function nameProcesses({ session, domains, notes }: Run): Promise<readonly string[]> {
	const xml = await orFault(() => lttng("--mi", "xml", "list", session));
	// That there is none is said where it is read.
	const followed = new Set(xml instanceof LabError ? [] : followedIn(xml));
	const others = Object.entries(domains).filter(([, { pid }]) => !followed.delete(pid));
	// Of a domain that the card does not have yet, as an up failed behind the session.
	for (const pid of followed) if (existsSync(onHost(`/proc/${pid}`))) followed.delete(pid);
	const [ended, ...more] = followed;
	if (ended === undefined || others.length === 0) return [];
	for (const [, domain] of others) {
		Object.assign(domain, { pid: 0, emulator: "", modules: {} });
		for (const key of ["qemuVersion", "kernel", "kernelRelease"] as const) delete domain[key];
	}
	const [[name, only] = [], ...rest] = others;
	if (only !== undefined && more.length + rest.length === 0) {
		only.pid = ended;
		notes.push(`the QEMU of ${name} that was recorded, process ${ended}, has ended`);
	} else {
		const names = others.map(([other]) => other).join(" or ");
		notes.push(
			`the processes ${[...followed].join(" and ")} were recorded, which have ended: nobody knows which was ${names}`,
		);
	}
	return others.map(([other]) => other);
}

/** A few beacons, or answers of the agents, beside what is snapshot; a fault of theirs is none of what QEMU did. */
async function compareClocks(recording: Recording, silent: readonly Domain[], gone: readonly string[]): Promise<void> {
	const { run, session } = recording;
	let compared = false;
	for (const domain of session.domains) {
		const unknown = `the clock of ${domain.name} is not put on the host's`;
		if (silent.includes(domain)) {
			run.notes.push(`${unknown}: its guest agent does not answer`);
			continue;
		}
		if (gone.includes(domain.name)) {
			run.notes.push(`${unknown}: its guest is not the one that was recorded`);
			continue;
		}
		compared = true;
		const own = { ...recording, session: { ...session, domains: [domain] } };
		const begun = await orFault(() => startClocks(own));
		if (begun instanceof LabError) run.notes.push(`${unknown}: ${begun.message}`);
		await endClocks(own);
	}
	if (!compared) return;
	run.notes.push(
		"the clocks of its guests were compared at its end alone: where a guest was stopped, by a debugger or a pause, what it did before is off by as long as that lasted",
	);
}

/** Makes a whole run of the snapshots of all parts; returns what is to be said of the clocks. */
async function takeAll(recording: Recording): Promise<string[]> {
	const { session, domains } = recording.session;
	// All parts at once: each forgets its oldest events while another is taken.
	const [taken, host, parts] = await Promise.all([
		orFault(() => take(recording)),
		orFault(() => takeHost(recording.session, "snapshot")),
		takeParts(recording, snapshot(session)),
	]);
	if (taken instanceof LabError) throw taken;
	const said = await lttng("--mi", "xml", "list", session);
	const clocks = await completeRun(recording, said, parts, host);
	await begins(recording);
	writeRun(recording.folder, recording.run);
	rmSync(written(recording.session), { recursive: true, force: true });
	for (const domain of domains) {
		if (recording.guestFaults.has(domain.name)) continue;
		await orFault(() => dropSnapshot(new GuestAgent(domain), session));
	}
	return clocks;
}

async function take({ session, run }: Recording): Promise<void> {
	try {
		await lttng("snapshot", "record", `--session=${session.session}`, `file://${session.folder}`);
	} catch (error) {
		throw new LabError(
			`the flight recorder cannot be read: ${(error as Error).message}`,
			`where there is no room for it, make some (df -h shows on which disk), and take it again; ./lab${stackOption(session.stack)} preview says what became of the recorder, and up makes it again`,
		);
	}
	ended(run);
}

/** A snapshot begins with the oldest event that was still there. */
async function begins({ folder, run }: Recording): Promise<void> {
	const ranges = await orFault(() => Promise.all(ctfTraces(join(folder, "qemu")).map(ctfRange)));
	// A part that cannot be read is said by its layer.
	if (ranges instanceof LabError) return;
	const first = earliest(ranges.flatMap((range) => range?.[0] ?? []));
	if (first === undefined || run.ended === undefined || run.monotonic.ended === undefined) return;
	const milliseconds = Number((BigInt(run.monotonic.ended) - first) / 1_000_000n);
	run.monotonic.started = String(first);
	run.started = new Date(Date.parse(run.ended) - milliseconds).toISOString();
}
