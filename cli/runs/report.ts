import {
	createWriteStream,
	existsSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { aggregate } from "../../report/aggregate.ts";
import type { TraceEvent } from "../../report/event.ts";
import type { ClockFacts, DomainFacts, RunFacts } from "../../report/facts.ts";
import { page } from "../../report/page.ts";
import { perfettoJson } from "../../report/perfetto.ts";
import { runFacts } from "../../report/run-record.ts";
import { type HostBeacon, matchBeacons, readBeacons } from "../../spec/beacon-match.ts";
import { CausalityWatch } from "../../spec/causality-watch.ts";
import type { ClockPair } from "../../spec/clock-fit.ts";
import { ClockMap } from "../../spec/clock-map.ts";
import type { GuestClock } from "../../spec/clock-record.ts";
import { quote } from "../../spec/quote.ts";
import type { Run } from "../../spec/run.ts";
import { stackOption } from "../card.ts";
import { beaconIn } from "../clock/run-clock.ts";
import { readExchanges } from "../clock/system-clock.ts";
import { LabError, systemCode, UsageError } from "../errors.ts";
import { onHost } from "../host.ts";
import { duration, print, size } from "../terminal.ts";
import { type MergedEvent, type MergedRun, mergedEvents } from "./merge.ts";
import { readRun } from "./run-file.ts";
import { runFolder } from "./run-folder.ts";

export interface ReportOptions {
	/** The page; RUN.html in this folder where nothing is asked for. */
	output?: string;
	/** Chrome's trace-event JSON, packed where its name ends in .gz. */
	perfetto?: string;
}

/** Writes what a run recorded as a page for people, or as what ui.perfetto.dev opens. */
export async function report(stack: string, run: string, { output, perfetto }: ReportOptions): Promise<void> {
	const folder = runFolder(stack, run);
	const facts = recordedFacts(stack, run, readRun(folder));
	if (perfetto !== undefined) {
		checkFolder(perfetto);
		await timed(perfetto, () => writePerfetto(folder, facts, perfetto));
	}
	if (output === undefined && perfetto !== undefined) return;
	const file = output ?? `${run}.html`;
	checkFolder(file);
	await timed(file, () => writePage(stack, folder, facts, file));
}

type Recorded = Omit<RunFacts, "clocks" | "causality">;

/** Writes a file, and says how long that took. */
async function timed(file: string, write: () => Promise<number>): Promise<void> {
	const start = performance.now();
	const events = await write();
	const took = duration(Number(((performance.now() - start) / 1000).toFixed(1)));
	print(`${file}: ${events} events, ${size(statSync(file).size)}, in ${took}`);
}

async function writePage(stack: string, folder: string, recorded: Recorded, file: string): Promise<number> {
	const merged = await mergedEvents(folder);
	const watch = new Watch(merged.record);
	const report = await aggregate(watch.over(merged.events));
	if (report.total === 0) {
		throw new LabError(
			`run ${quote(recorded.run)} has no events: there is nothing in its traces`,
			`record one: ./lab${stackOption(stack)} trace run PROFILE -- COMMAND`,
		);
	}
	const facts = { ...recorded, clocks: clockFacts(folder, merged, watch), causality: watch.causality.result().checks };
	await replace(file, async (part) => writeFileSync(part, await page(facts, report)));
	return report.total;
}

async function writePerfetto(folder: string, facts: Recorded, file: string): Promise<number> {
	const { events } = await mergedEvents(folder);
	let count = 0;
	const counted = async function* (): AsyncGenerator<TraceEvent> {
		for await (const event of events) {
			count++;
			yield event;
		}
	};
	const json = Readable.from(perfettoJson(counted(), facts));
	await replace(file, async (part) => {
		if (file.endsWith(".gz")) await pipeline(json, createGzip(), createWriteStream(part));
		else await pipeline(json, createWriteStream(part));
	});
	return count;
}

/** What else a page says of events, seen as they pass. */
class Watch {
	readonly causality: CausalityWatch;
	/** QEMU's side of the beacons, by domain. */
	readonly beacons = new Map<string, HostBeacon[]>();

	constructor(record: Run | undefined) {
		this.causality = new CausalityWatch(record);
	}

	async *over(events: AsyncIterable<MergedEvent>): AsyncGenerator<TraceEvent> {
		for await (const event of events) {
			this.causality.see(event);
			this.#beacon(event);
			yield event;
		}
	}

	#beacon(event: MergedEvent): void {
		const { domain } = event;
		const beacon = beaconIn(event);
		if (domain === undefined || beacon === undefined) return;
		const known = this.beacons.get(domain) ?? [];
		if (known.length === 0) this.beacons.set(domain, known);
		known.push(beacon);
	}
}

function clockFacts(folder: string, { clock }: MergedRun, { beacons }: Watch): ClockFacts[] {
	return Object.entries(clock.guests).map(([domain, guest]) => {
		const begin = guest.pieces[0]?.from ?? 0;
		const text = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "");
		const pairs =
			guest.method === "guest agent"
				? readExchanges(text(join(folder, "clock", `${domain}.agent`)))
				: matchBeacons(readBeacons(text(join(folder, "clock", domain))), beacons.get(domain) ?? []).pairs;
		return {
			domain,
			method: methods[guest.method],
			pairs: guest.pairs,
			bound: guest.bound,
			residuals: guest.residuals,
			pieces: guest.pieces.map(({ change, ...piece }) => ({
				...piece,
				offset: Number(BigInt(guest.reference.host) - BigInt(guest.reference.guest)) + piece.offset,
				from: piece.from - begin,
				to: piece.to - begin,
				...(change !== undefined && { change: change.cause }),
			})),
			points: thinned(pairs.map((pair) => point(pair, guest, new ClockMap(guest.pieces), begin))),
		};
	});
}

const methods: Readonly<Record<GuestClock["method"], string>> = {
	"in-band beacon":
		"in band: the guest writes to a port between two readings of its clock, and QEMU's trace times the write",
	"guest agent": "over the guest's agent, as QEMU's trace has no beacons: some ten thousand times wider than in band",
};

/** How far the middle of a pair lies from the fit, and when that was. */
function point({ guest, host }: ClockPair, { reference }: GuestClock, map: ClockMap, begin: number) {
	const middle = (times: readonly [bigint, bigint], zero: string) =>
		(Number(times[0] - BigInt(zero)) + Number(times[1] - BigInt(zero))) / 2;
	const [here, there] = [middle(guest, reference.guest), middle(host, reference.host)];
	return [Math.round(here - begin), Math.round(there - here - map.offset(here))] as const;
}

/** More points than this lie on each other. */
const pointsShown = 2000;

function thinned<T>(points: readonly T[]): T[] {
	const every = Math.ceil(points.length / pointsShown);
	return points.filter((_, index) => index % every === 0);
}

/** A folder that holds traces alone is a run that says nothing of itself. */
function recordedFacts(stack: string, run: string, record: Run | undefined): Recorded {
	if (record === undefined) return { stack, run, notes: [], lab: [], host: [], domains: [], layers: [] };
	const facts = runFacts(record);
	return { ...facts, domains: facts.domains.map((domain) => withVersions(domain, record.domains[domain.name])) };
}

/** Versions of what a domain ran on: as the run has them, or of runs of before, as long as these builds are there. */
function withVersions({ name, facts }: DomainFacts, domain: Run["domains"][string] | undefined): DomainFacts {
	const { emulator = "", kernel, qemuVersion, kernelRelease } = domain ?? {};
	const versions = [
		["QEMU", qemuVersion ?? (emulator === "" ? "" : line(join(dirname(dirname(emulator)), "version")))],
		["kernel", kernelRelease ?? (kernel === undefined ? "" : releaseOf(kernel))],
	] as const;
	return { name, facts: [...versions.filter(([, version]) => version !== ""), ...facts] };
}

function releaseOf(buildId: string): string {
	const builds = onHost("/opt/tracelab/kernel");
	const prefix = (existsSync(builds) ? readdirSync(builds) : [])
		.map((hash) => join(builds, hash))
		.find((each) => line(join(each, "build-id")) === buildId);
	return prefix === undefined ? "" : line(join(prefix, "release"));
}

const line = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8").trim() : "");

/** Said before a minute's work, not behind it. */
function checkFolder(file: string): void {
	if (existsSync(dirname(file))) return;
	throw new UsageError(
		`${file} cannot be written: there is no folder ${dirname(file)}`,
		"make it, or give another file",
	);
}

/** A file is there when it is whole. */
async function replace(file: string, write: (part: string) => Promise<void>): Promise<void> {
	const part = join(dirname(file), `.${basename(file)}.part`);
	try {
		await write(part);
		renameSync(part, file);
	} catch (error) {
		rmSync(part, { force: true });
		const code = systemCode(error);
		if (code === undefined || !["EACCES", "EISDIR", "ENOSPC", "EROFS", "ENOTDIR"].includes(code)) throw error;
		throw new LabError(`${file} cannot be written: ${code}`, "give another file: -o FILE");
	}
}
