import { beaconEvent, beaconFilter } from "./beacon-match.ts";
import { buffersFor, type Layer, layers, matches, type Profile } from "./profile.ts";

/** What scripts/trace-session.sh is told of a profile. */
export type SessionInputs = Readonly<Record<"qemu" | "guest" | "host" | "size" | "count", string>>;

/** @param chosen the layers that are recorded, of those that the profile has */
export function sessionInputs(profile: Profile, chosen: readonly Layer[] = layers): SessionInputs {
	const { size, count } = buffersFor(profile);
	const names = (layer: Layer) => (chosen.includes(layer) ? Object.keys(profile[layer]).sort() : []);
	return {
		qemu: qemuRules(names("qemu")).join("\n"),
		guest: names("guest").join("\n"),
		host: names("host").join("\n"),
		size: String(size),
		count: String(count),
	};
}

/** QEMU's events as LTTng knows them, and the clock's, where it is not one of them. */
function qemuRules(names: readonly string[]): string[] {
	const rules = names.map((name) => `qemu:${name}`);
	return recordsBeacon(names) ? rules : [...rules, `${beaconEvent} ${beaconFilter}`];
}

/** Is the clock's event one of these names and patterns? */
export function recordsBeacon(names: readonly string[]): boolean {
	return names.some((name) => matches(`qemu:${name}`, beaconEvent));
}
