import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { buildOf } from "./build-prefix.ts";
import { checkedYaml } from "./checked-yaml.ts";
import { sha256 } from "./content-hash.ts";
import { didYouMean } from "./did-you-mean.ts";
import type { Finding } from "./finding.ts";
import { lockJsonSchema } from "./json-schema.ts";
import { type Lock, lockSchema, type Pin, pinSchema } from "./lock-schema.ts";
import { shownPath } from "./read-stack-chain.ts";
import { StackFileError } from "./stack-file-error.ts";

export type { Lock, Pin } from "./lock-schema.ts";

const ownRoot = fileURLToPath(new URL("..", import.meta.url));

/** A lock that cannot be used: all that is wrong with it, with where, and what to do. */
export class LockFileError extends StackFileError {
	override readonly name = "LockFileError";
}

/** The lock of a stack, from the project's root. */
export const lockFile = (stack: string): string => `stacks/${stack}.lock.yaml`;

/**
 * Reads and checks stacks/STACK.lock.yaml; undefined where the stack has no lock.
 *
 * @param builds the stack's builds, prefixes by name (build-prefixes.ts), where a lock that is not of these is an error
 * @param projectRoot where stacks/ is; by default this project's root
 * @throws LockFileError with all that is wrong
 */
export function readLock(
	stack: string,
	builds?: () => Readonly<Record<string, string>>,
	projectRoot: string = ownRoot,
): Lock | undefined {
	const root = resolve(projectRoot);
	const path = join(root, lockFile(stack));
	const checked = checkedYaml(path, shownPath(path, root), {
		schema: lockSchema,
		json: lockJsonSchema(),
		notAMap: { message: "a lock is a map of builds", hint: "remove the file, and write it again: ./lab lock" },
		further: (lock) => (builds === undefined ? [] : otherBuilds(stack, lock, builds())),
	});
	if (checked !== undefined && "problems" in checked) throw new LockFileError(checked.problems);
	return checked?.value;
}

/** Where a lock and the stack file are not of the same builds: nothing is left open that nobody said to be. */
function otherBuilds(stack: string, lock: Lock, builds: Readonly<Record<string, string>>): Finding[] {
	const names = Object.keys(builds);
	const unnamed = names.filter((name) => !Object.hasOwn(lock, name));
	const others = Object.entries(lock).flatMap(([name, { build }]): Finding[] => {
		const prefix = Object.hasOwn(builds, name) ? builds[name] : undefined;
		if (prefix === undefined) {
			const message = `the stack has no such build${didYouMean(name, names)}`;
			const hint = `its builds are: ${names.join(", ")}; ./lab lock --update -s ${stack} takes out what is no more`;
			return [{ path: [name], at: "key", message, hint }];
		}
		const asked = buildOf(prefix);
		if (build === undefined || build === asked) return [];
		const message = `the stack file asks for another build: ${asked}`;
		const hint = `go back to what it asked for, or to the tracelab that wrote the lock, if that was another; or pin the new one: ./lab lock --update ${name} -s ${stack}`;
		return [{ path: [name, "build"], at: "value", message, hint }];
	});
	if (unnamed.length === 0) return others;
	const message = `the lock does not name ${unnamed.join(", ")}, which the stack has`;
	const hint = `take into it what there is now: ./lab lock --update ${unnamed.join(" ")} -s ${stack}`;
	return [{ path: [], at: "value", message, hint }, ...others];
}

/** The text of a lock's file. */
export function lockText(stack: string, lock: Lock): string {
	const head = `# What the builds of stack ${stack} are made of and come to; see docs/reproducibility.md. ./lab lock --update changes it.\n`;
	const sorted = Object.fromEntries(Object.entries(lock).sort(([a], [b]) => order(a, b)));
	return head + stringify(sorted, { lineWidth: 0 });
}

/** sha256 of the file of a lock, which sha256sum says of it; undefined where the stack has no lock. */
export function lockHash(stack: string, projectRoot: string = ownRoot): string | undefined {
	const file = join(projectRoot, lockFile(stack));
	return existsSync(file) ? sha256(readFileSync(file)) : undefined;
}

/** A pin as its build's step gets it (scripts/lib/pins.sh): a text a fact, packages a line each. */
export function pinInput(pin: Pin | undefined): { pin?: Record<string, string> } {
	if (pin === undefined || Object.keys(pin).length === 0) return {};
	return {
		pin: Object.fromEntries(
			Object.entries(pin).map(([fact, value]) => [fact, typeof value === "string" ? value : lines(value)]),
		),
	};
}

/** Facts that are maps: of names to versions, or to results. */
const maps = ["modules", "packages", "tools"];

/**
 * The pin of the facts that a build noted of itself.
 *
 * @throws z.ZodError for what no build notes
 */
export function pinOf(facts: Readonly<Record<string, string>>): Pin {
	return pinSchema.parse(
		Object.fromEntries(Object.entries(facts).map(([fact, text]) => [fact, maps.includes(fact) ? map(text) : text])),
	);
}

/** Every single value that a pin has, by what a person calls it: `version`, `packages libc6`. */
export function pinned(pin: Pin): Map<string, string> {
	return new Map(
		Object.entries(pin).flatMap(([fact, value]): [string, string][] =>
			typeof value === "string"
				? [[fact, value]]
				: Object.entries(value).map(([name, version]) => [`${fact} ${name}`, version]),
		),
	);
}

function lines(versions: Readonly<Record<string, string>>): string {
	return Object.entries(versions)
		.map(([name, version]) => `${name} ${version}`)
		.sort(order)
		.join("\n");
}

function map(text: string): Record<string, string> {
	const pairs = text.split("\n").filter((line) => line !== "");
	return Object.fromEntries(pairs.map((line) => line.split(/ (.*)/, 2)));
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
