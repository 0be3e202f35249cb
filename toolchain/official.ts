import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fillFolder } from "./files.ts";
import { type Part, parts, type Release } from "./parts.ts";
import { run } from "./run.ts";
import { SetupError } from "./setup-error.ts";

/** How long the releases' host has to answer before it counts as out of reach, for every part. */
const answerLimitMs = 3_000;
const downloadLimitMs = 10 * 60_000;

/** One question decides for all parts, so that a closed network costs seconds and not a time-out a part. */
export async function officialReachable(get: typeof fetch = fetch): Promise<boolean> {
	const release = parts.find((part) => part.release !== undefined)?.release;
	if (release === undefined) return false;
	try {
		const url = `${release.folder}/${release.checksums}`;
		return (await get(url, { method: "HEAD", signal: AbortSignal.timeout(answerLimitMs) })).ok;
	} catch {
		return false;
	}
}

/** The release is not to be had, which says nothing against building the part. */
export class DownloadError extends SetupError {}

/** Downloads and unpacks the part's release into the cache, once, and returns the program's path. */
export async function officialFile(
	part: Part & { readonly release: Release },
	cache: string,
	log: string,
	get: typeof fetch = fetch,
): Promise<string> {
	const { release } = part;
	const folder = join(cache, "releases", release.archive.replace(/\.tar\.gz$/, ""));
	// The folder appears in one rename and only after its archive was checked; two parts share one archive.
	if (existsSync(join(folder, release.member))) return join(folder, release.member);
	const archive = await download(`${release.folder}/${release.archive}`, get);
	const checksums = (await download(`${release.folder}/${release.checksums}`, get)).toString();
	checkArchive(archive, release.archive, checksums);
	await fillFolder(folder, async (into) => {
		const file = join(into, release.archive);
		await writeFile(file, archive);
		await run(["tar", "-xzf", file, "-C", into], { log, advice: "Check that the disk has room." });
	});
	return join(folder, release.member);
}

/** Throws unless the checksum list has this archive with this content. */
export function checkArchive(archive: Buffer, name: string, checksums: string): void {
	const listed = checksums
		.split("\n")
		.map((line) => line.trim().split(/\s+\*?/))
		.find(([, file]) => file === name)?.[0];
	const actual = createHash("sha256").update(archive).digest("hex");
	if (listed?.toLowerCase() === actual) return;
	throw new SetupError(
		`${name} has sha256 ${actual}, its release says ${listed ?? "nothing about it"}`,
		"Nothing was installed from it. A proxy may have changed the download: try again, or on another network.",
	);
}

async function download(url: string, get: typeof fetch): Promise<Buffer> {
	const advice = "Run set-up again; if it stays so, look at the address in a browser.";
	try {
		const response = await get(url, { signal: AbortSignal.timeout(downloadLimitMs) });
		if (response.ok) return Buffer.from(await response.arrayBuffer());
		throw new DownloadError(`${url} answered ${response.status}`, advice);
	} catch (error) {
		if (error instanceof DownloadError) throw error;
		throw new DownloadError(`${url} could not be downloaded: ${String(error)}`, advice);
	}
}
