import { readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { configLinePattern } from "./config-line.ts";
import { didYouMean } from "./did-you-mean.ts";
import type { Finding } from "./finding.ts";
import { loadProfile, ProfileError } from "./load-profile.ts";
import { listed, quote, visible } from "./quote.ts";
import type { RawStack } from "./raw-stack.ts";
import { readText } from "./read-text.ts";
import { isSourceFault, parseSource } from "./source.ts";
import type { Fault } from "./stack-file-error.ts";

/** Largest fragment or script that is read, in bytes: a whole .config has a quarter of that. */
const maxBytes = 1 << 20;

const leadsNowhere: Fault = { message: "leads nowhere", hint: "see where the link leads: ls -l" };

/** What a stack names that is not in the project's files, or not as it must be: fragments, trees, scripts, profiles. */
export function fileFindings(stack: RawStack, projectRoot: string): Finding[] {
	return [
		...fragmentFindings(stack, join(projectRoot, "kconfig")),
		...treeFindings(stack, projectRoot),
		...scriptFindings(stack, projectRoot),
		...profileFindings(stack, projectRoot),
	];
}

function fragmentFindings(stack: RawStack, folder: string): Finding[] {
	const there = listing(folder)
		.filter((file) => file.endsWith(".config"))
		.map((file) => file.slice(0, -".config".length))
		.sort();
	return stack.names("kernels").flatMap((kernel) =>
		stack.texts("kernels", kernel, "fragments").flatMap(([index, name]): Finding[] => {
			const found = { path: ["kernels", kernel, "fragments", index], at: "value" as const };
			if (there.includes(name)) return badLines(folder, name).map((fault) => ({ ...found, ...fault }));
			const hint = `kconfig/ has: ${listed(there) || "nothing"}; name one of these, or write kconfig/${visible(name)}.config`;
			return [{ ...found, message: `no fragment named ${quote(name)}${didYouMean(name, there)}`, hint }];
		}),
	);
}

/** A line that is neither a comment nor sets a symbol would be passed over without a word. */
function badLines(folder: string, name: string): Fault[] {
	const text = readText(join(folder, `${name}.config`), maxBytes) ?? leadsNowhere;
	if (typeof text !== "string") return [{ ...text, message: `kconfig/${name}.config ${text.message}` }];
	return [...text.split("\n").entries()]
		.filter(([, line]) => line.trim() !== "" && !line.startsWith("#") && !configLinePattern.test(line))
		.map(([index, line]) => ({
			message: `kconfig/${name}.config:${index + 1}: ${quote(line)} is not a configuration line`,
			hint: `write CONFIG_NAME=VALUE there, where VALUE is y, m, n, a number or a "text" without $ \` ; & | < >, or a # before words`,
		}));
}

/** What must be in a working tree for it to be built. */
const landmarks = {
	qemu: { any: ["configure"], what: "a QEMU", inPlace: true },
	kernels: { any: ["Kconfig"], what: "a kernel", inPlace: true },
	// It is built in a copy.
	modules: { any: ["Kbuild", "Makefile"], what: "a kernel module", inPlace: false },
};

function treeFindings(stack: RawStack, projectRoot: string): Finding[] {
	return (["qemu", "kernels", "modules"] as const).flatMap((kind) =>
		stack.names(kind).flatMap((name): Finding[] => {
			const text = stack.text(kind, name, "source");
			const source = text === undefined ? undefined : parseSource(text);
			if (source === undefined || isSourceFault(source) || source.kind !== "path") return [];
			const fault = treeFault(source.path, projectRoot, landmarks[kind]);
			return fault === undefined ? [] : [{ path: [kind, name, "source"], at: "value", ...fault }];
		}),
	);
}

function treeFault(
	path: string,
	projectRoot: string,
	{ any, what, inPlace }: { any: string[]; what: string; inPlace: boolean },
): Fault | undefined {
	const whole = resolve(projectRoot, path);
	const shown = quote(path);
	const kind = kindOf(whole);
	if (kind === "absent") return absent("folder", path, whole);
	if (kind !== "folder") return { message: `${shown} is not a folder`, hint: "name the folder that the source is in" };
	if (!any.some((file) => kindOf(join(whole, file)) === "file")) {
		return {
			message: `${shown} is not the source of ${what}: it has no ${any.join(" or ")}`,
			hint: "name the top folder of the source",
		};
	}
	return inPlace ? namedForBuilds(realpathSync(whole)) : undefined;
}

/** make, and the shells that it starts, would read what is in a folder's name. */
function namedForBuilds(folder: string): Fault | undefined {
	const [odd] = /[^\p{L}\p{M}\p{N}/._+@,~-]/u.exec(folder) ?? [];
	if (odd === undefined) return undefined;
	return {
		message: `nothing can be built in ${quote(folder)}: make, or a shell, would take ${quote(odd)} for its own`,
		hint: "move or rename the folder: letters, digits and . _ + @ , ~ - are fine in each of its names",
	};
}

function profileFindings(stack: RawStack, projectRoot: string): Finding[] {
	return stack.names("traces").flatMap((name): Finding[] => {
		const profile = stack.text("traces", name, "profile");
		const fault = profile === undefined ? undefined : profileFault(profile, projectRoot);
		return fault === undefined ? [] : [{ path: ["traces", name, "profile"], at: "value", ...fault }];
	});
}

function profileFault(name: string, projectRoot: string): Fault | undefined {
	try {
		loadProfile(name, projectRoot);
		return undefined;
	} catch (error) {
		if (!(error instanceof ProfileError)) throw error;
		const [first] = error.problems;
		if (first === undefined) return undefined;
		if (first.line === 0) return { message: first.message, hint: first.hint };
		return {
			message: `profile ${quote(name)} cannot be used: ${first.file}:${first.line}:${first.column}: ${first.message}`,
			hint: first.hint,
		};
	}
}

function scriptFindings(stack: RawStack, projectRoot: string): Finding[] {
	return stack.names("probes").flatMap((name): Finding[] => {
		const script = stack.text("probes", name, "script");
		const fault = script === undefined ? undefined : scriptFault(script, resolve(projectRoot, script));
		return fault === undefined ? [] : [{ path: ["probes", name, "script"], at: "value", ...fault }];
	});
}

function scriptFault(path: string, whole: string): Fault | undefined {
	if (kindOf(whole) === "folder") {
		return { message: `${quote(path)} is a folder, not a script`, hint: "name the script in it" };
	}
	const text = readText(whole, maxBytes);
	if (text === undefined) return absent("file", path, whole);
	if (typeof text !== "string") return { ...text, message: `${quote(path)} ${text.message}` };
	if (!text.includes("\0")) return undefined;
	return { message: `${quote(path)} has a NUL character in it`, hint: "is it the right file?" };
}

function absent(what: "file" | "folder", path: string, whole: string): Fault {
	return {
		message: `there is no ${what} ${quote(path)}${didYouMean(basename(whole), listing(dirname(whole)))}`,
		hint: `mend the path: absolute, or from the project's root${path.includes("$") ? "; variables are not expanded" : ""}`,
	};
}

/** What cannot be looked at is absent for a build as well. */
function kindOf(path: string): "absent" | "file" | "folder" {
	try {
		return statSync(path).isDirectory() ? "folder" : "file";
	} catch {
		return "absent";
	}
}

function listing(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}
