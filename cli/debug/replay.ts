import { copyFileSync, existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { execa } from "execa";
import { noted } from "../builds/build-record.ts";
import { stackOption } from "../card.ts";
import { inOrder } from "../ending.ts";
import { LabError, systemCode } from "../errors.ts";
import { onHost, project } from "../host.ts";
import { handOver, notOutliving } from "../program.ts";
import { say } from "../terminal.ts";
import { laterSymbols, quietPython } from "./debugger.ts";
import { ElfError, readElf } from "./elf.ts";
import { files, type Recording, readRecording, recordingArguments } from "./recording.ts";

/** The gdbstub, in the replay's own folder: nobody else can take it, or connect to it. */
const gdbSocket = "gdb.sock";

/**
 * Replays a recording from its first instruction under gdb, where reverse-continue and reverse-step go back; `args` are
 * gdb's own. The recording stays as it is: each replay has a disk of its own.
 */
export async function replay(stack: string, run: string, args: readonly string[]): Promise<number> {
	const { folder, recording } = readRecording(stack, run);
	checkBuilds(recording);
	const own = mkdtempSync(join(tmpdir(), "tracelab-replay-"));
	try {
		copyFileSync(join(folder, files.disk), join(own, files.disk));
		for (const file of [files.log, files.lab]) symlinkSync(join(folder, file), join(own, file));
		// Once it has powered off, it waits for its debugger to leave.
		const options = ["-S", "-no-shutdown", "-gdb", `unix:${gdbSocket},server=on,wait=off`];
		const arguments_ = [...recordingArguments("replay", recording), ...options];
		const qemu = execa(...notOutliving(onHost(recording.emulator), arguments_), {
			cwd: own,
			reject: false,
			stdin: "ignore",
			// Or a Ctrl-C that is gdb's would be QEMU's as well.
			detached: true,
			// One that waits in a replay does not hear of SIGTERM.
			killSignal: "SIGKILL",
		});
		try {
			await inOrder((interrupted) => listening(join(own, gdbSocket), qemu, interrupted));
			say(`lab: ${run} from its first instruction; its console: ${join(own, files.console)}`);
			const code = await handOver("gdb", replayArguments(recording, folder, join(own, gdbSocket), args));
			const told = qemu.kill();
			const ended = await qemu;
			// To gdb, one that failed is a connection that was closed.
			if (ended.exitCode !== 0 && !(told && ended.signal === "SIGKILL")) say(`lab: ${endOf(ended)}`);
			return code;
		} finally {
			qemu.kill();
			await qemu;
			const said = join(own, files.console);
			if (existsSync(said)) copyFileSync(said, join(folder, files.replayed));
		}
	} finally {
		rmSync(own, { recursive: true });
	}
}

function checkBuilds({ emulator, kernel, buildId, results = {}, lab, stack }: Recording): void {
	const again = `record it again, on what is there now: ./lab${stackOption(stack)} record`;
	if (!existsSync(onHost(emulator))) throw new LabError(`it was recorded by ${emulator}, which is gone`, again);
	const vmlinux = `${kernel}/vmlinux`;
	let found: string | undefined;
	try {
		found = readElf(onHost(vmlinux)).buildId;
	} catch (error) {
		const why = error instanceof ElfError ? error.message : systemCode(error);
		if (why === undefined) throw error;
		throw new LabError(
			`it was recorded on ${vmlinux}, which ${why === "ENOENT" ? "is gone" : `cannot be read: ${why}`}`,
			again,
		);
	}
	if (found !== buildId) {
		throw new LabError(
			`it was recorded on a kernel with build-id ${buildId}, and ${vmlinux} has ${found ?? "none"} now`,
			again,
		);
	}
	// On other bytes the replay would part from what was recorded, and never say why.
	const others = Object.entries(results).flatMap(([prefix, was]) => {
		const now = noted(prefix)?.result;
		const shown = now === undefined ? "gone, or not noted" : now.slice(0, 12);
		return now === was ? [] : [{ now, words: `  ${prefix}: its result is ${shown}, and was ${was.slice(0, 12)}` }];
	});
	if (others.length === 0) return;
	const lock = lab?.lock === undefined ? "" : ` and the lock (sha256 ${lab.lock.slice(0, 12)}…)`;
	const back = `with the stack file${lock} of that time, ./lab${stackOption(stack)} up makes them as they were; or `;
	throw new LabError(
		`it was recorded on other builds than are there now:\n${others.map(({ words }) => words).join("\n")}`,
		`${lock === "" && others.some(({ now }) => now !== undefined) ? "" : back}${again}`,
	);
}

interface Ended {
	exitCode?: number;
	signal?: string;
	stderr: string;
}

const endOf = ({ exitCode, signal, stderr }: Ended): string => `QEMU ended with ${exitCode ?? signal}: ${stderr}`;

async function listening(socket: string, qemu: PromiseLike<Ended>, interrupted: AbortSignal): Promise<void> {
	let ended: string | undefined;
	qemu.then((result) => {
		ended = endOf(result);
	});
	while (!existsSync(socket)) {
		if (ended !== undefined) throw new LabError(ended);
		if (interrupted.aborted) throw new LabError("interrupted");
		await pause(50);
	}
}

function replayArguments({ kernel }: Recording, folder: string, socket: string, args: readonly string[]): string[] {
	const modules = join(folder, files.modules);
	return [
		"-q",
		...quietPython,
		...["-iex", `add-auto-load-safe-path ${kernel}`],
		// What lies behind is found by going there once more from the start.
		...["-iex", "set remotetimeout 300"],
		...["-iex", `directory ${kernel}/source`],
		`${kernel}/vmlinux`,
		...["-ex", `target remote ${socket}`, "-ex", `source ${project}/cli/debug/gdb-replay.py`],
		...(existsSync(modules) ? laterSymbols(modules) : []),
		...args,
	];
}
