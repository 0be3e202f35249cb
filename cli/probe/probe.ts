import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { didYouMean } from "../../spec/did-you-mean.ts";
import type { LabCard } from "../../spec/lab-card.ts";
import { quote } from "../../spec/quote.ts";
import { type Domain, findDomain, readCard, stackOption } from "../card.ts";
import { LabError, UsageError } from "../errors.ts";
import { onHost } from "../host.ts";
import { print, table } from "../terminal.ts";
import { type ProbePoint, readPoints } from "./hit-report.ts";

/** A SystemTap script, and the domain that it is for. */
export interface Probe {
	/** Its name in the stack file, or its file's. */
	readonly name: string;
	readonly script: string;
	readonly domain: Domain;
	/** What `up` compiled; nothing for a script that the stack file does not name. */
	readonly built: LabCard["probes"][string] | undefined;
}

/** Folder that the guest sees as /lab/probes. */
export const probesFolder = ({ card }: Domain): string =>
	onHost(`/var/lib/tracelab/domains/${card.libvirtName}/root/probes`);

/** @throws UsageError where the lab has no such probe, or it is not said for which domain a script is */
export function findProbe(stack: string, what: string, domain: string | undefined): Probe {
	const lab = readCard(stack);
	if (what.endsWith(".stp")) {
		const there = Object.keys(lab.domains).sort();
		const name = domain ?? (there.length === 1 ? there[0] : undefined);
		if (name === undefined) {
			throw new UsageError("for which domain?", `say it with -d; the domains there are: ${there.join(", ")}`);
		}
		const script = resolve(what);
		readScript(script);
		return { name: what, script, domain: findDomain(stack, name), built: undefined };
	}
	const built = Object.hasOwn(lab.probes, what) ? lab.probes[what] : undefined;
	if (built === undefined) {
		const there = Object.keys(lab.probes).sort();
		throw new UsageError(
			`the lab of stack ${quote(stack)} has no probe ${quote(what)}${didYouMean(what, there)}`,
			`${there.length === 0 ? "it has none" : `its probes: ${there.join(", ")}`}; a script that the stack file does not name is given as a file: ./lab${stackOption(stack)} probe run FILE.stp`,
		);
	}
	if (domain !== undefined && domain !== built.domain) {
		throw new UsageError(
			`probe ${quote(what)} is compiled for domain ${quote(built.domain)}, not for ${quote(domain)}`,
			"leave -d out, or give the script as a file",
		);
	}
	return { name: what, script: built.script, domain: findDomain(stack, built.domain), built };
}

/** What is in a script now. */
function readScript(script: string): string {
	const text = tryRead(script);
	if (text !== undefined) return text;
	throw new UsageError(`${script} cannot be read`, "give the path of a SystemTap script that is there");
}

/** The points that a probe was compiled for; nothing where it is not compiled. */
export function compiledPoints({ prefix }: Pick<LabCard["probes"][string], "prefix">): ProbePoint[] | undefined {
	const text = tryRead(onHost(`${prefix}/points`));
	return text === undefined ? undefined : readPoints(text);
}

/** Build-id of the kernel that a probe was compiled for; nothing where it is not compiled. */
export const compiledFor = ({ prefix }: Pick<LabCard["probes"][string], "prefix">): string | undefined =>
	tryRead(onHost(`${prefix}/kernel`))?.trim();

/** Is a script's text another one than that which `up` compiled? */
export function isEdited({ script, prefix }: LabCard["probes"][string]): boolean {
	return tryRead(script) !== tryRead(onHost(`${prefix}/${script.slice(script.lastIndexOf("/") + 1)}`));
}

/** Lists the probes that the stack file names. */
export function listProbes(stack: string): void {
	const probes = Object.entries(readCard(stack).probes).sort(([a], [b]) => (a < b ? -1 : 1));
	if (probes.length === 0) {
		throw new LabError(
			`the lab of stack ${quote(stack)} has no probes`,
			`name one in probes: of the stack file, as stacks/probes.yaml does, and ./lab${stackOption(stack)} up compiles it`,
		);
	}
	const rows = probes.map(([name, probe]) => {
		const points = compiledPoints(probe);
		const state = points === undefined ? "not there: up compiles it" : isEdited(probe) ? "edited since up" : "compiled";
		return [name, probe.domain, state, points === undefined ? "" : String(points.length), probe.script];
	});
	print(table(["PROBE", "DOMAIN", "STATE", "POINTS", "SCRIPT"], rows));
}

function tryRead(file: string): string | undefined {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return undefined;
	}
}
