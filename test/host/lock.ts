import { readFileSync, rmSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import test from "ava";
import { buildPrefixes } from "../../spec/build-prefixes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { type Pin, readLock } from "../../spec/lock.ts";
import { card, copy, host, lab, skip, stack } from "./proof.ts";

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

test("builds of what the shipped lock pins come to what it says, on this machine as well", async (t) => {
	t.teardown(() => rmSync(`${copy.folder}/${file}`, { force: true }));
	const written = await lab("lock");
	if (written.all.includes("was built by an older tracelab"))
		return skip(t, "a build is of an older tracelab, which did not note what it is made of");
	t.is(written.code, 0, written.all);
	const here = readLock(stack, undefined, copy.folder) ?? {};
	const split = ({ result, config, ...madeOf }: Pin = {}) => ({ cameTo: { result, config }, madeOf });
	const compared = Object.entries(readLock("quickstart") ?? {}).filter(([name, pin]) => {
		const [shipped, ours] = [split(pin), split(here[name])];
		const same = isDeepStrictEqual(shipped.madeOf, ours.madeOf);
		if (same) t.deepEqual(ours.cameTo, shipped.cameTo, name);
		else t.log(`${name} is made of something else here, or the lock leaves it open`);
		return same;
	});
	if (compared.length === 0) skip(t, "all builds are made of something else here: Debian has moved on");
});

test("an update of one kernel pins another for it, lets go what was built against the old one, and keeps all else", async (t) => {
	t.teardown(() => rmSync(`${copy.folder}/${file}`, { force: true }));
	const pins = () => {
		const { "kernel-main": kernel = {}, ...others } = readLock(stack, undefined, copy.folder) ?? {};
		return { kernel, others };
	};
	const written = await lab("lock");
	if (written.all.includes("was built by an older tracelab"))
		return skip(t, "a build is of an older tracelab, which did not note what it is made of");
	t.is(written.code, 0, written.all);
	const text = readFileSync(`${copy.folder}/${file}`, "utf8");
	const before = pins();

	// As if Debian had a newer kernel by now: the lab's and the lock's are of an older version.
	const old = "6.1.1-1";
	const noted = `${card().kernels["main"]?.prefix}/.tracelab-build-record/version`;
	const aside = `${copy.folder}/kernel-version`;
	let newest: Pin = {};
	copy.edit(file, `version: ${before.kernel.version}\n`, `version: ${old}\n`);
	host(`cp -p ${noted} ${aside}`);
	try {
		host(`echo ${old} >${noted}`);
		const updated = await lab("lock", "--update", "kernel-main");
		t.is(updated.code, 0, updated.all);
		const { kernel, others } = pins();
		newest = kernel;
		t.is(kernel.build, before.kernel.build);
		t.deepEqual(Object.keys(kernel).sort(), ["build", "sha256", "tools", "version"]);
		t.true(updated.stdout.includes(`kernel-main version: ${old} → ${kernel.version}\n`), updated.all);
		const built = ["module-lttng", "module-mymodule", "probe-mymodule-vm"].filter((name) =>
			Object.hasOwn(before.others, name),
		);
		t.deepEqual(
			others,
			Object.fromEntries(
				Object.entries(before.others).map(([name, pin]) => {
					const { kernel: _, result: __, modules: ___, ...kept } = pin;
					return [name, built.includes(name) ? kept : pin];
				}),
			),
		);
		t.true(
			updated.stdout.endsWith(
				`\n./lab -s ${stack} up builds ${["kernel-main", ...built].join(", ")}; then ./lab -s ${stack} lock pins what that comes to`,
			),
			updated.all,
		);
	} finally {
		host(`cp -p ${aside} ${noted}`);
		copy.write(file, text);
	}

	const again = await lab("lock", "--update", "kernel-main");
	t.is(again.code, 0, again.all);
	const { config: _, result: __, ...made } = before.kernel;
	if (isDeepStrictEqual(newest, made)) {
		t.is(again.stdout, `nothing is newer than what ${file} has`);
		t.is(readFileSync(`${copy.folder}/${file}`, "utf8"), text);
		const { code, all } = await lab("up");
		t.is(code, 0, all);
		t.notRegex(all, / built in /);
	} else t.log(`the lab's kernel is of ${JSON.stringify(made)}, and would be of ${JSON.stringify(newest)} now`);
	rmSync(`${copy.folder}/${file}`);
	const unlocked = await lab("up");
	t.is(unlocked.code, 0, unlocked.all);
});
