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

/**
 * The lock with the pins that are given in place of its own, less those of builds that `kept` does not name, and less what
 * those come to that are built against a kernel which is to be built anew.
 *
 * @param kernelOf name of the kernel's build, for each that is built against one
 */
export function updated(
	old: Lock,
	now: Lock,
	kept: readonly string[],
	kernelOf: Readonly<Record<string, string>>,
): LockChange {
	const pins = Object.entries({ ...old, ...now }).filter(([name]) => kept.includes(name));
	const isAnew = (name: string | undefined) => pins.some(([one, pin]) => one === name && isOpen(pin));
	const lock = Object.fromEntries(
		pins.map(([name, pin]): [string, Pin] => {
			const { kernel, result, ...others } = pin;
			return [name, isAnew(kernelOf[name]) ? others : pin];
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
