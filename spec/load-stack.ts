import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { namePattern } from "./fields.ts";
import { fileFindings } from "./file-findings.ts";
import { type Finding, located } from "./finding.ts";
import { stackJsonSchema } from "./json-schema.ts";
import { pathText, plain } from "./located.ts";
import { defaultProcessName } from "./process-name.ts";
import { RawStack } from "./raw-stack.ts";
import { type Folders, readStackChain, shownPath } from "./read-stack-chain.ts";
import { referenceFindings } from "./reference-findings.ts";
import { type Source, type Stack, type StackFile, stackFileSchema } from "./schema.ts";
import { schemaFindings } from "./schema-findings.ts";
import { type Problem, StackFileError, UnknownStackError } from "./stack-file-error.ts";
import { unknownStack } from "./stack-names.ts";
import { uniquenessFindings } from "./uniqueness-findings.ts";

export { StackFileError, UnknownStackError } from "./stack-file-error.ts";
export { stackNames } from "./stack-names.ts";

const ownRoot = fileURLToPath(new URL("..", import.meta.url));

/**
 * Reads and checks stacks/NAME.yaml and what it extends: every default filled in, and nothing of it left to doubt
 * that can be told without touching a host.
 *
 *     const stack = loadStack("quickstart");
 *
 * @param options.projectRoot where kconfig/ is, and where `path:` sources start from; by default this project's root
 * @param options.folder where the stack files are; by default stacks/ in the project's root
 * @throws UnknownStackError where there is no such file
 * @throws StackFileError with all that is wrong
 */
export function loadStack(name: string, options: Partial<Folders> = {}): Stack {
	const projectRoot = resolve(options.projectRoot ?? ownRoot);
	const folder = resolve(options.folder ?? join(projectRoot, "stacks"));
	const isName = namePattern.test(name);
	const chain = isName ? readStackChain(name, { folder, projectRoot }) : undefined;
	if (chain === undefined) {
		const file = shownPath(isName ? join(folder, `${name}.yaml`) : folder, projectRoot);
		throw new UnknownStackError([{ file, line: 0, column: 0, path: "", ...unknownStack(name, folder) }]);
	}
	if (chain.root === undefined) throw new StackFileError(chain.problems);
	const { file, findings } = check(plain(chain.root), name, projectRoot);
	const problems = [...chain.problems, ...located(chain.root, findings)];
	if (file === undefined || problems.length > 0) throw new StackFileError(inOrder(problems, chain.files));
	return toStack(name, file, projectRoot);
}

/** The file as the schema gives it where it fits the schema, and all that is wrong. */
function check(
	value: unknown,
	name: string,
	projectRoot: string,
): { file: StackFile | undefined; findings: Finding[] } {
	const result = stackFileSchema.safeParse(value);
	const raw = new RawStack(value);
	const malformed = result.success ? [] : schemaFindings(result.error.issues, value, stackJsonSchema());
	const known = new Set(malformed.map(({ path }) => pathText(path)));
	const further = [...referenceFindings(raw), ...uniquenessFindings(raw, name), ...fileFindings(raw, projectRoot)];
	// That a value of the wrong form also leads nowhere is no news.
	return { file: result.data, findings: [...malformed, ...further.filter(({ path }) => !known.has(pathText(path)))] };
}

function inOrder(problems: readonly Problem[], files: readonly string[]): Problem[] {
	const rank = ({ file }: Problem) => files.indexOf(file);
	return [...problems].sort((a, b) => rank(a) - rank(b) || a.line - b.line || a.column - b.column);
}

function toStack(name: string, file: StackFile, projectRoot: string): Stack {
	return {
		name,
		description: file.description,
		qemu: each(file.qemu, (qemu) => ({
			...qemu,
			source: absolute(qemu.source, projectRoot),
			// The order in the file makes no other build.
			targets: qemu.targets.toSorted(),
			traceBackends: qemu.traceBackends.toSorted(),
		})),
		kernels: each(file.kernels, (kernel) => ({ ...kernel, source: absolute(kernel.source, projectRoot) })),
		images: each(file.images, (image) => ({ ...image, packages: image.packages.toSorted() })),
		modules: each(file.modules, (module, key) => ({
			...module,
			source: absolute(module.source, projectRoot),
			load: (module.load ?? [key]).toSorted(),
		})),
		domains: each(file.domains, (domain, key) => ({
			...domain,
			modules: domain.modules.toSorted(),
			processName: domain.processName ?? defaultProcessName(name, key),
		})),
		traces: each(file.traces, (trace) => ({ ...trace, domains: trace.domains.toSorted() })),
		probes: each(file.probes, (probe) => ({ ...probe, script: resolve(projectRoot, probe.script) })),
	};
}

/** In the order of their names, so that the order in a file never matters. */
function each<T, R>(map: Readonly<Record<string, T>>, change: (value: T, key: string) => R): Record<string, R> {
	const keys = Object.keys(map).sort();
	return Object.fromEntries(
		keys.flatMap((key): [string, R][] => {
			const value = map[key];
			return value === undefined ? [] : [[key, change(value, key)]];
		}),
	);
}

function absolute(source: Source, projectRoot: string): Source {
	return source.kind === "path" ? { ...source, path: resolve(projectRoot, source.path) } : source;
}
