import { readFileSync, rmSync } from "node:fs";
import test from "ava";
import { buildPrefixes } from "../../spec/build-prefixes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { copy, lab, stack } from "./proof.ts";

const file = `stacks/${stack}.lock.yaml`;
const build = "module-mymodule";
const other = "ab".repeat(32);

// Only the module: other builds may be of an older tracelab's, from the cache, and have noted nothing.
test("a lock is written from the lab, agreed with, held to, and updated", async (t) => {
	t.teardown(() => rmSync(`${copy.folder}/${file}`, { force: true }));
	const ran = async (...args: string[]) => {
		const { code, stdout, all } = await lab(...args);
		return { code, stdout: stdout.trim(), all };
	};
	const builds = Object.keys(buildPrefixes(loadStack(stack, { projectRoot: copy.folder })));
	const free = builds.filter((name) => name !== build).join(", ");
	t.like(await ran("lock", build), {
		code: 0,
		stdout: `${file}: written, for ${build}; commit it\n${file} holds ${free} to nothing`,
	});
	t.like(await ran("lock", build), { code: 0, stdout: `${file} is there, and the lab is as it says` });
	const locked = await ran("up");
	t.is(locked.code, 0, locked.all);
	t.true(locked.all.includes("module mymodule is up to date"), locked.all);

	const written = readFileSync(`${copy.folder}/${file}`, "utf8");
	const [, made = ""] = /result: ([0-9a-f]{64})/.exec(written) ?? [];
	copy.edit(file, made, other);
	const refused = await ran("up");
	t.not(refused.code, 0);
	t.true(refused.all.includes(`the lock pins result ${other}, and here it is ${made}`), refused.all);
	const updated = await ran("lock", "--update", build);
	t.true(updated.stdout.startsWith(`${build} result: ${other.slice(0, 12)} → ${made.slice(0, 12)}`), updated.all);
	t.is(readFileSync(`${copy.folder}/${file}`, "utf8"), written);

	const [, asked = ""] = /build: (module\/[0-9a-f]{16})/.exec(written) ?? [];
	copy.edit(file, asked, `module/${other.slice(0, 16)}`);
	const preview = await ran("preview");
	t.not(preview.code, 0);
	t.true(preview.all.includes(`${build}.build: the stack file asks for another build: ${asked}`), preview.all);

	copy.write(file, written.replace("qemu-main: {}\n", ""));
	const unnamed = await ran("preview");
	t.not(unnamed.code, 0);
	t.true(unnamed.all.includes(": the lock does not name qemu-main, which the stack has"), unnamed.all);

	rmSync(`${copy.folder}/${file}`);
	const unlocked = await ran("up");
	t.is(unlocked.code, 0, unlocked.all);
});
