import { quote, secretQuery, visible } from "./quote.ts";

/** Where the source of a QEMU, a kernel or a module comes from. */
export type Source =
	| { readonly kind: "debian"; readonly package: string; readonly suite?: string }
	| { readonly kind: "git"; readonly url: string; readonly ref: string }
	| { readonly kind: "tarball"; readonly url: string; readonly sha256: string }
	| { readonly kind: "path"; readonly path: string };

/** A tarball as a stack file has it; all other sources are one text. */
export interface TarballText {
	readonly url: string;
	readonly sha256: string;
}

/** Why a text is no source, and what to write instead. */
export interface SourceFault {
	readonly message: string;
	readonly hint: string;
}

// apt removes what a name with a dash behind it names.
export const debianPackageForm = "[a-z0-9][a-z0-9+.-]*[a-z0-9+.]";
export const debianSuiteForm = "[a-z][a-z0-9-]{0,39}";
// A scheme that git itself fetches, or HOST:PATH over ssh; ext:: and its like would run commands.
const gitUrl =
	'(?:(?:https?|ssh|git|file)://[!-"$-~]+|[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[!-"$-~]+)';
const gitRef = "[A-Za-z0-9_][A-Za-z0-9_./+@-]*";
const path = "[^~\\s\\p{Cc}\\p{Cs}](?:[^\\p{Cc}\\p{Cs}]*[^\\s\\p{Cc}\\p{Cs}])?";
// Over ssh a user alone is an address like any other.
const secret = `(?:(?:https?://[^/]*|[a-z]+://[^/]*:[^/]*)@|[^#]*${secretQuery})`;

const debianForm = new RegExp(`^debian:(${debianPackageForm})(?:/(${debianSuiteForm}))?$`);
const gitForm = new RegExp(`^git:(${gitUrl})#(${gitRef})$`);
const pathForm = new RegExp(`^path:(${path})$`, "u");

/** Accepts exactly the texts that `parseSource` accepts: for editors, by way of the JSON Schema. */
export const sourcePattern = `^(?:debian:${debianPackageForm}(?:/${debianSuiteForm})?|git:(?!${secret})${gitUrl}#${gitRef}|path:${path})$`;

/** The forms of a source, in words. */
export const sourceForms =
	"debian:PACKAGE, debian:PACKAGE/SUITE, git:URL#REF, path:FOLDER, or a map with url and sha256 for a tarball";

/** Parses a source; the folder of a `path:` stays as written. */
export function parseSource(value: string | TarballText): Source | SourceFault {
	if (typeof value !== "string") return { kind: "tarball", url: value.url, sha256: value.sha256 };
	const kind = /^[a-z]+(?=:)/.exec(value)?.[0];
	if (kind === "debian") return parseDebian(value);
	if (kind === "git") return parseGit(value);
	if (kind === "path") return parsePath(value);
	if (kind === "http" || kind === "https") return bareAddress(value);
	return { message: `${quote(value)} is not a source`, hint: `write ${meant(value)}one of: ${sourceForms}` };
}

/** What somebody may have had in mind who gave no kind of source. */
function meant(value: string): string {
	const [, file] = /^file:\/\/(\/.*)/.exec(value) ?? [];
	if (/^[^:~]*\/[^:]*$/.test(value)) return `path:${visible(value)} for a folder; or `;
	if (file !== undefined) return `path:${visible(file)} for a folder; or `;
	if (/^[\w.-]+@[\w.-]+:/.test(value)) return `git:${visible(value)}#REF for a git repository; or `;
	if (new RegExp(`^${debianPackageForm}$`).test(value)) return `debian:${value} for a Debian package; or `;
	return "";
}

export const isSourceFault = (source: Source | SourceFault): source is SourceFault => "message" in source;

const holdsSecret: SourceFault = {
	message: "the address holds a user, a password or a token",
	hint: "take it out, since the address is written to logs and state; root's git can know it, by a credential helper or ~/.netrc",
};

function parseDebian(value: string): Source | SourceFault {
	const [, name, suite] = debianForm.exec(value) ?? [];
	if (name === undefined) {
		return {
			message: `${quote(value)} does not name a Debian package`,
			hint: "write debian:PACKAGE or debian:PACKAGE/SUITE, for example debian:qemu or debian:qemu/bookworm-backports",
		};
	}
	return suite === undefined ? { kind: "debian", package: name } : { kind: "debian", package: name, suite };
}

function parseGit(value: string): Source | SourceFault {
	const example = "for example git:https://gitlab.com/qemu-project/qemu.git#v9.2.0";
	if (new RegExp(`^git:${secret}`).test(value)) return holdsSecret;
	const [, url, ref] = gitForm.exec(value) ?? [];
	if (url !== undefined && ref !== undefined) return { kind: "git", url, ref };
	if (!value.includes("#")) {
		return { message: `${quote(value)} names no tag, branch or commit`, hint: `put it behind a #, ${example}` };
	}
	return {
		message: `${quote(value)} is not a git address with a tag, branch or commit`,
		hint: `write git:URL#REF with a URL over https, ssh, git or file, ${example}`,
	};
}

function parsePath(value: string): Source | SourceFault {
	const [, folder] = pathForm.exec(value) ?? [];
	if (folder !== undefined) return { kind: "path", path: folder };
	return {
		message: `${quote(value)} does not name a folder`,
		hint: "write path:FOLDER, absolute or from the project's root, for example path:examples/mymodule; ~ is not expanded",
	};
}

function bareAddress(value: string): SourceFault {
	if (new RegExp(`^${secret}`).test(value)) return holdsSecret;
	if (value.includes(".git")) {
		return {
			message: `${quote(value)} is not a source`,
			hint: `write git:${visible(value)}#REF with a tag, branch or commit`,
		};
	}
	return {
		message: `${quote(value)} has no checksum`,
		hint: `write a tarball as a map: { url: ${visible(value)}, sha256: … }; \`curl -L URL | sha256sum\` tells the sum`,
	};
}
