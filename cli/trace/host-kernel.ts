import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Run } from "../../spec/run.ts";
import { onHost } from "../host.ts";
import { endsWriter, type FetchedPart, ftracePart, type GuestPart, partIn, recordsAgain, taking } from "./guest.ts";
import { onTracefs, type TraceSession } from "./session.ts";

// The host's kernel where ftrace records it. Where LTTng does, it is a part of the host's session of LTTng.

/** Where ftrace writes to: scripts/trace-session.sh. A flight recorder has its events' formats in memory. */
export const written = ({ folder }: TraceSession): string => join(dirname(folder), "ftrace");
const flown = ({ session }: TraceSession): string => onHost(`/run/tracelab/ftrace/${session}`);

const stopped = taking("false", endsWriter, "");
const snapshot = `rm -rf "$2" && mkdir -p "$2" || exit\n${taking("false", 'cp "$3"/* "$2"', recordsAgain)}`;

/**
 * Ends what ftrace records of the host's kernel, or takes a snapshot of it; returns nothing where it does not record it.
 *
 * @throws LabError where it has lost its instance
 */
export async function takeHost(session: TraceSession, mode: Run["mode"]): Promise<GuestPart | undefined> {
	const [from, folder] = [mode === "stream" ? written(session) : flown(session), written(session)];
	if (!existsSync(join(from, "events"))) return undefined;
	const script = mode === "stream" ? stopped : snapshot;
	return partIn(folder, await onTracefs(session, script, session.session, folder, from));
}

/** Makes CTF, in `to`, of what was taken, which stays until the session or, of a snapshot, its run is whole. */
export async function convertHost(part: GuestPart, to: string, mode: Run["mode"]): Promise<FetchedPart> {
	const made = `${to}.part`;
	rmSync(made, { recursive: true, force: true });
	try {
		// As LTTng has it: what all of the host does is not for everybody.
		mkdirSync(made, { mode: 0o770 });
		const converted = await ftracePart(part, made, mode);
		// Of one that was cut off behind this.
		rmSync(to, { recursive: true, force: true });
		renameSync(made, to);
		return converted;
	} finally {
		rmSync(made, { recursive: true, force: true });
	}
}
