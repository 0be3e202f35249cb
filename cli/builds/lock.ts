import { writeFileSync } from "node:fs";
import { buildOf } from "../../spec/build-prefix.ts";
import { buildPrefixes, madeFor } from "../../spec/build-prefixes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { type Lock, lockFile, lockHash, lockText, type Pin, pinOf, readLock } from "../../spec/lock.ts";
import { completed, isOpen, updated } from "../../spec/lock-changes.ts";
import { checkStack, readCard, stackOption } from "../card.ts";
import { asLabError, LabError } from "../errors.ts";
import { project } from "../host.ts";
import { asRoot, giveBack } from "../privilege.ts";
import { run } from "../program.ts";
import { replaceFile } from "../replace-file.ts";
import { print } from "../terminal.ts";
import { allBegun, type BegunBuild, begunBuilds, checkWanted } from "./begun-builds.ts";
import { builtPins, noted } from "./build-record.ts";

/**
 * Writes the lock of a stack from the lab that is up, or adds to it what it lacks; with `update`, takes for the builds that are
 * named, or for all, what there is now. Returns 1 where the lab is not as the lock has it.
 *
 * @throws LabError where the lab is not up, or a build's facts cannot be had
 */
export async function lock(
	stack: string,
	wanted: readonly string[],
	{ update = false }: { update?: boolean },
): Promise<number> {
	checkStack(stack);
	const there = await asRoot();
	if (there !== undefined) return there;
	try {
		return await (update ? updateLock(stack, wanted) : completeLock(stack, wanted));
	} catch (error) {
		throw asLabError(error);
	} finally {
		giveBack();
	}
}

async function completeLock(stack: string, wanted: readonly string[]): Promise<number> {
	const { hashes } = readCard(stack);
	const old = readLock(stack);
	const { lock, differences, added } = completed(old ?? {}, builtPins(stack, begunBuilds(stack, wanted)));
	const file = lockFile(stack);
	for (const line of differences) print(line);
	if (added.length > 0) {
		const names = Object.keys(buildPrefixes(loadStack(stack)));
		const free = write(stack, lock, old === undefined ? names : []);
		print(`${file}: ${old === undefined ? "written" : "added to"}, for ${added.join(", ")}; commit it`);
		if (free.length > 0) print(`${file} holds ${free.join(", ")} to nothing`);
	}
	if (differences.length > 0) {
		print(
			`${file} is kept as it is: up makes the lab as it says, and ./lab lock${stackOption(stack)} --update changes it`,
		);
		return 1;
	}
	if (added.length === 0) print(`${file} is there, and the lab is as it says`);
	// Builds that were not asked for may be others than it pins.
	if (wanted.length === 0 && hashes.lock !== lockHash(stack))
		print(`./lab${stackOption(stack)} up notes it on the lab card, and builds nothing that it pins`);
	return 0;
}

async function updateLock(stack: string, wanted: readonly string[]): Promise<number> {
	const declared = loadStack(stack);
	const prefixes = buildPrefixes(declared);
	const names = Object.keys(prefixes);
	checkWanted(stack, wanted, names);
	const there = readLock(stack);
	const old = there ?? {};
	const begun = wanted.length === 0 ? begunBuilds(stack, []) : allBegun(stack);
	const now: Record<string, Pin> = {};
	for (const [name, prefix] of Object.entries(prefixes)) {
		const build = begun.find((one) => one.name === name);
		const isWanted = wanted.length === 0 ? build !== undefined || !Object.hasOwn(old, name) : wanted.includes(name);
		if (isWanted) now[name] = build?.prefix === prefix ? await current(build) : { build: buildOf(prefix) };
	}
	const bases = madeFor(declared);
	const asked = Object.fromEntries(
		Object.entries(prefixes).map(([name, prefix]) => [name, { build: buildOf(prefix), madeFor: bases[name] ?? [] }]),
	);
	const { lock, differences } = updated(old, now, wanted.length === 0 ? names : [...names, ...Object.keys(old)], asked);
	const free = write(stack, lock, there === undefined ? names : []);
	for (const line of differences) print(line);
	if (free.length > 0) print(`${lockFile(stack)} holds ${free.join(", ")} to nothing`);
	const open = Object.entries(lock).flatMap(([name, pin]) => (isOpen(pin) ? [name] : []));
	if (open.length > 0) {
		const option = stackOption(stack);
		print(`./lab${option} up builds ${open.join(", ")}; then ./lab${option} lock pins what that comes to`);
	} else if (differences.length === 0) print(`nothing is newer than what ${lockFile(stack)} has`);
	return 0;
}

/** What a build would be made of now, and where the one that is there was made of that, what it came to. */
async function current({ name, step, prefix }: BegunBuild): Promise<Pin> {
	const { code, stdout } = await run("bash", [step.file, "inputs"], "", { progress: true });
	if (code !== 0) throw new LabError(`what ${name} is made of cannot be told`, "what its step said is above");
	const inputs = pinOf(JSON.parse(stdout) as Record<string, string>);
	const built = noted(prefix);
	const isOfThem = Object.entries(inputs).every(
		([fact, value]) => JSON.stringify(value) === JSON.stringify(built?.[fact as keyof Pin]),
	);
	return isOfThem && built !== undefined ? built : inputs;
}

/**
 * Writes a lock that has each of `names`, so that a build that the stack file gets later is seen to be new. Returns those that
 * it holds to nothing for that.
 */
function write(stack: string, lock: Lock, names: readonly string[]): string[] {
	const free = names.filter((name) => !Object.hasOwn(lock, name));
	const all = { ...lock, ...Object.fromEntries(free.map((name) => [name, {}])) };
	replaceFile(`${project}/${lockFile(stack)}`, (part) => writeFileSync(part, lockText(stack, all)));
	return free;
}
