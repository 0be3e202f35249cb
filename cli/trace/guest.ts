import { createWriteStream, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Run } from "../../spec/run.ts";
import { type Domain, readCard, stackOption } from "../card.ts";
import { clockBeacon } from "../clock/clock.ts";
import { buildIdIn } from "../debug/elf.ts";
import { LabError } from "../errors.ts";
import { GuestAgent, GuestRefusal } from "../guest/agent.ts";
import { domainProcess } from "../libvirt.ts";
import { ftraceToCtf } from "./ftrace.ts";
import { type Losses, lossesIn, versionIn } from "./lttng.ts";
import { guestFolder } from "./session.ts";

/** What the guest's beacons say, while they are recorded. */
export const beaconFile = (session: string): string => `/run/tracelab-${session}.clock`;

// Of a command that was killed, they go on; where they have ended, another process may have their number.
const endsBeacons = `there() { { read -r comm <"/proc/$pid/comm"; } 2>/dev/null && [ "$comm" = clock-beacon ]; }
{ read -r pid <"$f.pid"; } 2>/dev/null
there && ended= || ended=early
while there && kill "$pid"; do sleep 0.1; done`;

// A good number at both ends, where the clocks' lines would be known least, and between them three at a time, soon every three seconds.
const beacons = `f=$1 b=$2
[ -x "$b" ] || exit 3
${endsBeacons}
"$b" 30 10000 3000000 "$f.pid" >"$f"`;

/** Stands among the beacons' lines where their process was not there any more to write the last ones. */
const endedEarly = "ended early";

// Of those that were ended before, for a stop that found no room, nothing is to be ended.
const lastBeacons = `f=$1
[ -e "$f.pid" ] || exit 3
${endsBeacons}
[ "$ended" != early ] || [ "$pid" = ended ] || echo "${endedEarly}" >>"$f"
echo ended >"$f.pid"`;

/** Starts clock-beacon in the guest; false where the guest has none. */
export const startBeacons = (agent: GuestAgent, session: string): Promise<boolean> => beacon(agent, beacons, session);

/** Ends the beacons with a last few; returns what they printed, which the guest keeps, or nothing where none were started. */
export async function endBeacons(agent: GuestAgent, session: string): Promise<string | undefined> {
	return (await beacon(agent, lastBeacons, session)) ? beaconLines(agent, session) : undefined;
}

/** What the beacons of a guest have printed so far: of days, it is more than a command may print. */
export async function beaconLines(agent: GuestAgent, session: string): Promise<string> {
	return (await agent.readAll(beaconFile(session))).toString();
}

/** Did the beacons of these lines end by themselves, as by a signal of somebody else's, so that there are none at the end? */
export const lackLast = (lines: string): boolean => lines.split("\n").includes(endedEarly);

/** Has a guest forget what its beacons printed, once that is kept here. */
export async function dropBeacons(agent: GuestAgent, session: string): Promise<void> {
	await agent.shell('rm -f "$1" "$1.pid"', beaconFile(session));
}

/** False where the guest has no clock-beacon, or none was started. */
async function beacon(agent: GuestAgent, script: string, session: string): Promise<boolean> {
	const argv = ["/bin/sh", "-c", script, "sh", beaconFile(session), clockBeacon];
	const { code, stderr } = await agent.exec(argv);
	if (code === 3) return false;
	if (code === 0) return true;
	// It takes its arguments for wrong ones.
	if (code === 2) {
		throw new GuestRefusal(
			"the guest's clock-beacon is an older tracelab's",
			"./lab up builds and shows it this one's",
		);
	}
	throw new GuestRefusal(
		`clock-beacon ended with ${code} in the guest: ${stderr.toString().trim()}`,
		`run it by hand in the guest: ${clockBeacon} 30 10000`,
	);
}

/** What a guest runs: what tells this very kernel and these modules of the lab's from any others. */
export async function guestBuilds(domain: Domain): Promise<GuestBuilds> {
	const agent = new GuestAgent(domain);
	const note = async (file: string) => buildIdIn(await agent.readAll(file));
	const modules: Record<string, string> = {};
	for (const name of Object.keys(domain.card.modules).sort()) {
		try {
			const id = await note(`/sys/module/${name.replaceAll("-", "_")}/notes/.note.gnu.build-id`);
			if (id !== undefined) modules[name] = id;
		} catch (error) {
			// It is not loaded.
			if (!(error instanceof GuestRefusal)) throw error;
		}
	}
	const kernel = await note("/sys/kernel/notes");
	return { ...(kernel !== undefined && { kernel }), modules };
}

type GuestBuilds = Pick<Run["domains"][string], "kernel" | "modules">;

/** Who is traced: this very process, and what its guest runs. */
export function tracedDomain(domain: Domain, guest: GuestBuilds): Run["domains"][string] {
	const process = domainProcess(domain);
	const { acceleration, image, qemu } = domain.card;
	const built = process?.program === domain.card.emulator ? readCard(domain.stack).qemu[qemu] : undefined;
	return {
		libvirtName: domain.card.libvirtName,
		pid: process?.pid ?? 0,
		emulator: process?.program ?? "",
		acceleration: acceleration.kind,
		builds: [`image-${image}`, `kernel-${domain.card.kernel}`, `qemu-${qemu}`],
		...(built !== undefined && { qemuVersion: built.version }),
		...(guest.kernel === domain.kernel.buildId && { kernelRelease: domain.kernel.release }),
		...guest,
	};
}

/** What is asked of a guest at the end of its part, and where that leaves what was written. */
export interface GuestTaking {
	readonly script: string;
	readonly folder: string;
}

/**
 * A script for either tracer. An instance of ftrace (scripts/lib/ftrace.sh) is stopped and all that it has is taken, which
 * it then forgets; `ends` is done before that, and `goesOn` behind it.
 */
export const taking = (lttng: string, ends: string, goesOn: string): string => `i=/sys/kernel/tracing/instances/$1
if [ -d "$i" ]; then
	echo 0 >"$i/tracing_on"
	${ends}
	for cpu in "$i"/per_cpu/cpu*; do
		dd if="$cpu/trace_pipe_raw" bs=4096 iflag=nonblock 2>/dev/null >>"$2/\${cpu##*/}"
	done
	${goesOn}
	echo ftrace
	# There may be no room for a file of it.
	grep -H "" "$i"/per_cpu/cpu*/stats || exit
else
	${lttng} >/dev/null && lttng --version && lttng --no-sessiond --mi xml list "$1" || exit
fi
cd "$2" && find . -type f && echo "room $(df --output=avail --block-size=1 . | tail -n 1)"`;

/**
 * What `ends` and `goesOn` are of an instance of ftrace that wrote all, and of one that goes on behind a snapshot. Where who
 * wrote has ended before, another process may have its number.
 */
export const endsWriter = `read -r pid <"$2.pid" && while grep -zqxF "$i" "/proc/$pid/cmdline" 2>/dev/null && kill "$pid" 2>/dev/null; do sleep 0.1; done`;
export const recordsAgain = `echo 1 >"$i/tracing_on"`;

/** Ends a script of a guest that has nothing of a session any more, not even its folder $2. */
export const unlessGone = `[ -d "$2" ] || { echo gone; exit; }`;

/** @throws LabError where `unlessGone` has ended what said that */
export function notGone(said: string, { name, stack }: Domain, session: string): string {
	if (said !== "gone\n") return said;
	throw new LabError(
		`guest ${name} has no session ${session} any more: it was started again while it was recorded, or what made the session was killed before`,
		`see why in its console: ./lab${stackOption(stack)} console --log ${name}; then record it again`,
	);
}

/** Stops a guest's session, which wrote all; one that was stopped before is none the less to be taken. */
export const stopped = (session: string): GuestTaking => ({
	script: `${unlessGone}\n${taking(`{ lttng --no-sessiond stop "$1" || :; }`, endsWriter, "")}`,
	folder: guestFolder(session),
});

/** Takes a snapshot of a guest's flight recorder, which goes on. */
export const snapshot = (session: string): GuestTaking => ({
	script: `rm -rf "$2" && mkdir -p "$2" || exit
${taking(
	`lttng --no-sessiond snapshot record --session="$1" "file://$2"`,
	`cp "\${2%.snapshot}"/* "$2"`,
	recordsAgain,
)}`,
	folder: `${guestFolder(session)}.snapshot`,
});

/** The part of a guest that was ended: what was said of it, with the files in its folder. */
export interface GuestPart {
	readonly said: string;
	readonly folder: string;
	/** Bytes that there was room for when it ended. */
	readonly room: number;
}

/** The parts of the guests that were ended, by their domains' names, or why one could not be. */
export type GuestParts = ReadonlyMap<string, GuestPart | LabError>;

/** Ends a guest's part. */
export async function takePart(domain: Domain, session: string, { script, folder }: GuestTaking): Promise<GuestPart> {
	const said = await new GuestAgent(domain).shell(script, session, folder);
	return partIn(folder, notGone(said, domain, session));
}

/** @param said what `taking` printed */
export const partIn = (folder: string, said: string): GuestPart => ({
	said,
	folder,
	room: Number(/^room +(\d+)$/m.exec(said)?.[1] ?? Number.POSITIVE_INFINITY),
});

/** What is known of a guest's part when it is here. */
export interface FetchedPart {
	readonly losses: Losses;
	/** LTTng's version, where that recorded it. */
	readonly lttng?: string;
	/** The names of the events that were enabled, where ftrace did. */
	readonly ftrace?: readonly string[];
}

/** Brings what a guest's part recorded into `to`, as CTF. */
export async function fetchPart(
	agent: GuestAgent,
	part: GuestPart,
	to: string,
	mode: Run["mode"],
): Promise<FetchedPart> {
	if (!part.said.startsWith("ftrace\n")) {
		await fetchFiles(agent, part, to);
		return { losses: lossesIn(part.said, "KERNEL"), lttng: versionIn(part.said) };
	}
	const raw = mkdtempSync(join(tmpdir(), "tracelab-ftrace-"));
	try {
		await fetchFiles(agent, part, raw);
		return await ftracePart({ ...part, folder: raw }, to, mode);
	} finally {
		rmSync(raw, { recursive: true });
	}
}

/** Makes CTF, in `to`, of what ftrace left of a part. */
export async function ftracePart({ said, folder }: GuestPart, to: string, mode: Run["mode"]): Promise<FetchedPart> {
	const counters = said.split("\n").filter((line) => line.includes("/stats:"));
	writeFileSync(join(folder, "stats"), `${counters.join("\n")}\n`);
	const { chosen, discarded } = await ftraceToCtf(folder, join(to, "kernel"), mode);
	return { losses: { discarded, lostPackets: 0 }, ftrace: chosen };
}

/**
 * File by file: an archive would take the guest's memory a second time, and a compressed one more of an emulated processor
 * than is won on the way.
 */
export async function fetchFiles(
	agent: GuestAgent,
	{ said, folder }: Omit<GuestPart, "room">,
	to: string,
): Promise<void> {
	const files = [...said.matchAll(/^\.\/(.+)$/gm)].map(([, file = ""]) => file);
	// The metadata last: what is cut off before is no trace to any reader.
	for (const file of files.sort((one, two) => Number(isMetadata(one)) - Number(isMetadata(two)))) {
		// What a guest says is not to be trusted with the host's files.
		if (file.split("/").includes("..")) throw new GuestRefusal(`the guest names a file outside of its part: ${file}`);
		const target = join(to, file);
		mkdirSync(dirname(target), { recursive: true });
		await pipeline(agent.read(`${folder}/${file}`), createWriteStream(`${target}.part`));
		renameSync(`${target}.part`, target);
	}
}

const isMetadata = (file: string): boolean => basename(file) === "metadata";

/** Gives a guest the memory back that a snapshot took; the end of a session does that by itself. */
export async function dropSnapshot(agent: GuestAgent, session: string): Promise<void> {
	await agent.shell('rm -rf "$1"', snapshot(session).folder);
}

/** Bytes that the guest's session has written so far. */
export async function guestBytes(agent: GuestAgent, session: string): Promise<number> {
	const said = await agent.shell('du -sb "$1" 2>/dev/null | cut -f 1', guestFolder(session));
	return Number(said.trim() || 0);
}

export function keepBeacons(folder: string, domain: string, lines: string): void {
	mkdirSync(join(folder, "clock"), { recursive: true });
	writeFileSync(join(folder, "clock", domain), lines);
}
