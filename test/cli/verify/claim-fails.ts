import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { findDomain } from "../../../cli/card.ts";
import { LabError } from "../../../cli/errors.ts";
import { claims } from "../../../cli/verify/claims.ts";
import type { FakeGuest } from "../fake-guest.ts";
import type { ScratchLab } from "../scratch-lab.ts";
import { wholeLab } from "./whole-lab.ts";

/** Takes something from a lab of which all holds. */
export type Harm = (lab: ScratchLab, guest: FakeGuest) => unknown;

/** What a claim shows of `vm` now. @throws LabError where it does not hold */
export async function evidenceOf(claim: string): Promise<string> {
	const found = claims.find((one) => one.claim === claim);
	if (found === undefined) throw new Error(`there is no claim ${claim}`);
	return found.evidence(findDomain("quickstart", "vm"));
}

/** Where a look could leave something: sessions, runs, a module, and this process's own folders. */
const places = [
	...["lttng/host", "lttng/guest", "dev/shm/tracelab", "tmp"],
	...["var/lib/tracelab/runs", "var/lib/tracelab/traces", "var/lib/tracelab/domains/quickstart-vm/root/probes"],
];

/** What is there as long as a lab is up. */
const standing = ["tracelab-quickstart-flight", "stap_fire.ko"];

/** What the looks at a lab have left there. */
export function left({ root }: ScratchLab): string[] {
	return places.flatMap((place) => {
		const there = existsSync(join(root, place)) ? readdirSync(join(root, place)) : [];
		return there.filter((name) => !standing.includes(name)).map((name) => `${place}/${name}`);
	});
}

/** Makes this process see a lab, with a folder of its own for what it makes for a while. */
export function enter(t: ExecutionContext, lab: ScratchLab): void {
	const path = process.env["PATH"];
	lab.enter();
	t.teardown(() => {
		delete process.env["TMPDIR"];
		if (path !== undefined) process.env["PATH"] = path;
	});
	mkdirSync(join(lab.root, "tmp"), { recursive: true });
	process.env["TMPDIR"] = join(lab.root, "tmp");
}

/** One claim fails, with its very words and what to do; the numbers of this process, a script's lines and the lab's folder are left out. */
export const fails = test.macro({
	title: (_, claim: string, why: string) => `${claim}: not ${why}`,
	async exec(t, claim: string, _why: string, harm: Harm, message: string, todo: string) {
		const { lab, guest } = await wholeLab(t);
		enter(t, lab);
		await harm(lab, guest);
		const error = await t.throwsAsync<LabError>(evidenceOf(claim), { instanceOf: LabError });
		const plain = (text = "") =>
			text
				.replaceAll(lab.root, "ROOT")
				.replaceAll(new RegExp(`\\b${process.pid}\\b`, "g"), "OWN-PID")
				.replaceAll(/\.sh: line \d+/g, ".sh: line N");
		t.is(plain(error?.message), message);
		t.is(plain(error?.todo), todo);
		t.deepEqual(left(lab), []);
	},
});

/** How a claim on a process fails, after `fails` and the claim. */
export const notRunning = [
	"where the domain does not run",
	({ root }: ScratchLab) => rmSync(join(root, "run/libvirt/qemu/quickstart-vm.pid")),
	"domain vm has no process",
	"./lab up starts it",
] as const;
