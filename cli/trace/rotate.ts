import { existsSync } from "node:fs";
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
import { exchange, overAgent } from "./agent-clock.ts";
import { bytesIn } from "./event-counts.ts";
import { holdRecording } from "./going-on.ts";
import { beaconFile, beaconLines, fetchFiles, keepBeacons, notGone, unlessGone } from "./guest.ts";
import { written } from "./host-kernel.ts";
import { lossesIn, rotateHost, sessionStates } from "./lttng.ts";
import type { Recording } from "./record.ts";
import { guestFolder } from "./session.ts";

// Is there room for another sub-buffer, $3, in the guest's folder $2? Once there was none, LTTng writes nothing more of that
// processor, also where there is room again.
const hasRoom = `[ "$(df --output=avail --block-size=1 "$2" | tail -n 1)" -ge "$3" ] || { echo full; exit; }`;

// In the guest: session folder size-of-a-sub-buffer. Of what ftrace records there is nothing that could be read before its end.
const rotation = `[ ! -d "/sys/kernel/tracing/instances/$1" ] || { echo ftrace; exit; }
${unlessGone}
${hasRoom}
lttng --no-sessiond rotate "$1" >/dev/null && lttng --no-sessiond --mi xml list "$1" && cd "$2" && find ./archives -type f`;

// In the guest: the same, what its beacons say, and the pieces that are not needed there any more.
const forgetting = `${hasRoom}
[ ! -e "$4" ] || echo beacons
cd "$2" && shift 4 && rm -rf "$@"`;

/** The pieces of a layer that are new on this host: their folders. */
interface Pieces {
	readonly title: string;
	readonly folders: readonly string[];
}

/**
 * Ends what a run has recorded so far as a piece of its traces, which babeltrace2 reads while the run goes on. That of a guest's
 * kernel comes to this host, so the guest has its memory back.
 *
 * @throws LabError for a part without a new piece: what it recorded stays where it was
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
			orFault(() => rotateHost(session.session)),
			...guests.map((domain) => orFault(() => rotateGuest(recording, domain))),
		]);
		const parts: (Pieces | LabError)[] = [...hostPieces(host)];
		for (const [at, domain] of guests.entries()) {
			const rotated = said[at] ?? "";
			parts.push(rotated instanceof LabError ? rotated : await orFault(() => fetchPieces(recording, domain, rotated)));
		}
		if (existsSync(written(session)))
			say("lab: ftrace records the kernel of this host: that is no trace before the run is stopped");
		// They are as the run is: of whoever owns the project.
		writeRun(folder, run);
		const rows = parts.flatMap((part) =>
			part instanceof LabError ? [] : part.folders.map((one) => [part.title, size(bytesIn(one)), one]),
		);
		if (rows.length > 0) print(table(["LAYER", "SIZE", "FOLDER"], rows));
		return parts.filter((part) => part instanceof LabError);
	});
	if (faults.length > 0) throw inOne(faults);
	print(`${run.run} records on; ./lab${stackOption(stack)} trace stop ends it`);
}

/** QEMU's, and the kernel's of this host where LTTng records that. */
function hostPieces(chunk: string | LabError): (Pieces | LabError)[] {
	if (chunk instanceof LabError) return [chunk];
	return [
		{ title: "qemu", folders: [join(chunk, "ust")] },
		{ title: "host", folders: [join(chunk, "kernel")] },
	].map(({ title, folders }) => ({ title, folders: folders.filter((one) => existsSync(one)) }));
}

async function rotateGuest({ session: { session, profile } }: Recording, domain: Domain): Promise<string> {
	await mustRun(domain, "not paused");
	const own = String(buffersFor(profile).size);
	return notGone(await new GuestAgent(domain).shell(rotation, session, guestFolder(session), own), domain, session);
}

/** Brings here what a guest said that it has, and only then has the guest forget it. */
async function fetchPieces({ folder, run, session }: Recording, domain: Domain, said: string): Promise<Pieces> {
	const { name } = domain;
	const title = titleOf({ layer: "guest", domain: name });
	if (said.startsWith("ftrace")) {
		say(`lab: ftrace records the kernel of ${name}: all of that stays in the guest until the run is stopped`);
		return { title, folders: [] };
	}
	const full = new LabError(
		`the memory of guest ${name} for traces (/dev/shm) is full: LTTng may write nothing more of it`,
		`stop the run: ./lab${stackOption(domain.stack)} trace stop ${run.run}; rotate the next one sooner, or give the domain more memory:`,
	);
	if (said.startsWith("full")) throw full;
	const agent = new GuestAgent(domain);
	const [from, to] = [guestFolder(session.session), join(folder, "guest", name)];
	await fetchFiles(agent, { said, folder: from }, to);
	run.rotated = { ...run.rotated, [name]: lossesIn(said, "KERNEL") };
	const chunks = [...new Set([...said.matchAll(/^\.\/(archives\/[^/]+)\//gm)].map(([, chunk = ""]) => chunk))];
	const own = String(buffersFor(session.profile).size);
	const left = await agent.shell(forgetting, session.session, from, own, beaconFile(session.session), ...chunks);
	// What is there still tells the stop that something may be missing.
	if (left.startsWith("full")) throw full;
	// Where the guest is not there any more when the run ends, its clock up to here is what puts its pieces on the host's.
	if (overAgent(folder, name)) await exchange(folder, domain);
	else if (left.startsWith("beacons")) keepBeacons(folder, name, await beaconLines(agent, session.session));
	return { title, folders: chunks.map((chunk) => join(to, chunk)) };
}
