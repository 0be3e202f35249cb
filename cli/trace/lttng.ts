import { LabError } from "../errors.ts";
import { onHost } from "../host.ts";
import { run } from "../program.ts";

/** What LTTng itself says was lost of a session's events. */
export interface Losses {
	/** Events for which there was no room. */
	discarded: number;
	/** Packets that were overwritten before they were read. */
	lostPackets: number;
}

/**
 * Runs lttng on the host; returns what it said. A Ctrl-C does not reach it: whoever hears of that ends what is recorded in order.
 * The session that it makes is no account's current one, which a file in the account's home would make it.
 */
export async function lttng(...args: string[]): Promise<string> {
	const env = { LTTNG_HOME: onHost("/run/tracelab") };
	const { code, stdout, stderr } = await run("lttng", ["--no-sessiond", ...args], "", { detached: true, env });
	if (code === 0) return stdout;
	const said = `${stdout}\n${stderr}`.trim().split("\n").at(-1) ?? "";
	throw new LabError(
		`lttng ${args.filter((word) => !/^(-|xml$)/.test(word))[0] ?? ""} failed: ${said}`,
		"./lab up starts the session daemon; lttng list shows its sessions",
	);
}

/** Ends what a session wrote so far as a chunk of its trace; returns the chunk's folder. It records on, where it did before. */
export async function rotateHost(session: string): Promise<string> {
	const xml = await lttng("--mi", "xml", "rotate", session);
	const chunk = /<absolute_path>([^<]*)</.exec(xml)?.[1];
	if (chunk !== undefined) return chunk;
	throw new LabError(
		`lttng rotate does not say where what it ended is: ${xml}`,
		"lttng list shows the session's folder",
	);
}

/** The losses in what `lttng --mi xml list SESSION` says, over all channels of the user space or of the kernel. */
export function lossesIn(xml: string, of: "UST" | "KERNEL"): Losses {
	const own = xml.split("<domain><type>").filter((part) => part.startsWith(`${of}<`));
	const sum = (tag: string) =>
		[...own.join("").matchAll(new RegExp(`<${tag}>(\\d+)</${tag}>`, "g"))].reduce(
			(total, [, n]) => total + Number(n),
			0,
		);
	return { discarded: sum("discarded_events"), lostPackets: sum("lost_packets") };
}

/** The processes that a session follows, in what `lttng --mi xml list SESSION` says. */
export const followedIn = (xml: string): number[] =>
	[...xml.matchAll(/<vpid><type><id>(\d+)</g)].map(([, pid]) => Number(pid));

/** 2.13.9, of `lttng (LTTng Trace Control) 2.13.9 - Nordicité`. */
export const versionIn = (text: string): string => /\) (\S+)/.exec(text)?.[1] ?? "unknown";

/** All sessions of the daemon by their names, each active or inactive. */
export async function sessionStates(): Promise<Map<string, string>> {
	try {
		const xml = await lttng("--mi", "xml", "list");
		const sessions = xml.matchAll(/<session><name>([^<]*)<\/name>.*?<enabled>(true|false)</gs);
		return new Map([...sessions].map(([, name = "", enabled]) => [name, enabled === "true" ? "active" : "inactive"]));
	} catch (error) {
		// No daemon, no session.
		if (!(error instanceof LabError)) throw error;
		return new Map();
	}
}
