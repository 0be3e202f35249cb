import { contentHash } from "./content-hash.ts";

/** Raise a kind's number when its script makes another thing of the same inputs: builds that are there are stale then. */
const recipes = { qemu: 4, kernel: 5, image: 9, module: 5, "guest-tools": 2, probe: 2 } as const;

export type BuildKind = keyof typeof recipes;

/**
 * Where a build is installed: a folder named after the hash of all that decides what is in it.
 *
 * The same specification is the same folder in every stack; another one never overwrites it. Not in the hash is the
 * compiler: it comes with the host's packages, and a preview on a host that has none yet must know the folder.
 */
export function buildPrefix(kind: BuildKind, identity: unknown): string {
	return `/opt/tracelab/${kind}/${contentHash({ recipe: recipes[kind], identity })}`;
}

/** KIND/HASH of a prefix. */
export const buildOf = (prefix: string): string => prefix.replace("/opt/tracelab/", "");
