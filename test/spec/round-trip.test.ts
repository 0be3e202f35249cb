import test from "ava";
import fc from "fast-check";
import { stringify, type ToStringOptions } from "yaml";
import { nearest } from "../../spec/did-you-mean.ts";
import { loadStack, StackFileError } from "../../spec/load-stack.ts";
import type { Source, Stack } from "../../spec/schema.ts";
import { editorMarks } from "./editor.ts";
import { ScratchProject } from "./scratch-project.ts";

// Stacks of every kind, made at random: each is read as what it is, however it is written down.

const project = new ScratchProject();
for (const file of ["configure", "Kconfig", "Kbuild"]) project.write(`trees/mine/${file}`, "");
project.write("kconfig/lockdep.config", "CONFIG_LOCKDEP=y\n");
project.write("examples/it's; $(one) — ü.stp", "probe begin { exit() }\n");
project.write(
	"profiles/disk.yaml",
	"description: A disk.\nbudget: { rate: 1, events: 1 }\nqemu: { virtio_*: Requests. }\n",
);
test.after.always(() => project.remove());

const text = (pattern: RegExp) => fc.stringMatching(pattern);
const name = text(/^[a-z][a-z0-9-]{0,8}[a-z0-9]$/);
const listOf = (item: fc.Arbitrary<string>, minLength = 0) => fc.uniqueArray(item, { minLength, maxLength: 3 });
/** Each key is there or not. */
const maybe = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(fields, { requiredKeys: [] });
const printable = text(/^[!-~](?:[ -~]{0,20}[!-~])?$/);

const source = fc.oneof(
	fc.constantFrom("debian:qemu", "debian:g++/sid", "path:trees/mine", "git:me@example.org:a/b'`;$(id).git#v6.1"),
	text(/^git:(?:https|ssh|git|file):\/\/example\.org\/[!-"$-?A-~]{0,20}#[A-Za-z0-9_][A-Za-z0-9_./+-]{0,9}$/),
	fc.record({ url: text(/^https?:\/\/example\.org\/[!-~]{0,20}$/), sha256: text(/^[0-9a-f]{64}$/) }),
);
const ownTree = fc.constant("path:trees/mine");

const qemu = maybe({
	source,
	targets: listOf(fc.constantFrom("aarch64-softmmu", "arm-linux-user")).map((more) => [...more, "x86_64-softmmu"]),
	traceBackends: listOf(fc.constantFrom("dtrace", "log", "nop", "simple", "ust"), 1),
	configure: listOf(text(/^--enable-[a-z]{1,5}(?:=[ -~]{0,9})?$/).filter((option) => !/trace-/.test(option))),
});
const configLine = fc
	.tuple(text(/^CONFIG_[A-Z0-9_]{1,9}$/), fc.constantFrom("=y", "=m", "=n", "=-7", "=0x1F", '="a \\"b\\" \\\\"'))
	.map((parts) => parts.join(""));
const kernel = maybe({
	source,
	fragments: listOf(fc.constantFrom("quickstart", "lockdep"), 1),
	config: fc.uniqueArray(configLine, { maxLength: 3, selector: (line) => line.split("=")[0] }),
});
const image = maybe({
	suite: text(/^[a-z][a-z0-9-]{0,39}$/),
	packages: listOf(text(/^[a-z0-9][a-z0-9+.-]{0,9}[a-z0-9+]$/)),
});
const makeVariable = text(/^[A-LN-Z_][A-Z0-9_]{2,9}=[A-Za-z0-9 ._/,:=+@%-]{0,9}$/).filter(
	(variable) => !variable.startsWith("KBUILD"),
);
const hypervisor = fc.oneof(
	maybe({ hidden: fc.boolean(), dmiVendor: printable, dmiProduct: printable }),
	maybe({ signature: text(/^[A-Za-z0-9](?:[A-Za-z0-9 ]{0,10}[A-Za-z0-9])?$/), dmiVendor: printable }),
);
const expected = maybe({
	signature: printable,
	hypervisorFlag: fc.boolean(),
	kernelDetects: printable,
	detectVirt: printable,
	dmiVendor: printable,
	dmiProduct: printable,
	clocksource: printable,
});

/** None is a slip of another. */
const names = fc.uniqueArray(name, { minLength: 1, maxLength: 3 }).filter((all) =>
	all.every(
		(one) =>
			nearest(
				one,
				all.filter((other) => other !== one),
			) === undefined,
	),
);
const mapOf = <T>(value: fc.Arbitrary<T>) =>
	names.chain((keys) =>
		fc
			.tuple(...keys.map(() => value))
			.map((values): Record<string, T> => Object.fromEntries(keys.map((key, index) => [key, values[index] as T]))),
	);

/** Builds first, then what refers to them. */
const stackFile = fc
	.record({ qemu: mapOf(qemu), kernels: mapOf(kernel), images: mapOf(image), moduleNames: names, domainNames: names })
	.chain(({ moduleNames, domainNames, ...builds }) => {
		const one = (map: object) => fc.constantFrom(...Object.keys(map));
		const kernelOf = Object.keys(builds.kernels)[0] ?? "";
		const module = fc.record(
			{
				source: ownTree,
				kernel: fc.constant(kernelOf),
				make: fc.uniqueArray(makeVariable, { maxLength: 3, selector: (variable) => variable.split("=")[0] }),
			},
			{ requiredKeys: ["source", "kernel"] },
		);
		const domain = (port: number) =>
			fc.record(
				{
					qemu: one(builds.qemu),
					kernel: fc.constant(kernelOf),
					image: one(builds.images),
					modules: fc.subarray(moduleNames),
					cpus: fc.integer({ min: 1, max: 64 }),
					memory: fc.integer({ min: 256, max: 1048576 }),
					acceleration: fc.constantFrom("auto", "kvm", "tcg"),
					processName: text(/^[A-Za-z0-9_.:@][A-Za-z0-9_.:@-]{0,10}$/).map((start) => `${start}-${port % 100}`),
					gdb: maybe({ port: fc.constant(port), paused: fc.boolean() }),
					kernelArguments: listOf(text(/^[A-Za-z0-9-](?:[!#-~]|"[ !#-~]{0,9}"){0,9}$/)),
					hypervisor,
					expect: expected,
				},
				{ requiredKeys: ["qemu", "kernel", "image", "processName"] },
			);
		const probe = fc.record({
			script: fc.constant("examples/it's; $(one) — ü.stp"),
			domain: fc.constantFrom(...domainNames),
		});
		const budget = fc.record({ rate: fc.constantFrom(0.5, 8), events: fc.constantFrom(1, 2e6) }, { requiredKeys: [] });
		const trace = fc.record(
			{ domains: fc.subarray(domainNames, { minLength: 1 }), profile: fc.constant("disk"), budget },
			{ requiredKeys: ["domains", "profile"] },
		);
		return fc.record(
			{
				description: fc.string({ unit: "grapheme" }).filter((prose) => /^(?:[^\p{Cc}\p{Cs}]|[\n\t])*$/u.test(prose)),
				qemu: fc.constant(builds.qemu),
				kernels: fc.constant(builds.kernels),
				images: fc.constant(builds.images),
				modules: fc
					.tuple(...moduleNames.map(() => module))
					.map((all) => Object.fromEntries(moduleNames.map((key, index) => [key, all[index]]))),
				domains: fc
					.tuple(...domainNames.map((_, index) => domain(2010 + index)))
					.map((all) => Object.fromEntries(domainNames.map((key, index) => [key, all[index]]))),
				probes: mapOf(probe),
				traces: mapOf(trace),
			},
			{ requiredKeys: ["qemu", "kernels", "images", "modules", "domains"] },
		);
	});

const styles = fc.constantFrom<ToStringOptions>(
	{},
	{ collectionStyle: "flow" },
	{ collectionStyle: "block", indent: 4 },
	{ defaultStringType: "QUOTE_DOUBLE", defaultKeyType: "QUOTE_SINGLE" },
	{ defaultStringType: "BLOCK_LITERAL", defaultKeyType: "PLAIN" },
	{ lineWidth: 20 },
);

function load(content: string): Stack {
	project.write("stacks/x.yaml", content);
	try {
		return loadStack("x", { projectRoot: project.root });
	} catch (error) {
		if (error instanceof StackFileError) throw new Error(`${error.message}\n---\n${content}`);
		throw error;
	}
}

test("every stack is read as what it is, however it is written, and an editor marks nothing in it", (t) => {
	const written = fc.tuple(stackFile, styles);
	fc.assert(
		fc.property(written, ([file, style]) => {
			const stack = load(stringify(file, style));
			// JSON is YAML.
			t.deepEqual(load(JSON.stringify(file, undefined, "\t")), stack);
			t.deepEqual(editorMarks(file), []);
			// What was given is there; the order of lists that are sets, and of maps, says nothing.
			includes(t, stack, file, "");
		}),
		{ numRuns: 150 },
	);
});

test("a stack that was read can be written down and read again", (t) => {
	fc.assert(
		fc.property(stackFile, (file) => {
			const stack = load(stringify(file));
			t.deepEqual(load(stringify(asFile(stack))), stack);
		}),
		{ numRuns: 150 },
	);
});

type Assertions = { deepEqual(actual: unknown, expected: unknown, message?: string): void };

const sets = /\.(?:targets|traceBackends|packages|modules|load|domains)$/;

function includes(t: Assertions, actual: unknown, given: unknown, path: string): void {
	if (/\.(?:source|script)$/.test(path)) {
		const there = typeof actual === "string" ? actual : sourceText(actual as Source);
		const inProject = (value: unknown) =>
			JSON.stringify(value).replaceAll(`${project.root}/`, "").replaceAll(project.root, "");
		t.deepEqual(JSON.parse(inProject(there)), given, path);
	} else if (Array.isArray(given)) {
		t.deepEqual(actual, sets.test(path) ? given.toSorted() : given, path);
	} else if (typeof given === "object" && given !== null) {
		for (const [key, value] of Object.entries(given)) {
			includes(t, (actual as Record<string, unknown>)[key], value, `${path}.${key}`);
		}
	} else t.deepEqual(actual, given, path);
}

/** A stack as its file would have it, with nothing left out. */
function asFile({ name: _, ...stack }: Stack): object {
	return JSON.parse(
		JSON.stringify(stack, (key, value) => (key === "source" && "kind" in value ? sourceText(value) : value)),
	);
}

function sourceText(source: Source): unknown {
	switch (source.kind) {
		case "debian":
			return `debian:${source.package}${source.suite === undefined ? "" : `/${source.suite}`}`;
		case "git":
			return `git:${source.url}#${source.ref}`;
		case "path":
			return `path:${source.path}`;
		case "tarball":
			return { url: source.url, sha256: source.sha256 };
	}
}
