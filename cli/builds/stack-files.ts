import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { droppings } from "../../spec/content-hash.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { lockFile } from "../../spec/lock.ts";
import { readStackChain } from "../../spec/read-stack-chain.ts";
import { LabError } from "../errors.ts";

/**
 * Files of a project that say what a stack is, from the project's root: the stack file and what it extends, its lock, fragments and
 * profiles.
 *
 * @throws StackFileError for a stack file that cannot be used
 */
export function stackTexts(stack: string, root: string): string[] {
	const { kernels, traces } = loadStack(stack, { projectRoot: root });
	const chain = readStackChain(stack, { folder: join(root, "stacks"), projectRoot: root });
	return [
		...(chain?.files ?? []),
		lockFile(stack),
		...Object.values(kernels).flatMap(({ fragments }) => fragments.map((name) => `kconfig/${name}.config`)),
		...Object.values(traces).map(({ profile }) => `profiles/${profile}.yaml`),
	];
}

/**
 * All files of a project that a stack is made of, sorted: those that say what it is, probes' scripts, and its trees, less what git
 * and builds leave in these.
 *
 * @param root the project's root; what the stack file names by an absolute path is never below one that is a link to it
 * @throws StackFileError for a stack file that cannot be used, LabError for one that needs what is outside the project
 */
export function stackFiles(stack: string, root: string): string[] {
	const { qemu, kernels, modules, probes } = loadStack(stack, { projectRoot: root });
	const sources = [qemu, kernels, modules].flatMap((builds) => Object.values(builds).map(({ source }) => source));
	const files = [
		...stackTexts(stack, root),
		...Object.values(probes).map(({ script }) => below(root, script)),
		...sources.flatMap((source) => (source.kind === "path" ? filesIn(root, below(root, source.path)) : [])),
	];
	return [...new Set(files)].sort();
}

function below(root: string, path: string): string {
	if (isWithin(root, path)) return relative(root, path);
	throw new LabError(
		`the stack file names ${path}, which is no path from the project's root: a bundle has what is in the project, and what is fetched`,
		"put it into the project, and name it from the project's root; or give a source that is fetched, such as git:URL#REF",
	);
}

/** Files and links of a tree, or of a folder in it. */
function filesIn(root: string, tree: string, folder = tree): string[] {
	const entries = readdirSync(join(root, folder), { withFileTypes: true }).filter(({ name }) => !droppings.test(name));
	return entries.flatMap((entry) => {
		const path = join(folder, entry.name);
		if (entry.isDirectory()) return filesIn(root, tree, path);
		if (entry.isSymbolicLink()) refuseLeadingOut(root, tree, path);
		return entry.isFile() || entry.isSymbolicLink() ? [path] : [];
	});
}

/** A bundle has links as they are, and a build what they lead to; one that leads nowhere is no file for a build. */
function refuseLeadingOut(root: string, tree: string, link: string): void {
	const place = join(root, link);
	const target = readlinkSync(place);
	if (!existsSync(place) || isWithin(join(root, tree), resolve(dirname(place), target))) return;
	throw new LabError(
		`${link} is a link that leads out of ${tree}, to ${target}: a bundle has links as they are`,
		"copy the file in, in place of the link",
	);
}

function isWithin(folder: string, path: string): boolean {
	const inner = relative(folder, path);
	return !inner.startsWith("..") && !isAbsolute(inner);
}
