import { readFileSync } from "node:fs";
import { basename } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execaSync } from "execa";
import { type LabCard, labCardPath, labCardSchema } from "../../spec/lab-card.ts";
import { hostState } from "./host-state.ts";
import { ProjectCopy } from "./project-copy.ts";

// A glob would have each file's tests change the host by themselves, at once and in no order.
if (basename(test.meta.file) !== "lab.test.ts")
	throw new Error("host tests run in one order: ava --serial test/host/lab.test.ts --match TITLE");

// Not every shell has this; where it is, nothing would show that gdb's Python leaves its files in a build.
delete process.env["PYTHONDONTWRITEBYTECODE"];

/** The host before anything was done. */
export const before = hostState();

export const copy = new ProjectCopy();

/** The stack under test: what `npm run up` brings up, under names of its own. */
export const stack = "proof";

/** Stacks of single tests. */
export const [paused, two, bad, hidden, killed, bundled, trees, hostile, again] = [
	...["proof-paused", "proof-two", "proof-bad", "proof-hidden", "proof-killed", "proof-bundled"],
	...["proof-trees", "proof-hostile", "proof-again"],
] as const;

export const stacks = [again, hostile, trees, bundled, bad, hidden, two, paused, killed, stack];

copy.write(
	`stacks/${stack}.yaml`,
	`extends: quickstart\ndomains:\n  vm:\n    processName: ${stack}-vm\n    gdb: { port: 12340 }\n`,
);

/** The domain's name in libvirt. */
export const libvirtName = `${stack}-vm`;

/** What the lab says of itself. */
export function card(name = stack): LabCard {
	return labCardSchema.parse(JSON.parse(readFileSync(labCardPath(name), "utf8")));
}

/** The card's domain of that name; there is one, or this throws. */
export function domainCard(name = "vm", of = stack): LabCard["domains"][string] {
	const domain = card(of).domains[name];
	if (domain === undefined) throw new Error(`the card of ${of} has no domain ${name}`);
	return domain;
}

export const lab = (...args: string[]) => copy.lab("--stack", stack, ...args);

/** Runs a shell script on this host and returns what it printed; its failure is an error with what it said. */
export function host(script: string): string {
	return execaSync("bash", ["-c", `set -o pipefail; ${script}`]).stdout;
}

/** Process id of a domain's QEMU. */
export const pidOf = (name = libvirtName): string => host(`cat /run/libvirt/qemu/${name}.pid`).trim();

/** A process with its command line. */
export interface Process {
	pid: number;
	args: string;
}

/** A process and those below it, as they are at this instant. */
export function family(root: number): Process[] {
	const all = host("ps -eo pid=,ppid=,args=")
		.split("\n")
		.map((line) => /^ *(\d+) +(\d+) (.*)$/.exec(line))
		.map((match) => ({ pid: Number(match?.[1]), parent: Number(match?.[2]), args: match?.[3] ?? "" }));
	const found = new Set([root]);
	// A parent has mostly the lower number, but numbers come round.
	for (let before = 0; before !== found.size; ) {
		before = found.size;
		for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
	}
	return all.filter(({ pid }) => found.has(pid));
}

export const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));

/** What the kernel of the domain vm calls this boot; a reboot leaves QEMU's process as it is. */
export async function bootId(): Promise<string> {
	const { code, stdout, all } = await lab("exec", "vm", "--", "cat", "/proc/sys/kernel/random/boot_id");
	if (code !== 0) throw new Error(all);
	return stdout;
}

/** Ends a test that has nothing to show on this host, and says why. */
export function skip(t: ExecutionContext, why: string): void {
	t.log(`skipped: ${why}`);
	t.pass();
}
