import { type Lock, type Pin, pinned } from "./lock.ts";

/** What becomes of a lock. */
export interface LockChange {
	readonly lock: Lock;
	/** What is pinned otherwise, or, of a lock that stays, what the lab has otherwise: `kernel-main version: 1 → 2`. */
	readonly differences: readonly string[];
	/** Names of builds that got pins which they had not. */
	readonly added: readonly string[];
}

/** The lock with what it lacks of the builds that are there; a pin that it has stays. */
export function completed(old: Lock, built: Lock): LockChange {
	const lock: Record<string, Pin> = { ...old };
	const differences: string[] = [];
	const added: string[] = [];
	for (const [name, pin] of Object.entries(built)) {
		const held = old[name] ?? {};
		const lines = changeLines(name, held, { ...held, ...onlyOf(pin, held) });
		differences.push(...lines);
		// What another build came to is not what this pin lacks.
		if (lines.length > 0 || Object.keys(pin).every((fact) => Object.hasOwn(held, fact))) continue;
		lock[name] = { ...pin, ...held };
		added.push(name);
	}
	return { lock, differences, added };
}

/** A build as the stack file asks for it. */
export interface AskedBuild {
	/** KIND/HASH. */
	readonly build: string;
	/** Names of the builds that it is made for: a kernel, and of a probe its modules. */
	readonly madeFor: readonly string[];
}

/**
 * The lock with the pins that are given in place of its own, less those of builds that `kept` does not name. What is made for a build
 * that becomes another one is to be made anew: of its pins, those of what it comes to, and of what it is made for, are dropped.
 *
 * @param asked the builds of the stack, by their names
 */
export function updated(
	old: Lock,
	now: Lock,
	kept: readonly string[],
	asked: Readonly<Record<string, AskedBuild>>,
): LockChange {
	const pins = Object.fromEntries(Object.entries({ ...old, ...now }).filter(([name]) => kept.includes(name)));
	const isAnother = (name: string) => {
		const result = old[name]?.result;
		return result !== undefined && result !== pins[name]?.result;
	};
	// A pin that is given is for the others as they are there, and not for one that is still to be built.
	const isAnew = (name: string) =>
		asked[name]?.madeFor.some((one) => isOpen(pins[one] ?? {}) || (!Object.hasOwn(now, name) && isAnother(one)));
	const lock = Object.fromEntries(
		Object.entries(pins).map(([name, pin]): [string, Pin] => {
			if (!isAnew(name)) return [name, pin];
			const { kernel, modules, result, ...others } = pin;
			const { build } = asked[name] ?? {};
			return [name, pin.build === undefined || build === undefined ? others : { ...others, build }];
		}),
	);
	const names = [...new Set([...Object.keys(old), ...Object.keys(now)])].sort();
	return {
		lock,
		differences: names.flatMap((name) => changeLines(name, old[name] ?? {}, lock[name] ?? {})),
		added: [],
	};
}

/** Is a build pinned, and what it comes to is not, as it is to be built first? */
export const isOpen = (pin: Pin): boolean => pin.result === undefined && Object.keys(pin).length > 0;

function onlyOf(pin: Pin, held: Pin): Pin {
	return Object.fromEntries(Object.entries(pin).filter(([fact]) => Object.hasOwn(held, fact)));
}

function changeLines(name: string, old: Pin, now: Pin): string[] {
	const [before, after] = [pinned(old), pinned(now)];
	const facts = [...new Set([...before.keys(), ...after.keys()])].filter(
		(fact) => before.get(fact) !== after.get(fact),
	);
	return facts.map((fact) => `${name} ${fact}: ${shown(before.get(fact))} → ${shown(after.get(fact))}`);
}

/** Of hashes, what git shows of one. */
function shown(value: string | undefined): string {
	if (value === undefined) return "not pinned";
	return value.replace(/\b[0-9a-f]{40,64}\b/g, (hash) => hash.slice(0, 12));
}
