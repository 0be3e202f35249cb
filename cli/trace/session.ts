import { existsSync, rmSync, writeFileSync } from "node:fs";
import { beaconEvent } from "../../spec/beacon-match.ts";
import type { Layer, Profile } from "../../spec/profile.ts";
import { recordsBeacon, sessionInputs } from "../../spec/session-inputs.ts";
import type { Domain } from "../card.ts";
import { onHost } from "../host.ts";
import { runScript } from "../script.ts";

/** A session of LTTng over some domains: of a run, of its calibration, or a flight recorder that is read. */
export interface TraceSession {
	readonly stack: string;
	readonly session: string;
	readonly profile: Profile;
	/** The layers that are recorded, of those that the profile has. */
	readonly layers: readonly Layer[];
	readonly domains: readonly Domain[];
	/** Where the host's part is written to. */
	readonly folder: string;
}

/**
 * The session of a run, and that of its calibration. No stack's name, and no flight recorder's, has a dot, and no run's begins
 * with one: nothing else has these names.
 */
export const runSession = (stack: string, run: string): string => `tracelab-${stack}.${run}`;
export const trialSession = (stack: string, run: string): string => `tracelab-${stack}..${run}`;

/** Where a guest's part is written to, in the guest: scripts/lib/lttng.sh. */
export const guestFolder = (session: string): string => `/dev/shm/tracelab/${session}`;

/** Makes the session; returns what is to be said of the host's kernel where that is not traced. */
export async function makeSession(session: TraceSession): Promise<string | undefined> {
	return (JSON.parse(await script("apply", session)) as { host?: string }).host;
}

/** Ends the session on the host and in the guests; what it wrote on the host stays. */
export async function removeSession(session: TraceSession): Promise<void> {
	await script("remove", session);
}

/** The list of the domains whose sessions of that name are to be ended: scripts/trace-session.sh. */
export const recordOf = (session: string): string => onHost(`/var/lib/tracelab/traces/${session}`);

/** Has the session's end leave alone what these guests have of it: one that answers again by then has not given it. */
export function leaveParts({ session, domains }: TraceSession, silent: ReadonlyMap<string, unknown>): void {
	const record = recordOf(session);
	const others = domains.filter(({ name }) => !silent.has(name));
	if (others.length === domains.length || !existsSync(record)) return;
	if (others.length === 0) rmSync(record);
	else writeFileSync(record, `${domainLines(others)}\n`);
}

/** Runs a script on the host's tracefs, where an instance is ftrace's part of the session; returns what it printed. */
export const onTracefs = (session: TraceSession, ...words: readonly string[]): Promise<string> =>
	script("tracefs", session, ...words);

/** Why the host's kernel cannot be traced; nothing where it can. */
export const untracedHost = (session: TraceSession): Promise<string> => script("untraced", session);

/** QEMU's events that are there for the clock alone, as counts have them. */
export function clockEvents(names: readonly string[]): string[] {
	return recordsBeacon(names) ? [] : [beaconEvent.replace(/^qemu:/, "")];
}

/** Domains as the script is told of them. */
export const domainLines = (domains: readonly Domain[]): string =>
	domains.map(({ name, card }) => `${name} ${card.libvirtName} ${card.emulator}`).join("\n");

/** Ends the session of a run whose lab goes; of the script's inputs, the others are for one that is made. */
export async function endSession(stack: string, session: string, folder: string): Promise<void> {
	const made = { mode: "stream", domains: "", qemu: "none", guest: "", host: "", size: "1", count: "1" };
	await runScript("trace-record", { stack, step: "trace", session, folder, ...made }, ["remove"], { detached: true });
}

async function script(
	verb: "apply" | "remove" | "tracefs" | "untraced",
	{ stack, session, profile, layers, domains, folder }: TraceSession,
	...words: readonly string[]
) {
	const inputs = {
		stack,
		step: "trace",
		session,
		mode: "stream",
		folder,
		domains: domainLines(domains),
		...sessionInputs(profile, layers),
	};
	// One that a Ctrl-C cuts off leaves a session that records.
	return runScript("trace-record", inputs, [verb, ...words], { detached: true });
}
