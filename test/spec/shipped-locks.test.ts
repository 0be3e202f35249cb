import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { type BuildKind, buildOf } from "../../spec/build-prefix.ts";
import { buildPrefixes } from "../../spec/build-prefixes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { type Lock, lockFile, lockText, type Pin, readLock } from "../../spec/lock.ts";
import type { Source, Stack } from "../../spec/schema.ts";
import { StackFileError } from "../../spec/stack-file-error.ts";
import { ScratchProject, smallest } from "./scratch-project.ts";

const ofSource: Readonly<Record<Source["kind"], readonly (keyof Pin)[]>> = {
	debian: ["version", "sha256"],
	git: ["commit"],
	tarball: ["sha256"],
	path: ["tree"],
};

const ofKind: Readonly<Record<BuildKind, readonly (keyof Pin)[]>> = {
	"guest-tools": ["tools"],
	image: ["packages"],
	kernel: ["tools", "config"],
	module: ["tools", "kernel"],
	probe: ["tools", "kernel"],
	qemu: ["tools"],
};

/** The facts that a whole lock has of a build. That of a working tree, which is there to be edited, may be held to nothing. */
function wholeFacts({ kernels, modules, qemu }: Stack, name: string, prefix: string, pin: Pin): (keyof Pin)[] {
	const kind = buildOf(prefix).replace(/\/.*/, "") as BuildKind;
	const sources: Partial<Record<BuildKind, Readonly<Record<string, { source: Source }>>>> = {
		kernel: kernels,
		module: modules,
		qemu,
	};
	const source = sources[kind]?.[name.slice(kind.length + 1)]?.source;
	if (source?.kind === "path" && Object.keys(pin).length === 0) return [];
	return ["build", ...(source === undefined ? [] : ofSource[source.kind]), ...ofKind[kind], "result"];
}

/** What is wrong with the locks in a project's stacks/: each is to be whole, and of its stack as it is now. */
function lockFaults(projectRoot: string): string[] {
	const stacks = readdirSync(join(projectRoot, "stacks"))
		.filter((file) => file.endsWith(".lock.yaml"))
		.map((file) => file.slice(0, -".lock.yaml".length));
	return stacks.sort().flatMap((stack) => {
		const faults = faultsOf(stack, projectRoot);
		if (faults.length === 0) return [];
		const renewed = [`rm ${lockFile(stack)}`, `./lab up -s ${stack}`, `./lab lock -s ${stack}`];
		return [...faults, `to renew ${lockFile(stack)}: ${renewed.join(" && ")}; then commit it`];
	});
}

function faultsOf(stack: string, projectRoot: string): string[] {
	try {
		const loaded = loadStack(stack, { projectRoot });
		const builds = buildPrefixes(loaded);
		const lock: Lock = readLock(stack, () => builds, projectRoot) ?? {};
		return Object.entries(builds).flatMap(([name, prefix]) => {
			const pin = lock[name] ?? {};
			const lacking = wholeFacts(loaded, name, prefix, pin).filter((fact) => pin[fact] === undefined);
			return lacking.length === 0 ? [] : [`${lockFile(stack)}: ${name} lacks ${lacking.join(", ")}`];
		});
	} catch (error) {
		if (error instanceof StackFileError) return [error.message];
		throw error;
	}
}

test("every lock that is shipped is whole, and of its stack as it is", (t) => {
	const faults = lockFaults(fileURLToPath(new URL("../..", import.meta.url)));
	t.deepEqual(faults, [], faults.join("\n"));
});

const sha = (digit: string) => digit.repeat(64);
const tools = { binutils: "2.40-2", "gcc-12": "12.2.0-14" };
const debian = { version: "1-2", sha256: sha("1"), tools, result: sha("2") };
const renewal =
	"to renew stacks/quick.lock.yaml: rm stacks/quick.lock.yaml && ./lab up -s quick && ./lab lock -s quick; then commit it";

/** A project with a stack, and what its whole lock pins. */
function project(t: ExecutionContext): { root: string; whole: Lock; writeLock: (lock: Lock, stack?: string) => void } {
	const project = new ScratchProject();
	t.teardown(() => project.remove());
	const module = "modules: { mine: { source: path:examples/mymodule, kernel: main } }\n";
	project.write("stacks/quick.yaml", smallest + module);
	const builds = buildPrefixes(loadStack("quick", { projectRoot: project.root }));
	const facts: Lock = {
		"guest-tools": { tools, result: sha("3") },
		"image-main": { packages: { kmod: `30-1 ${sha("4")}` }, result: sha("5") },
		"kernel-main": { ...debian, config: sha("6") },
		"module-mine": { tree: sha("7"), tools, kernel: "0123456789abcdef", result: sha("8") },
		"qemu-main": debian,
	};
	return {
		root: project.root,
		whole: Object.fromEntries(
			Object.entries(builds).map(([name, prefix]) => [name, { build: buildOf(prefix), ...facts[name] }]),
		),
		writeLock: (lock, stack = "quick") => project.write(lockFile(stack), lockText(stack, lock)),
	};
}

test("a lock that is whole and of its stack has no faults, and neither have stacks without one", (t) => {
	const { root, whole, writeLock } = project(t);
	t.deepEqual(lockFaults(root), []);
	writeLock(whole);
	t.deepEqual(lockFaults(root), []);
	writeLock({ ...whole, "module-mine": {} });
	t.deepEqual(lockFaults(root), []);
});

test("a lock that leaves facts open is not whole", (t) => {
	const { root, whole, writeLock } = project(t);
	const { result, config, ...kernel } = whole["kernel-main"] ?? {};
	writeLock({ ...whole, "image-main": {}, "kernel-main": kernel });
	t.deepEqual(lockFaults(root), [
		"stacks/quick.lock.yaml: image-main lacks build, packages, result",
		"stacks/quick.lock.yaml: kernel-main lacks config, result",
		renewal,
	]);
});

test("a lock of the stack as it was is a fault, with what renews it", (t) => {
	const { root, whole, writeLock } = project(t);
	writeLock({ ...whole, "qemu-main": { ...debian, build: "qemu/ffffffffffffffff" } });
	const [fault = "", ...rest] = lockFaults(root);
	t.regex(fault, /: qemu-main\.build: the stack file asks for another build: qemu\/[0-9a-f]{16}\n/);
	t.deepEqual(rest, [renewal]);
});

test("a lock of no stack is a fault", (t) => {
	const { root, whole, writeLock } = project(t);
	writeLock(whole, "quack");
	t.regex(lockFaults(root)[0] ?? "", /there is no stack "quack"/);
});
