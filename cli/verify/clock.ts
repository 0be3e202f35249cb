import { rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { ClockRecord } from "../../spec/clock-record.ts";
import { interruptOrder } from "../../spec/disk-interrupts.ts";
import { type Domain, stackOption } from "../card.ts";
import { measureClock } from "../clock/clock.ts";
import { checkBound, checkOffsets } from "../clock/run-clock.ts";
import { LabError, systemCode } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { causalityText } from "../runs/events.ts";
import { causality } from "../runs/merge.ts";
import { goesOn } from "../runs/run-file.ts";
import { runsFolder } from "../runs/run-folder.ts";
import { byFtrace, checkLayers, checkOrder } from "../trace/layers.ts";
import { type Recording, recordWhile, startClocks, startRecording } from "../trace/record.ts";
import { up } from "./claim.ts";

// What puts host and guest on one clock, and what a trace of both shows of it.

export async function clock(domain: Domain): Promise<string> {
	const { clock, record, fallback, host, guest } = await measureClock(domain);
	if (fallback !== undefined) throw new LabError(`not in band: ${fallback.message}`, fallback.todo);
	const [over] = checkBound(record);
	if (over !== undefined) {
		throw new LabError(
			over,
			`measure it again when the host is less busy: ./lab${stackOption(domain.stack)} clock ${domain.name}`,
		);
	}
	const sources = `host ${host.clocksource}, guest ${guest.clocksource}`;
	return `± ${clock.bound} ns (${clock.method}, ${clock.pairs} pairs; ${sources}); ${wallClock(record, domain)}`;
}

/**
 * How far REALTIME - MONOTONIC, as the metadata of traces has it, lies from the systems' own.
 *
 * @throws LabError where a wall clock was set since, or a trace is of no clock that is known
 */
function wallClock(record: ClockRecord, { name, stack }: Domain): string {
	const [set] = checkOffsets(record);
	if (set !== undefined)
		throw new LabError(set, `see who sets it, then look again: ./lab${stackOption(stack)} clock ${name}`);
	const strange = record.traces.find(({ difference }) => difference === undefined);
	if (strange !== undefined) {
		throw new LabError(
			`${strange.trace}: its metadata names a clock that is neither the host's nor the guest's`,
			`see whether it was started again meanwhile, then look again: ./lab${stackOption(stack)} clock ${name}`,
		);
	}
	const most = Math.max(...record.traces.map(({ difference = 0 }) => Math.abs(difference)));
	return `REALTIME - MONOTONIC in a trace ${most} ns from the system's`;
}

/** Reads of the disk past every cache, so that each is a request that guest and QEMU see. */
const reads = ["dd", "if=/dev/vda", "of=/dev/null", "bs=4k", "count=32", "iflag=direct"];

export async function trace(domain: Domain): Promise<string> {
	const name = `verify-${process.pid}`;
	const folder = `${runsFolder(domain.stack)}/${name}`;
	try {
		const recording = await startRecording(domain.stack, "block-io", { domains: [domain.name], name });
		// What is noted before anything is recorded is of the run's folder, which does not stay.
		const before = new Set(recording.run.notes);
		const noted = (expected?: string) => recording.run.notes.find((note) => !before.has(note) && note !== expected);
		const again = `./lab${stackOption(domain.stack)} trace run block-io -d ${domain.name} -- ${reads.join(" ")}`;
		const work = async () => {
			await startClocks(recording);
			const clockless = noted();
			if (clockless !== undefined) throw new LabError(clockless, `${up(domain)} brings it in`);
			await readDisk(domain);
		};
		const { failure } = await recordWhile(recording, work).catch((error: unknown) => {
			if (!(error instanceof LabError) || !error.todo.endsWith(`trace stop ${name}`)) throw error;
			throw new LabError(error.message, `${error.todo}, then ./lab${stackOption(domain.stack)} trace rm ${name}`);
		});
		if (failure !== undefined) throw failure;
		await checkLayers(recording);
		if (recording.clock !== undefined) wallClock(recording.clock, domain);
		const layers = recording.run.layers.filter(({ absent }) => absent === undefined);
		const seen = layers
			.map(({ layer, total, tracer }) => `${layer} ${total}${tracer ? ` by ${tracer}` : ""}`)
			.join(", ");
		// Events that were lost, a fallback, or what could not be recorded; a guest without lttng-modules may be meant so.
		const note = noted(byFtrace(domain.name));
		if (note !== undefined) throw new LabError(note, `a run of the same says so as well, and stays: ${again}`);
		return `events: ${seen}; none lost; ${await order(domain, recording)}`;
	} finally {
		// What could not be stopped is a run for `trace stop`, which knows by its folder what records it.
		if (!goesOn(folder)) {
			rmSync(folder, { recursive: true, force: true });
			removeEmpty(dirname(folder));
		}
	}
}

async function readDisk(domain: Domain): Promise<void> {
	const { code, stderr } = await new GuestAgent(domain).exec(reads);
	if (code === 0) return;
	throw new LabError(
		`${reads.join(" ")} in the guest: ${stderr.toString().trim() || `it ended with ${code}`}`,
		`see the guest's log: ./lab${stackOption(domain.stack)} exec ${domain.name} -- dmesg`,
	);
}

/** That no effect comes before its cause. */
async function order({ name, stack }: Domain, recording: Recording): Promise<string> {
	const found = recording.causality ?? (await causality(recording.folder));
	const lab = `./lab${stackOption(stack)}`;
	const pairs = sum(found.checks.map((check) => check.pairs));
	if (pairs === 0) {
		throw new LabError(
			"the trace has no request of the disk that both guest and QEMU saw from its begin to its end",
			`see what either recorded: ${lab} trace run block-io -d ${name} --name look -- ${reads.join(" ")}, then ${lab} events look`,
		);
	}
	checkOrder(recording);
	const early = found.checks.filter(({ violations }) => violations > 0);
	if (early.length === 0) {
		const { absent, pairs: seen = 0 } = found.checks.find(({ order }) => order === interruptOrder) ?? {};
		const interrupts = absent === undefined ? `${seen} of them interrupts` : `interrupts not compared, as ${absent}`;
		return `0 of ${pairs} effects before their causes, ${interrupts}`;
	}
	throw new LabError(
		causalityText({ checks: early, unpaired: 0 }).join("; "),
		`the clocks are not known well enough to tell which came first: ${lab} clock ${name} says how well, and a less busy host makes it better`,
	);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** Nothing of a look stays, and what somebody recorded does. */
function removeEmpty(folder: string): void {
	try {
		rmdirSync(folder);
		rmdirSync(dirname(folder));
	} catch (error) {
		if (!["ENOTEMPTY", "ENOENT"].includes(systemCode(error) ?? "")) throw error;
	}
}
