import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { cp } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { quote } from "../../spec/quote.ts";
import { type Run, secondsOf } from "../../spec/run.ts";
import { checkStack, stackOption } from "../card.ts";
import { inOrder } from "../ending.ts";
import { LabError, UsageError } from "../errors.ts";
import { findRun, tracedRuns, writeRun } from "../runs/run-file.ts";
import { duration, print, say, size, table } from "../terminal.ts";
import { holdRecording } from "./going-on.ts";
import { checkClocks, checkLayers, checkOrder } from "./layers.ts";
import {
	dropRecording,
	endClocks,
	type RecordOptions,
	startClocks,
	startRecording,
	stopRecording,
	whatToRecord,
} from "./record.ts";
import { summary } from "./summary.ts";

/** Starts a run that goes on until `trace stop`. */
export async function traceStart(stack: string, what: string, options: RecordOptions): Promise<void> {
	const { profile } = whatToRecord(stack, what);
	if (profile.reset) {
		throw new UsageError(
			`profile ${quote(profile.name)} begins with a reset of the guest, and ends when that has booted`,
			`record it by: ./lab${stackOption(stack)} trace run ${what}`,
		);
	}
	const recording = await inOrder(async (interrupted) => {
		const recording = await startRecording(stack, what, { ...options, beforehand: true });
		try {
			await startClocks(recording);
			if (interrupted.aborted) throw new LabError("interrupted before it was begun");
			return recording;
		} catch (error) {
			// The beacons of those guests that have some by then.
			await endClocks(recording).catch(() => {});
			await dropRecording(recording);
			throw error;
		}
	});
	writeRun(recording.folder, recording.run);
	print(`${recording.run.run} records; ./lab${stackOption(stack)} trace stop ends it`);
}

/** Ends a run that `trace start` began, or that was left when `trace run` or `start` was killed. */
export async function traceStop(stack: string, name: string | undefined, clockBound?: number): Promise<void> {
	const recording = holdRecording(stack, name);
	const clocks = await inOrder(() => stopRecording(recording));
	for (const line of [...summary(recording.run, recording.folder), ...clocks]) print(line);
	await checkLayers(recording);
	checkOrder(recording);
	checkClocks(recording, clockBound);
}

/** Lists the traced runs. */
export function listRuns(stack: string, { json = false }: { json?: boolean } = {}): void {
	const runs = tracedRuns(stack);
	if (runs.length === 0) checkStack(stack);
	if (json) {
		print(JSON.stringify(runs, null, 2));
		return;
	}
	if (runs.length === 0) {
		say(
			`lab: stack ${quote(stack)} has no traced runs; record one: ./lab${stackOption(stack)} trace run PROFILE -- COMMAND`,
		);
		return;
	}
	const rows = runs.map((run) => {
		const sum = (value: (layer: Run["layers"][number]) => number) =>
			run.layers.reduce((total, layer) => total + value(layer), 0);
		const done = run.ended !== undefined;
		return [
			run.run,
			run.profile,
			Object.keys(run.domains).join(", "),
			run.started.replace(/\.\d+/, ""),
			done ? duration(secondsOf(run)) : "recording",
			done ? String(sum(({ total }) => total)) : "",
			done ? size(sum(({ bytes }) => bytes)) : "",
			done ? String(sum(({ discarded, lostPackets }) => discarded + lostPackets)) : "",
		];
	});
	print(table(["RUN", "PROFILE", "DOMAINS", "STARTED", "LASTED", "EVENTS", "SIZE", "LOST"], rows));
}

/** Copies a run's folder: CTF that babeltrace2 and Trace Compass open. */
export async function fetchRun(stack: string, name: string, target = "."): Promise<void> {
	const { folder, run } = findRun(stack, name);
	if (run.ended === undefined) {
		throw new LabError(`run ${quote(name)} is being recorded`, `end it: ./lab${stackOption(stack)} trace stop ${name}`);
	}
	const to = join(resolve(target), name);
	if (existsSync(to)) throw new UsageError(`${to} is there already`, "name another folder, or move that one away");
	mkdirSync(dirname(to), { recursive: true });
	const part = mkdtempSync(`${to}.part-`);
	try {
		await cp(folder, part, { recursive: true });
		chmodSync(part, statSync(folder).mode);
		renameSync(part, to);
	} catch (error) {
		rmSync(part, { recursive: true, force: true });
		throw error;
	}
	print(to);
}
