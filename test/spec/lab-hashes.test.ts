import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { project } from "../../cli/host.ts";
import { citation, type LabHashes, labDifferences, labHash, stackHash, tracelabHash } from "../../spec/lab-hashes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { ScratchProject, smallest } from "./scratch-project.ts";

const hashes: LabHashes = {
	stack: "1a".repeat(32),
	lock: "0f".repeat(32),
	tracelab: "2b".repeat(32),
	builds: { "qemu-main": "5e".repeat(32), "guest-tools": "3c".repeat(32), "kernel-main": "4d".repeat(32) },
};

test("the hash of a lab is the one that the documentation's command says", async (t) => {
	const { stdout: text } = await execa("sed", ["-n", "s/^    jq -r '/'/p", `${project}/docs/reproducibility.md`]);
	const [, filter = ""] = /^'(.*)' \/var\/lib\/tracelab\/labs\/quickstart\.json \| sha256sum$/.exec(text) ?? [];
	const { stdout } = await execa("sh", ["-c", `jq -r '${filter}' | sha256sum`], { input: JSON.stringify({ hashes }) });
	t.is(stdout, `${labHash(hashes)}  -`);
	t.is(citation("quickstart", hashes), `lab quickstart sha256:${labHash(hashes)}`);
});

test("a lab's hash is another one with another stack, tracelab or build, and the same with another lock", (t) => {
	const other = "00".repeat(32);
	const changed = (changes: Partial<LabHashes>) => labHash({ ...hashes, ...changes });
	t.is(changed({ lock: other }), labHash(hashes));
	const all = [
		labHash(hashes),
		changed({ stack: other }),
		changed({ tracelab: other }),
		changed({ builds: { ...hashes.builds, "qemu-main": other } }),
		changed({ builds: { ...hashes.builds, "module-mine": other } }),
	];
	t.is(new Set(all).size, all.length);
});

test("a lab with a build that noted nothing has no hash", (t) => {
	const unknown = { ...hashes, builds: { ...hashes.builds, "kernel-main": null } };
	t.is(labHash(unknown), undefined);
	t.is(citation("quickstart", unknown), undefined);
});

test("what tells two labs apart is named, and what is not known does", (t) => {
	t.deepEqual(labDifferences(hashes, { ...hashes, lock: "00".repeat(32) }), []);
	const { "qemu-main": _, ...others } = hashes.builds;
	const builds = { ...others, "guest-tools": null, "module-mine": "6f".repeat(32) };
	t.deepEqual(labDifferences(hashes, { ...hashes, stack: "00".repeat(32), builds }), [
		"stack: 1a1a1a1a1a1a → 000000000000",
		"qemu-main: 5e5e5e5e5e5e → none",
		"guest-tools: 3c3c3c3c3c3c → not known",
		"module-mine: none → 6f6f6f6f6f6f",
	]);
	t.deepEqual(labDifferences({ ...hashes, builds }, { ...hashes, builds }), ["guest-tools: not known → not known"]);
});

/** Hash of a stack in a project of its own. */
function hashOf(
	t: ExecutionContext,
	text: string,
	name = "own",
	others: Readonly<Record<string, string>> = {},
): string {
	const scratch = new ScratchProject();
	t.teardown(() => scratch.remove());
	for (const [path, content] of Object.entries(others)) scratch.write(path, content);
	scratch.write(`stacks/${name}.yaml`, text);
	return stackHash(loadStack(name, { projectRoot: scratch.root }));
}

const domain = "domains: { vm: { qemu: main, kernel: main, image: main";
const withDomain = (more: string) => smallest.replace(domain, `${domain}, ${more}`);
const module = (folder: string) => `${smallest}modules: { mymodule: { source: "path:${folder}", kernel: main } }\n`;

test("a stack's hash is of what it asks for: not of the form, the name, what is for people, or what is of one machine", (t) => {
	const same = (text: string, ...rest: [string?, Record<string, string>?]) =>
		t.is(hashOf(t, text, ...rest), hashOf(t, smallest));
	same(`# words\ndescription: more words\n${smallest.split("\n").toReversed().join("\n")}`);
	same(smallest, "other");
	same("extends: base\n", "own", { "stacks/base.yaml": smallest });
	same(withDomain("cpus: 2, memory: 1024"));
	same(withDomain("gdb: { port: 1234 }, processName: mine"));
	const elsewhere = { "elsewhere/Kbuild": "obj-m := mymodule.o\n" };
	t.is(hashOf(t, module("elsewhere"), "own", elsewhere), hashOf(t, module("examples/mymodule")));
});

test("a stack that asks for another machine has another hash", (t) => {
	const all = [
		smallest,
		withDomain("cpus: 1"),
		withDomain("gdb: { paused: true }"),
		withDomain("kernelArguments: [quiet]"),
		smallest.replace("debian:qemu", "debian:qemu/bookworm-backports"),
		module("examples/mymodule"),
	].map((text) => hashOf(t, text));
	t.is(new Set(all).size, all.length);
});

test("tracelab's hash is of the files that make a lab, wherever they are, and of nothing beside them", (t) => {
	const scratch = new ScratchProject();
	t.teardown(() => scratch.remove());
	const there = ["index.ts", "package-lock.json", "components", "scripts", "spec"];
	for (const name of there) cpSync(join(project, name), join(scratch.root, name), { recursive: true });
	mkdirSync(join(scratch.root, "stacks"));
	scratch.write("stacks/mine.yaml", smallest);
	t.is(tracelabHash(scratch.root), tracelabHash());
	for (const name of there) {
		const file = name.includes(".") ? name : `${name}/new`;
		const before = tracelabHash(scratch.root);
		scratch.write(file, "changed\n");
		t.not(tracelabHash(scratch.root), before, file);
	}
});
