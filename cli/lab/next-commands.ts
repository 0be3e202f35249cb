import type { LabCard } from "../../spec/lab-card.ts";
import { stackOption } from "../card.ts";
import { paint } from "../terminal.ts";

/** What a lab that came up is most worth trying for: a glance's worth of commands that work on it as they stand. */
export function nextCommands({ stack, hashes, domains, probes }: LabCard): string {
	const lab = `./lab${stackOption(stack)}`;
	const names = Object.keys(domains).sort();
	const held = names.find((name) => domains[name]?.gdb.paused);
	const free = names.find((name) => !domains[name]?.gdb.paused);
	const probe = Object.keys(probes).sort()[0];
	const which = names.length > 1 ? `-d ${free} ` : "";
	const commands: (readonly [string, string])[] = [
		...row(held, (name) => [`gdb ${name}`, "its kernel, which waits for gdb to let it go"]),
		["verify", "all that the lab claims to be, looked at now"],
		// Writes what a guest can miss, each time, so that the trace is never empty.
		...row(free, () => [`trace run block-io ${which}-- sh -c 'touch /; sync'`, "a write, in the guest and in QEMU"]),
		...row(held === undefined ? free : undefined, (name) => [`gdb ${name}`, "its kernel, in gdb"]),
		...row(probe, (name) => [`probe run ${name}`, "SystemTap in the guest's kernel"]),
		...row(hashes.lock === undefined ? "lock" : undefined, (name) => [name, "pins the builds, which nothing does yet"]),
		["--help", "all else"],
	];
	const width = Math.max(...commands.map(([command]) => command.length));
	const lines = commands.map(([command, what]) => `  ${lab} ${command.padEnd(width)}  ${what}`);
	return [paint("bold", "what to try next:"), ...lines].join("\n");
}

/** One where there is such a name, and none where there is not. */
function row(name: string | undefined, command: (name: string) => readonly [string, string]) {
	return name === undefined ? [] : [command(name)];
}
