import { existsSync, readFileSync } from "node:fs";
import { buildOf } from "../../spec/build-prefix.ts";
import { onHost } from "../host.ts";
import { duration, paint } from "../terminal.ts";
import type { Change } from "./changes.ts";

/**
 * What an up would do, for a person: a line for each build, each domain, and whatever else takes time or stops a guest;
 * what is done in a moment is named together. None where nothing changes.
 */
export function changeLines(stack: string, changes: readonly Change[]): string[] {
	const said = changes.map((change) => ({ name: change.name, line: line(stack, change, changes) }));
	const lines = said.flatMap(({ name, line }) => (line === "moment" || line === "" ? [] : [`  ${name}: ${line}`]));
	const quick = said.flatMap(({ name, line }) => (line === "moment" ? [name] : [])).sort();
	if (quick.length > 0) lines.push(`  ${lines.length > 0 ? "and " : ""}in a moment: ${quick.join(", ")}`);
	return lines.length === 0 ? [] : [paint("bold", "what up would do:"), ...lines];
}

/** `moment` for what takes no longer, and nothing for what is a part of another line. */
function line(stack: string, change: Change, all: readonly Change[]): string {
	const { name, what, drift, prefix, previous } = change;
	if (prefix !== undefined || previous !== undefined) return buildLine(change);
	if (name === "host-packages" && what !== "delete") return "installs the Debian packages that are missing";
	const [, domain, part] = /^domain-(.+)-(domain|disk|guest|module-load)$/.exec(name) ?? [];
	if (domain === undefined) return "moment";
	const guest = all.find(({ name }) => name === `domain-${domain}-guest`);
	// Of what is only defined anew, such as another kernel, the step that starts the guest sees to the rest.
	const settled = ({ what }: Change) => what === "update" && guest === undefined;
	if (part === "domain") return settled(change) ? "moment" : domainLine(stack, domain, what, all);
	// A domain that is made, that restarts, or that goes, does so with all of these.
	const own = all.find(({ name }) => name === `domain-${domain}-domain`);
	if (own !== undefined && !settled(own)) return "";
	if (part === "guest" && drift !== "")
		return `mends ${domain}, and starts it again where that is what it takes${took(bootTime(stack, domain))}`;
	if (part === "module-load") return `loads the modules of ${domain}${guest?.drift ? "" : "; its guest goes on"}`;
	return "moment";
}

/** `kernel main` of kernel-main-build. */
function buildLine({ name, what, drift, prefix, previous }: Change): string {
	const thing = name.replace(/-build$/, "").replace("-", " ");
	if (what === "delete") return `lets ${thing} go: into the cache, where no other lab uses it`;
	if (prefix === undefined) return "moment";
	const there = isWhole(prefix);
	if (!there && isWhole(cachedAt(prefix))) return `takes ${thing} from the cache`;
	const asItIs =
		what !== "update" || drift === "" || /not yet used by stack|is another build than at the last up/.test(drift);
	if (there && asItIs) return what === "update" ? "moment" : `uses ${thing}, which is there already`;
	const kind = prefix.split("/")[3] ?? "";
	const last = builtIn(prefix) ?? (previous === undefined ? undefined : builtIn(previous));
	const other = read(`durations/${kind}/last.built`);
	const guess = other === undefined ? "" : ` (the last ${kind} took ${duration(other)})`;
	return `builds ${thing}${what === "create" ? "" : " again"}${last === undefined ? guess : took(last)}`;
}

function domainLine(stack: string, domain: string, what: Change["what"], all: readonly Change[]): string {
	const boot = took(bootTime(stack, domain));
	if (what === "create") return `starts ${domain}${boot}`;
	if (what === "delete") return `ends ${domain}, and removes its disk`;
	const disk = all.some(({ name, what }) => name === `domain-${domain}-disk` && what === "replace");
	return `restarts ${domain}${disk ? " on a new disk, without what its guest had written" : ""}${boot}`;
}

const took = (seconds: number | undefined): string =>
	seconds === undefined ? "" : ` (${duration(seconds)} last time)`;

const cachedAt = (prefix: string): string => prefix.replace("/opt/tracelab/", "/var/cache/tracelab/builds/");

const isWhole = (folder: string): boolean => existsSync(onHost(`${folder}/.tracelab-build`));

/** Seconds that this very build took the last time. */
const builtIn = (prefix: string): number | undefined => read(`durations/${buildOf(prefix)}.built`);

/** Seconds from the last start of a domain until its guest answered. */
const bootTime = (stack: string, domain: string): number | undefined => read(`durations/boot/${stack}-${domain}`);

/** A number that a step has left in the cache; nothing where it has not run yet. */
function read(file: string): number | undefined {
	try {
		const seconds = Number(readFileSync(onHost(`/var/cache/tracelab/${file}`), "utf8"));
		return Number.isFinite(seconds) ? seconds : undefined;
	} catch {
		return undefined;
	}
}
