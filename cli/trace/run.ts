import type { Run } from "../../spec/run.ts";
import { inOrder } from "../ending.ts";
import { LabError, UsageError } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { runInGuest } from "../guest/process.ts";
import { reset } from "../guest/reset.ts";
import { writeRun } from "../runs/run-file.ts";
import { duration, say } from "../terminal.ts";
import { exchangeWhile } from "./agent-clock.ts";
import { warnOnceLong } from "./calibration.ts";
import { checkClocks, checkLayers, checkOrder } from "./layers.ts";
import {
	type Recording,
	type RecordOptions,
	recordWhile,
	startClocks,
	startRecording,
	whatToRecord,
} from "./record.ts";
import { summary } from "./summary.ts";

/**
 * Records what a profile, or a trace session of the stack's, names while a command runs in the first domain's guest; its
 * output is ours, and its exit status is returned, with the run. What is said of the run goes to standard error.
 */
export async function traceRun(
	stack: string,
	what: string,
	command: readonly string[],
	options: RecordOptions & { clockBound?: number },
): Promise<{ run: Run; status: number }> {
	const { profile } = whatToRecord(stack, what);
	if (command.length === 0 && !profile.reset) {
		throw new UsageError("there is no command to trace", `for example: ./lab trace run ${what} -- uname -a`);
	}
	const { recording, clocks, failure } = await inOrder(async (interrupted) => {
		const begun = () => {
			if (interrupted.aborted) throw new LabError("interrupted before the command began");
		};
		const recording = await startRecording(stack, what, options).catch((error: unknown) => {
			begun();
			throw error;
		});
		const { run, folder, session } = recording;
		say(`lab: ${run.run} records ${run.profile} of ${Object.keys(run.domains).join(", ")}`);
		const recorded = await recordWhile(recording, async () => {
			begun();
			if (profile.reset) {
				for (const domain of session.domains)
					say(`lab: ${domain.name} booted in ${duration(await reset(domain, begun))}`);
			}
			await startClocks(recording);
			begun();
			if (command.length === 0) return;
			run.command = [...command];
			writeRun(folder, run);
			run.exitStatus = await exchangeWhile(folder, session.domains, () => runCommand(recording, command, interrupted));
		});
		return { recording, ...recorded };
	});
	const { run, folder } = recording;
	for (const line of [...summary(run, folder), ...clocks]) say(line);
	if (failure !== undefined) throw failure;
	await checkLayers(recording);
	checkOrder(recording);
	checkClocks(recording, options.clockBound);
	return { run, status: run.exitStatus ?? 0 };
}

async function runCommand(recording: Recording, command: readonly string[], signal: AbortSignal): Promise<number> {
	const [domain] = recording.session.domains;
	if (domain === undefined) throw new Error("a recording has a domain");
	const ended = new AbortController();
	const calibration = warnOnceLong(recording, ended.signal);
	try {
		const { code } = await runInGuest(new GuestAgent(domain), command, {
			signal,
			stdout: (bytes) => process.stdout.write(bytes),
			stderr: (bytes) => process.stderr.write(bytes),
		});
		return code;
	} finally {
		ended.abort();
		await calibration;
	}
}
