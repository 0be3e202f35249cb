import { createHash } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync, realpathSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";

/** A value or a folder that has no hash: says what of it, why, and what to do. */
export class ContentHashError extends Error {
	override readonly name = "ContentHashError";
}

/**
 * Hash of a value: the first 16 hex digits of the sha256 of its JSON with the keys in order.
 *
 * A key whose value is undefined counts as absent. What JSON would drop or change without a word (a function, a
 * Map, NaN, an object of a class) is refused, since two different things must never get one hash.
 *
 * @throws ContentHashError for a value that JSON cannot hold
 */
export const contentHash = (value: unknown): string => short(contentSha256(value));

/** The whole of that sha256. */
export const contentSha256 = (value: unknown): string => digest([canonicalJson(value, [], [])]);

/**
 * Hash of a small folder, such as a module's source: of the relative paths, contents and executable bits of its
 * files. Symbolic links count as what they lead to. What a build leaves behind does not count, nor does .git.
 *
 * @throws ContentHashError where the folder or a file in it cannot be read
 */
export const treeHash = (folder: string): string => short(treeSha256(folder));

/** The whole sha256 that a folder's hash is of. */
export function treeSha256(folder: string): string {
	try {
		return digest(treeParts(folder, "", []));
	} catch (error) {
		if (error instanceof ContentHashError) throw error;
		const why = error instanceof Error ? error.message : String(error);
		throw new ContentHashError(`cannot read the source in ${folder}: ${why}\n    make it readable, or mend the path`);
	}
}

/** sha256 of a text, or of bytes, in hexadecimal. */
export const sha256 = (content: string | Buffer): string => digest([content]);

function digest(parts: Iterable<string | Buffer>): string {
	const hash = createHash("sha256");
	for (const part of parts) hash.update(part);
	return hash.digest("hex");
}

const short = (sha256: string): string => sha256.slice(0, 16);

function canonicalJson(value: unknown, path: readonly (string | number)[], parents: readonly object[]): string {
	if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
	if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
	if (typeof value !== "object") throw unhashable(path, `${String(value)} is not JSON`);
	if (parents.includes(value)) throw unhashable(path, "it holds itself");
	const within = [...parents, value];
	if (Array.isArray(value)) {
		return `[${Array.from(value, (item, index) => canonicalJson(item, [...path, index], within)).join(",")}]`;
	}
	const prototype: unknown = Object.getPrototypeOf(value);
	if (prototype !== Object.prototype && prototype !== null) throw unhashable(path, "it is an object of a class");
	const members = Object.entries(value)
		.filter(([, member]) => member !== undefined)
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member, [...path, key], within)}`);
	return `{${members.join(",")}}`;
}

function unhashable(path: readonly (string | number)[], why: string): ContentHashError {
	const where = path.length === 0 ? "the value" : path.join(".");
	return new ContentHashError(
		`cannot hash ${where}: ${why}\n    give plain objects, lists, text, finite numbers, booleans or null`,
	);
}

/** Names of what git and builds leave in a tree, as scripts/lib/source.sh has them. */
export const droppings = /^(?:\.git|.*\.(?:o|ko|mod|mod\.c)|\..*\.cmd|Module\.symvers|modules\.order)$/;

/** Every part is preceded by its length, so that no two trees have one text. */
function* treeParts(folder: string, relative: string, parents: readonly string[]): Generator<string | Buffer> {
	const real = realpathSync(folder);
	if (parents.includes(real)) {
		throw new ContentHashError(`${folder} leads back to ${real}, which it is in\n    take the symbolic link out`);
	}
	const names = readdirSync(folder).filter((name) => !droppings.test(name));
	for (const name of names.sort()) {
		const whole = join(folder, name);
		const path = `${relative}${name}`;
		const stats = statSync(whole, { throwIfNoEntry: false });
		if (stats?.isDirectory()) yield* treeParts(whole, `${path}/`, [...parents, real]);
		else yield* fileParts(whole, path, stats);
	}
}

function* fileParts(whole: string, path: string, stats: Stats | undefined): Generator<string | Buffer> {
	// A link that leads nowhere is no file for a build, but it is a difference.
	const content =
		stats === undefined ? Buffer.from(readlinkSync(whole)) : stats.isFile() ? readFileSync(whole) : undefined;
	if (content === undefined) return;
	const kind = stats === undefined ? "link" : (stats.mode & 0o111) === 0 ? "file" : "program";
	yield `${kind} ${Buffer.byteLength(path)} ${path} ${content.length} `;
	yield content;
}
