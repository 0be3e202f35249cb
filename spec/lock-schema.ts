import { z } from "zod";

const sha256 = z
	.string()
	.regex(/^[0-9a-f]{64}$/)
	.meta({ title: "sha256", description: "A sha256: 64 digits of 0-9 and a-f." });

const commit = z
	.string()
	.regex(/^[0-9a-f]{40,64}$/)
	.meta({ title: "commit", description: "A commit's whole hash, as git rev-parse has it." });

const buildId = z
	.string()
	.regex(/^[0-9a-f]{8,}$/)
	.meta({ title: "build-id", description: "A build-id, as file or readelf -n shows it." });

const version = z
	.string()
	.regex(/^[!-~]+$/)
	.meta({ title: "version", description: "A version, as dpkg has it; in quotes where it looks like a number." });

const versions = z.record(version, version);

const deb = z
	.string()
	.regex(/^[!-~]+ [0-9a-f]{64}$/)
	.meta({
		title: "version with a sha256",
		description:
			"A version, and the sha256 of its .deb; a lock of versions alone is of an older tracelab: remove it, then: ./lab up, ./lab lock",
	});

const build = z
	.string()
	.regex(/^[a-z-]+\/[0-9a-f]{16}$/)
	.meta({ title: "build", description: "KIND/HASH, as the build's folder is named." });

/** What one build of a stack is held to; what is not there is not held. docs/reproducibility.md says when. */
export const pinSchema = z.strictObject({
	build: build.exactOptional(),
	version: version.exactOptional(),
	commit: commit.exactOptional(),
	tree: sha256.exactOptional(),
	kernel: buildId.exactOptional(),
	modules: z.record(version, sha256).exactOptional(),
	sha256: sha256.exactOptional(),
	tools: versions.exactOptional(),
	packages: z.record(version, deb).exactOptional(),
	config: sha256.exactOptional(),
	result: sha256.exactOptional(),
});

/** A file stacks/STACK.lock.yaml: a pin for each build by its name, such as kernel-main; `{}` for one that is held to nothing. */
export const lockSchema = z.record(z.string(), pinSchema);

export type Pin = z.infer<typeof pinSchema>;
export type Lock = Readonly<Record<string, Pin>>;
