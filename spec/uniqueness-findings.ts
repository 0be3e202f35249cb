import type { Finding } from "./finding.ts";
import type { Path } from "./located.ts";
import { defaultProcessName } from "./process-name.ts";
import { quote, visible } from "./quote.ts";
import type { RawStack } from "./raw-stack.ts";

/** Domains that would meet on one gdb port or have one process name, modules that the kernel takes for one, and probes of one name. */
export function uniquenessFindings(stack: RawStack, name: string): Finding[] {
	return [...gdbPorts(stack), ...processNames(stack, name), ...moduleNames(stack), ...probeNames(stack)];
}

function gdbPorts(stack: RawStack): Finding[] {
	const ports = stack.names("domains").map((domain): Claim<unknown> => {
		const path = ["domains", domain, "gdb", "port"];
		return { owner: domain, path, at: "value", value: stack.at(...path) };
	});
	return clashes(ports).map(({ path, at, value, first }) => ({
		path,
		at,
		message: `gdb port ${visible(String(value))} is that of domain ${quote(first)} already`,
		hint: "give another one, or none: the lab then chooses a free one",
	}));
}

function processNames(stack: RawStack, name: string): Finding[] {
	const names = stack.names("domains").map((domain): Claim<unknown> => {
		const path = ["domains", domain, "processName"];
		const given = stack.at(...path);
		if (given !== undefined) return { owner: domain, path, at: "value", value: given };
		return { owner: domain, path: ["domains", domain], at: "key", value: defaultProcessName(name, domain) };
	});
	return clashes(names).map(({ path, at, value, first }) => ({
		path,
		at,
		message: `process name ${quote(String(value))} is that of domain ${quote(first)} already`,
		hint: at === "value" ? "give another one" : "give this domain a processName of its own, of at most 15 characters",
	}));
}

/** A guest has one module of a name. What another domain has is another kernel's. */
function moduleNames(stack: RawStack): Finding[] {
	return [...stack.names("modules").flatMap((module) => ofOneModule(stack, module)), ...inOneDomain(stack)];
}

function ofOneModule(stack: RawStack, module: string): Finding[] {
	const names = stack.texts("modules", module, "load").map(([index, name]): Claim<string> => {
		return { owner: name, path: ["modules", module, "load", index], at: "value", value: toTheKernel(name) };
	});
	return clashes(names).map(({ path, at, owner, first }) => ({
		path,
		at,
		message: `to the kernel, module ${quote(owner)} has the name of ${quote(first)}: - and _ are the same to it`,
		hint: "give one of them another name, in its Kbuild as well",
	}));
}

function inOneDomain(stack: RawStack): Finding[] {
	const there = stack.names("modules");
	return stack.names("domains").flatMap((domain) => {
		const names = stack.texts("domains", domain, "modules").flatMap(([index, module]): Claim<string>[] => {
			const loaded = there.includes(module) ? new Set(loadedOf(stack, module).map(toTheKernel)) : [];
			return [...loaded].map((value) => {
				return { owner: module, path: ["domains", domain, "modules", index], at: "value", value };
			});
		});
		return clashes(names).map(({ path, at, owner, first, value }) => ({
			path,
			at,
			message: `module ${quote(owner)} loads ${quote(value)}, as ${quote(first)} does: - and _ are the same to the kernel`,
			hint: "take one of the two out of this list, or give what one of them loads another name, in its Kbuild as well",
		}));
	});
}

/** The modules that are loaded of one of the stack's. */
function loadedOf(stack: RawStack, module: string): string[] {
	if (stack.at("modules", module, "load") === undefined) return [module];
	return stack.texts("modules", module, "load").map(([, name]) => name);
}

const toTheKernel = (name: string) => name.replaceAll("-", "_");

/** A probe is compiled by the step probe-PROBE-DOMAIN. */
function probeNames(stack: RawStack): Finding[] {
	const names = stack.names("probes").map((probe): Claim<unknown> => {
		const domain = stack.text("probes", probe, "domain");
		return { owner: probe, path: ["probes", probe], at: "key", value: domain && `${probe}-${domain}` };
	});
	return clashes(names).map(({ path, at, owner, first, value }) => ({
		path,
		at,
		message: `probes ${quote(first)} and ${quote(owner)} are both ${quote(String(value))} with their domains' names`,
		hint: "give one of them another name",
	}));
}

/** Something that only one may have, and who wants it. */
interface Claim<T> {
	owner: string;
	path: Path;
	at: "key" | "value";
	value: T;
}

/** The claims on what another has already, each with the first who has it. */
function clashes<T>(claims: readonly Claim<T>[]): (Claim<T> & { first: string })[] {
	const owners = new Map<T, string>();
	const found: (Claim<T> & { first: string })[] = [];
	for (const claim of claims) {
		const first = owners.get(claim.value);
		if (claim.value === undefined || claim.value === null) continue;
		if (first === undefined) owners.set(claim.value, claim.owner);
		else found.push({ ...claim, first });
	}
	return found;
}
