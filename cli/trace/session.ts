import { beaconEvent } from "../../spec/beacon-match.ts";
import type { Layer, Profile } from "../../spec/profile.ts";
import { recordsBeacon, sessionInputs } from "../../spec/session-inputs.ts";
import type { Domain } from "../card.ts";
import { runScript } from "../script.ts";

/** A session of LTTng over some domains that no stack file names. */
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

/** QEMU's events that are there for the clock alone, as counts have them. */
export function clockEvents(names: readonly string[]): string[] {
	return recordsBeacon(names) ? [] : [beaconEvent.replace(/^qemu:/, "")];
}

/** Domains as the script is told of them. */
export const domainLines = (domains: readonly Domain[]): string =>
	domains.map(({ name, card }) => `${name} ${card.libvirtName} ${card.emulator}`).join("\n");

async function script(verb: "apply" | "remove", { stack, session, profile, layers, domains, folder }: TraceSession) {
	const inputs = {
		stack,
		step: "trace",
		session,
		mode: "stream",
		folder,
		domains: domainLines(domains),
		...sessionInputs(profile, layers),
	};
	return runScript("trace-record", inputs, verb);
}
