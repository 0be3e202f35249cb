/**
 * Preloaded into toolchain/install.ts by its tests: every download is a file of the folder in CANNED_RELEASES, by
 * its address' last part, and without that folder the network is closed.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.env["CANNED_RELEASES"];

globalThis.fetch = async (url) => {
	if (folder === undefined) throw new TypeError("fetch failed");
	const file = join(folder, String(url).split("/").at(-1) ?? "");
	return existsSync(file) ? new Response(readFileSync(file)) : new Response(undefined, { status: 404 });
};
