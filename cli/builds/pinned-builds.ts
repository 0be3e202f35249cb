import { existsSync } from "node:fs";
import { buildOf } from "../../spec/build-prefix.ts";
import { buildPrefixes } from "../../spec/build-prefixes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { lockFile, type Pin, readLock } from "../../spec/lock.ts";
import type { Stack } from "../../spec/schema.ts";
import { stackOption } from "../card.ts";
import { LabError } from "../errors.ts";
import { onHost } from "../host.ts";
import { checkWanted } from "./begun-builds.ts";
import { noted } from "./build-record.ts";
import { placesOf } from "./builds.ts";

/** A build that a lock pins down to what it comes to. */
export interface PinnedBuild {
	/** As a person has it: kernel-main. */
	name: string;
	/** KIND/HASH */
	id: string;
	/** /opt/tracelab/KIND/HASH */
	prefix: string;
	/** Is it of a person's own QEMU or kernel tree? up goes by the times in that, and makes it from its own objects. */
	ofTree: boolean;
	pin: Pin & { result: string };
}

/**
 * The builds of a stack as its lock pins them, or those of them that are wanted, and the names of those that it leaves open.
 *
 * @throws LabError where there is no lock, or it leaves open all of them or one that is wanted, UsageError for a name that is no
 * build of the stack's
 */
export function pinnedBuilds(
	stack: string,
	wanted: readonly string[] = [],
): { readonly builds: readonly PinnedBuild[]; readonly open: readonly string[] } {
	const declared = loadStack(stack);
	const prefixes = buildPrefixes(declared);
	const lock = readLock(stack, () => prefixes);
	if (lock === undefined)
		throw new LabError(
			`there is no ${lockFile(stack)}`,
			`write it: ./lab${stackOption(stack)} lock, where the lab is up`,
		);
	checkWanted(stack, wanted, Object.keys(prefixes));
	const trees = treesOf(declared);
	const builds: PinnedBuild[] = [];
	const open: string[] = [];
	for (const [name, prefix] of Object.entries(prefixes)) {
		if (wanted.length > 0 && !wanted.includes(name)) continue;
		const { result, ...pin } = lock[name] ?? {};
		if (result === undefined) open.push(name);
		else builds.push({ name, id: buildOf(prefix), prefix, ofTree: trees.includes(name), pin: { ...pin, result } });
	}
	if (open.length > 0 && (wanted.length > 0 || builds.length === 0)) throw leftOpen(stack, open);
	return { builds, open };
}

export function leftOpen(stack: string, open: readonly string[]): LabError {
	return new LabError(
		`${lockFile(stack)} does not pin what comes out of ${open.join(", ")}`,
		`./lab${stackOption(stack)} lock does, where the lab is up`,
	);
}

/** Names of builds that are of such trees. */
function treesOf({ qemu, kernels }: Stack): string[] {
	return Object.entries({ qemu, kernel: kernels }).flatMap(([kind, specs]) =>
		Object.entries(specs).flatMap(([name, { source }]) => (source.kind === "path" ? [`${kind}-${name}`] : [])),
	);
}

/** The folder of this machine that has a build as it is pinned, where there is one. */
export function pinnedFolder({ id, pin }: PinnedBuild): string | undefined {
	const { used, cached } = placesOf(id);
	return [used, cached].find(
		(folder) => existsSync(onHost(`${folder}/.tracelab-build`)) && noted(folder)?.result === pin.result,
	);
}
