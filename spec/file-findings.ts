import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { configLinePattern } from "./config-line.ts";
import { didYouMean } from "./did-you-mean.ts";
import type { Finding } from "./finding.ts";
import { loadProfile, ProfileError } from "./load-profile.ts";
import { quote, visible } from "./quote.ts";
import type { RawStack } from "./raw-stack.ts";
import { isSourceFault, parseSource } from "./source.ts";
import type { Fault } from "./stack-file-error.ts";

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
			const hint = `kconfig/ has: ${there.join(", ") || "nothing"}; name one of these, or write kconfig/${visible(name)}.config`;
			return [{ ...found, message: `no fragment named ${quote(name)}${didYouMean(name, there)}`, hint }];
		}),
	);
}

/** A line that is neither a comment nor sets a symbol would be passed over without a word. */
function badLines(folder: string, name: string): Fault[] {
	const text = readText(join(folder, `${name}.config`));
	if (text === undefined)
		return [{ message: `kconfig/${name}.config cannot be read`, hint: "make it a readable file" }];
	return [...text.split("\n").entries()]
		.filter(([, line]) => line.trim() !== "" && !line.startsWith("#") && !configLinePattern.test(line))
		.map(([index, line]) => ({
			message: `kconfig/${name}.config:${index + 1}: ${quote(line)} is not a configuration line`,
			hint: `write CONFIG_NAME=VALUE there, where VALUE is y, m, n, a number or a "text", or a # before words`,
		}));
}

/** What must be in a working tree for it to be built. */
const landmarks = {
	qemu: { any: ["configure"], what: "a QEMU" },
	kernels: { any: ["Kconfig"], what: "a kernel" },
	modules: { any: ["Kbuild", "Makefile"], what: "a kernel module" },
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
	{ any, what }: { any: string[]; what: string },
): Fault | undefined {
	const whole = resolve(projectRoot, path);
	const shown = quote(path);
	const kind = kindOf(whole);
	if (kind === "absent") return absent("folder", path, whole);
	if (kind !== "folder") return { message: `${shown} is not a folder`, hint: "name the folder that the source is in" };
	if (any.some((file) => kindOf(join(whole, file)) === "file")) return undefined;
	return {
		message: `${shown} is not the source of ${what}: it has no ${any.join(" or ")}`,
		hint: "name the top folder of the source",
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
	const kind = kindOf(whole);
	if (kind === "absent") return absent("file", path, whole);
	if (kind === "folder") return { message: `${quote(path)} is a folder, not a script`, hint: "name the script in it" };
	if (readText(whole) !== undefined) return undefined;
	return { message: `${quote(path)} cannot be read`, hint: "make it readable for yourself: chmod u+r" };
}

function absent(what: "file" | "folder", path: string, whole: string): Fault {
	return {
		message: `there is no ${what} ${quote(path)}${didYouMean(basename(whole), listing(dirname(whole)))}`,
		hint: "mend the path: absolute, or from the project's root",
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

function readText(path: string): string | undefined {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return undefined;
	}
}
