import { createHash } from "node:crypto";
import { createReadStream, lstatSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

/** Its first member, which says what the others are. */
export const manifestFile = "manifest.json";

/**
 * What is in a bundle beside its manifest: `project/PATH`, from the project's root, and `cache/PATH`, from the cache's folder.
 * Files by the sha256 of their contents, and links by where they lead.
 */
export const manifestSchema = z.strictObject({
	stack: z.string(),
	files: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)),
	links: z.record(z.string(), z.string()),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** The manifest of what has these names below a folder. */
export async function manifestOf(stack: string, folder: string, names: readonly string[]): Promise<Manifest> {
	const manifest: Manifest = { stack, files: {}, links: {} };
	for (const name of names) {
		const path = join(folder, name);
		if (lstatSync(path).isSymbolicLink()) manifest.links[name] = readlinkSync(path);
		else manifest.files[name] = await sha256(path);
	}
	return manifest;
}

/** Of a file's contents. */
export async function sha256(path: string): Promise<string> {
	const hash = createHash("sha256");
	for await (const part of createReadStream(path)) hash.update(part);
	return hash.digest("hex");
}
