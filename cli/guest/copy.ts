import { createReadStream, createWriteStream } from "node:fs";
import { chmod, mkdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { getSystemErrorMap } from "node:util";
import { ExecaError, execa } from "execa";
import { type Domain, findDomain } from "../card.ts";
import { inOrder } from "../ending.ts";
import { LabError, systemCode, UsageError } from "../errors.ts";
import { mustRun } from "../libvirt.ts";
import { size } from "../terminal.ts";
import { GuestAgent } from "./agent.ts";

/** One end of a copy. */
type End = { path: string; domain?: string };

/** `DOMAIN:PATH` is in a guest; a path of this machine with a colon in it can be written `./a:b`. */
function end(text: string): End {
	const [, domain, path] = /^([a-z][a-z0-9-]*):(.*)$/s.exec(text) ?? [];
	if (domain === undefined || path === undefined) return { path: text };
	return { domain, path: path === "" ? "." : path };
}

/** Copies a file or a folder into a guest or out of it, with its mode. */
export async function copy(stack: string, from: string, to: string): Promise<void> {
	const [source, target] = [end(from), end(to)];
	const name = source.domain ?? target.domain;
	if (name === undefined || (source.domain !== undefined && target.domain !== undefined)) {
		throw new UsageError("exactly one of SRC and DST is DOMAIN:PATH", "for example: ./lab cp trace.sh vm:/root/");
	}
	const domain = findDomain(stack, name);
	await mustRun(domain, "not paused");
	try {
		await inOrder(async (interrupted) => {
			if (source.domain === undefined) await send(domain, source.path, target.path, interrupted);
			else await fetch(domain, source.path, target.path, interrupted);
		});
	} catch (error) {
		throw localFault(error) ?? error;
	}
}

/** What this machine has against one of its files: a person's to mend, and no fault of the lab's own. */
function localFault(error: unknown): LabError | undefined {
	if (error instanceof ExecaError) return new LabError(`tar failed:\n${error.stderr}`);
	if (!(error instanceof Error && "errno" in error && "path" in error)) return undefined;
	const [code, words] = getSystemErrorMap().get(Number(error.errno)) ?? [];
	return new LabError(`${error.path}: ${words ?? code ?? error.message}`);
}

async function send(domain: Domain, from: string, to: string, interrupted: AbortSignal): Promise<void> {
	const agent = new GuestAgent(domain);
	const entry = await stat(from);
	const target = await agent.shell(
		'if [ -d "$1" ]; then printf %s "${1%/}/$2"; else printf %s "$1"; fi',
		to,
		basename(resolve(from)),
	);
	const part = `${target}.tracelab-part`;
	const report = progress(from, entry.isDirectory() ? 0 : entry.size, interrupted);
	try {
		if (entry.isDirectory()) {
			const tar = execa("tar", ["-C", from, "-cf", "-", "."], { buffer: { stdout: false } });
			await agent.write(part, tar.readable() as AsyncIterable<Buffer>, report);
			await tar;
			await agent.shell('mkdir -p "$1" && tar -C "$1" -xpf "$2" && rm -f "$2"', target, part);
		} else {
			await agent.write(part, createReadStream(from, { highWaterMark: 1 << 20 }), report);
			await agent.shell('chmod "$3" "$2" && mv -f "$2" "$1"', target, part, (entry.mode & 0o7777).toString(8));
		}
	} catch (error) {
		await agent.shell('rm -f "$1"', part).catch(() => {});
		throw error;
	}
}

async function fetch(domain: Domain, from: string, to: string, interrupted: AbortSignal): Promise<void> {
	const agent = new GuestAgent(domain);
	const facts = await agent.shell('stat -L -c "%a %s %F" "$1" && readlink -f "$1"', from);
	const [, mode = "644", bytes = "0", kind = "", whole = from] = /^(\d+) (\d+) ([^\n]*)\n(.*)\n$/s.exec(facts) ?? [];
	const inside = (await stat(to).catch(() => undefined))?.isDirectory() ?? false;
	const target = inside ? join(to, basename(whole)) : to;
	if (kind === "directory") {
		const archive = (
			await agent.shell('f=$(mktemp /tmp/tracelab-XXXXXX) && tar -C "$1" -cf "$f" . && echo "$f"', from)
		).trim();
		try {
			await mkdir(target, { recursive: true });
			const tar = execa("tar", ["-C", target, "-xpf", "-"]);
			// Where tar ends before its input does, it says why.
			const fed = pipeline(reported(agent.read(archive), progress(from, 0, interrupted)), tar.stdin).catch(
				(error: unknown) => {
					if (!["EPIPE", "ERR_STREAM_PREMATURE_CLOSE"].includes(systemCode(error) ?? "")) throw error;
				},
			);
			await Promise.all([fed, tar]);
		} finally {
			await agent.shell('rm -f "$1"', archive);
		}
		return;
	}
	await mkdir(dirname(resolve(target)), { recursive: true });
	const part = `${target}.tracelab-part`;
	try {
		// Files of /proc and /sys say a size of nothing, or of a page.
		await pipeline(reported(agent.read(from), progress(from, Number(bytes), interrupted)), createWriteStream(part));
		await chmod(part, Number.parseInt(mode, 8));
		await rename(part, target);
	} catch (error) {
		await rm(part, { force: true });
		throw error;
	}
}

async function* reported(parts: AsyncIterable<Buffer>, report: (bytes: number) => void): AsyncGenerator<Buffer> {
	for await (const bytes of parts) {
		report(bytes.length);
		yield bytes;
	}
}

/** Shows on a terminal how far a copy has come, once it is worth a look. @throws LabError where nobody waits for it any more */
function progress(name: string, whole: number, interrupted: AbortSignal): (bytes: number) => void {
	let done = 0;
	return (bytes) => {
		if (interrupted.aborted) throw new LabError(`interrupted: ${name} is not copied`);
		done += bytes;
		if (!process.stderr.isTTY || Math.max(done, whole) < 1_000_000) return;
		const of = whole === 0 ? "" : ` of ${size(whole)}, ${Math.floor((100 * done) / whole)} %`;
		process.stderr.write(`\r${name}: ${size(done)}${of}\x1b[K${done === whole ? "\n" : ""}`);
	};
}
