import { isAbsolute, join, relative } from "node:path";
import { namePattern } from "./fields.ts";
import { type Located, locate, merge, pathText } from "./located.ts";
import { readYaml } from "./read-yaml.ts";
import type { Fault, Problem } from "./stack-file-error.ts";
import { unknownStack } from "./stack-names.ts";

/** Where stack files are. */
export interface Folders {
	readonly folder: string;
	readonly projectRoot: string;
}

/** A stack file with all that it extends merged in, as far as they could be read. */
export interface StackChain {
	/** Undefined where a file is missing, or no YAML. */
	readonly root: Located | undefined;
	/** The files, from the one asked for to the last one extended, as problems call them. */
	readonly files: readonly string[];
	readonly problems: readonly Problem[];
}

/** Reads a stack file and what it extends; undefined where there is no such file. */
export function readStackChain(name: string, folders: Folders, before: readonly string[] = []): StackChain | undefined {
	const path = join(folders.folder, `${name}.yaml`);
	const file = shownPath(path, folders.projectRoot);
	const yaml = readYaml(path, file);
	if (yaml === undefined) return undefined;
	const own = { root: yaml.root, files: [file], problems: yaml.problems };
	if (yaml.root === undefined) return own;
	if (yaml.root.content.kind !== "map")
		return { ...own, root: undefined, problems: [...own.problems, notAMap(yaml.root)] };
	return extend(own, yaml.root, name, folders, [...before, name]);
}

function extend(own: StackChain, root: Located, name: string, folders: Folders, chain: readonly string[]): StackChain {
	const { parent, rest } = takeExtends(root);
	if (parent === undefined) return own;
	const stop = (fault: Fault): StackChain => {
		const problem = { ...locate(root, ["extends"], "value"), path: pathText(["extends"]), ...fault };
		return { ...own, root: undefined, problems: [...own.problems, problem] };
	};
	if (typeof parent !== "string") {
		return stop({ message: "must be the name of a stack", hint: "write one name, for example extends: quickstart" });
	}
	if (chain.includes(parent)) {
		const circle = [...chain.slice(chain.indexOf(parent)), parent].join(" extends ");
		return stop({ message: `a circle: ${circle}`, hint: `let ${name} extend another stack, or none` });
	}
	const base = namePattern.test(parent) ? readStackChain(parent, folders, chain) : undefined;
	if (base === undefined) return stop(unknownStack(parent, folders.folder));
	return {
		root: base.root === undefined ? undefined : merge(base.root, rest),
		files: [...own.files, ...base.files],
		problems: [...own.problems, ...base.problems],
	};
}

function takeExtends(root: Located): { parent: unknown; rest: Located } {
	if (root.content.kind !== "map") return { parent: undefined, rest: root };
	const entries = new Map(root.content.entries);
	const { content } = entries.get("extends") ?? {};
	entries.delete("extends");
	const parent = content?.kind === "scalar" ? content.value : content;
	return { parent, rest: { ...root, content: { kind: "map", entries } } };
}

function notAMap({ place, content }: Located): Problem {
	const isEmpty = content.kind === "scalar" && content.value === null;
	return {
		...place,
		path: "",
		message: isEmpty
			? "the file is empty"
			: `a stack file is a map of keys, and this is ${content.kind === "list" ? "a list" : "text"}`,
		hint: "start from a copy of stacks/quickstart.yaml",
	};
}

/** A path as problems call it: from the project's root, where it lies below it. */
export function shownPath(path: string, projectRoot: string): string {
	const below = relative(projectRoot, path);
	return below.startsWith("..") || isAbsolute(below) ? path : below;
}
