import { join } from "node:path";
import { buffersFor } from "../../spec/profile.ts";
import { quote } from "../../spec/quote.ts";
import { titleOf } from "../../spec/run.ts";
import { type Domain, stackOption } from "../card.ts";
import { inOrder } from "../ending.ts";
import { inOne, LabError, orFault } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { mustRun } from "../libvirt.ts";
import { writeRun } from "../runs/run-file.ts";
import { print, say, size, table } from "../terminal.ts";
import { overAgent } from "./agent-clock.ts";
import { bytesIn } from "./event-counts.ts";
import { holdRecording } from "./going-on.ts";
import { beaconsSoFar, fetchFiles, keepBeacons } from "./guest.ts";
import { rotateHost, sessionStates } from "./lttng.ts";
import type { Recording } from "./record.ts";
import { guestFolder } from "./session.ts";

// In the guest: session folder size-of-a-sub-buffer. Of what ftrace records there is nothing that could be read before its end. Once
// its memory was full, a guest's LTTng writes nothing more of that processor, also where there is room again.
const rotation = `[ ! -d "/sys/kernel/tracing/instances/$1" ] || { echo ftrace; exit; }
cd "$2" || exit
[ "$(df --output=avail --block-size=1 . | tail -n 1)" -ge "$3" ] || { echo full; exit; }
lttng --no-sessiond rotate "$1" >/dev/null && find ./archives -type f`;

/** The pieces of a layer that are new on this host: their folders. */
interface Pieces {
	readonly title: string;
	readonly folders: readonly string[];
}

/**
 * Ends what a run has recorded so far as a piece of its traces, which babeltrace2 reads while the run goes on. That of a guest's
 * kernel comes to this host, so the guest has its memory back.
 *
 * @throws LabError for a guest without a new piece: what it recorded stays there
 */
export async function traceRotate(stack: string, name: string | undefined): Promise<void> {
	const recording = holdRecording(stack, name);
	const { folder, run, session } = recording;
	if ((await sessionStates()).get(session.session) !== "active") {
		throw new LabError(
			`run ${quote(run.run)} does not record any more`,
			`have it made whole of what there is: ./lab${stackOption(stack)} trace stop ${run.run}`,
		);
	}
	const faults = await inOrder(async () => {
		// At once, so that all pieces are of the same time.
		const guests = run.asked.guest.length === 0 ? [] : session.domains;
		const [host, ...said] = await Promise.all([
			rotateHost(session.session),
			...guests.map((domain) => orFault(() => rotateGuest(recording, domain))),
		]);
		const pieces: Pieces[] = [{ title: "qemu", folders: [host] }];
		const faults: LabError[] = [];
		for (const [at, domain] of guests.entries()) {
			const rotated = said[at];
			const own =
				rotated instanceof LabError ? rotated : await orFault(() => fetchPieces(recording, domain, rotated ?? ""));
			if (own instanceof LabError) faults.push(own);
			else pieces.push(own);
		}
		// They are as the run is: of whoever owns the project.
		writeRun(folder, run);
		const rows = pieces.flatMap(({ title, folders }) => folders.map((one) => [title, size(bytesIn(one)), one]));
		print(table(["LAYER", "SIZE", "FOLDER"], rows));
		return faults;
	});
	if (faults.length > 0) throw inOne(faults);
	print(`${run.run} records on; ./lab${stackOption(stack)} trace stop ends it`);
}

async function rotateGuest({ session: { session, profile } }: Recording, domain: Domain): Promise<string> {
	await mustRun(domain, "not paused");
	const own = String(buffersFor(profile).size);
	return new GuestAgent(domain).shell(rotation, session, guestFolder(session), own);
}

/** Brings here what a guest said that it has, and only then has the guest forget it. */
async function fetchPieces(
	{ folder, run, session: { session } }: Recording,
	domain: Domain,
	said: string,
): Promise<Pieces> {
	const { name } = domain;
	const title = titleOf({ layer: "guest", domain: name });
	if (said.startsWith("ftrace")) {
		say(`lab: ftrace records the kernel of ${name}: all of that stays in the guest until the run is stopped`);
		return { title, folders: [] };
	}
	if (said.startsWith("full")) {
		throw new LabError(
			`the memory of guest ${name} for traces (/dev/shm) is full: it records nothing more`,
			`stop the run: ./lab${stackOption(domain.stack)} trace stop ${run.run}; rotate the next one sooner, or give the domain more memory:`,
		);
	}
	const agent = new GuestAgent(domain);
	const [from, to] = [guestFolder(session), join(folder, "guest", name)];
	await fetchFiles(agent, { said, folder: from }, to);
	// Where the guest is not there any more when the run ends, they are what puts its pieces on the host's clock.
	const beacons = overAgent(folder, name) ? "" : await beaconsSoFar(agent, session);
	if (beacons !== "") keepBeacons(folder, name, beacons);
	const chunks = [...new Set([...said.matchAll(/^\.\/(archives\/[^/]+)\//gm)].map(([, chunk = ""]) => chunk))];
	await agent.shell('cd "$1" && shift && rm -rf "$@"', from, ...chunks);
	return { title, folders: chunks.map((chunk) => join(to, chunk)) };
}
