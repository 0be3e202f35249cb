import { contentHash } from "./content-hash.ts";

export type BuildKind = "qemu" | "kernel" | "image" | "module";

/**
 * Where a build is installed: a folder named after the hash of all that decides what is in it.
 *
 * The same specification is the same folder in every stack; another one never overwrites it.
 */
export function buildPrefix(kind: BuildKind, identity: unknown): string {
	return `/opt/tracelab/${kind}/${contentHash(identity)}`;
}
