import { readFileSync, rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { ExecutionContext } from "ava";
import { type Run, runSchema } from "../../spec/run.ts";
import { host, lab, pidOf, stack } from "./proof.ts";

export const runs = `/var/lib/tracelab/runs/${stack}`;
export const readRun = (name: string, of = stack): Run =>
	runSchema.parse(JSON.parse(readFileSync(`/var/lib/tracelab/runs/${of}/${name}/run.json`, "utf8")));

/** Runs are kept by destroy: those of tests go with their tests. */
export function remove(name: string): void {
	rmSync(`${runs}/${name}`, { recursive: true, force: true });
	host(`rmdir --ignore-fail-on-non-empty ${runs} 2>/dev/null || :`);
}

/** Records a run that goes with its test. */
export async function traced(t: ExecutionContext, name: string, ...args: string[]) {
	remove(name);
	t.teardown(() => remove(name));
	return lab("trace", "run", "--name", name, ...args);
}

/** A guest's command that reads its disk in so many requests of 64 kB. */
export const readDisk = (requests: number): string[] =>
	`dd if=/dev/vda of=/dev/null bs=64k count=${requests} iflag=direct`.split(" ");

/** The tracepoints that a process has registered. */
export function tracepoints(pid: string): string[] {
	const own = host("lttng list -u")
		.split(/^PID: /m)
		.find((part) => part.startsWith(`${pid} `));
	return [...(own ?? "").matchAll(/^ +qemu:(\w+) /gm)].map(([, name = ""]) => name);
}

/** QEMU comes back to a session daemon within some seconds. */
export async function registered(): Promise<boolean> {
	for (let tries = 0; tries < 60; tries++) {
		if (tracepoints(pidOf()).length > 4000) return true;
		await pause(500);
	}
	return false;
}
