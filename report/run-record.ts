import { citation } from "../spec/lab-hashes.ts";
import { type Run, secondsOf } from "../spec/run.ts";
import type { RunFacts } from "./facts.ts";

/** What a page shows of a run's record. */
export function runFacts(run: Run): Omit<RunFacts, "clocks" | "causality"> {
	const { command, domains, layers } = run;
	return {
		stack: run.stack,
		run: run.run,
		profile: run.profile,
		command: command?.map(shellWord).join(" "),
		exitStatus: run.exitStatus,
		started: run.started,
		seconds: run.ended === undefined ? undefined : secondsOf(run),
		notes: run.notes,
		lab: labFacts(run),
		host: hostFacts(run),
		domains: Object.entries(domains)
			.sort(([a], [b]) => (a < b ? -1 : 1))
			.map(([name, domain]) => ({ name, facts: [...domainFacts(domain), ...tracerFacts(name, run)] })),
		layers: layers.map(({ layer, domain, discarded, lostPackets, bytes, absent }) => ({
			...{ layer, domain, discarded, lostPackets, bytes, absent },
		})),
	};
}

function labFacts({ stack, lab }: Run): [string, string][] {
	if (lab === undefined) return [];
	return [
		...row("to cite", citation(stack, lab)),
		["stack", lab.stack],
		...row("lock", lab.lock),
		["tracelab", lab.tracelab],
		...Object.entries(lab.builds).map(([name, result]): [string, string] => [name, result ?? "not known"]),
	];
}

/** A row each; what an older record does not have is none. */
function hostFacts({ tracelab, commit, cli, lttng, hostKernel, layers }: Run): [string, string][] {
	return [
		["tracelab", commit === undefined ? tracelab : `${tracelab}, commit ${commit}`],
		...row("its cli/", cli),
		["LTTng", lttng.host],
		...row("kernel", hostKernel),
		...row("tracer of the host's kernel", layers.find(({ layer }) => layer === "host")?.tracer),
	];
}

function domainFacts({
	libvirtName,
	pid,
	emulator,
	acceleration,
	builds,
	kernel,
	modules,
}: Run["domains"][string]): [string, string][] {
	return [
		["libvirt's name", libvirtName],
		["pid", String(pid)],
		["emulator", emulator],
		...row("made of", builds?.join(", ")),
		...row("acceleration", acceleration),
		...row("kernel's build-id", kernel),
		...Object.entries(modules).map(([name, id]): [string, string] => [`build-id of ${name}`, id]),
	];
}

/** What recorded the guest's kernel. */
function tracerFacts(name: string, { lttng, layers }: Run): [string, string][] {
	const tracer = layers.find(({ domain }) => domain === name)?.tracer;
	return [...row("LTTng in the guest", lttng.guests[name]), ...row("tracer of the guest's kernel", tracer)];
}

const row = (name: string, text: string | undefined): [string, string][] => (text === undefined ? [] : [[name, text]]);

/** As a shell would take it. */
function shellWord(word: string): string {
	return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
