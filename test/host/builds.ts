import { readFileSync } from "node:fs";
import type { ExecutionContext } from "ava";
import { copy, host } from "./proof.ts";

/** Each build that a stack uses has all that it had when it was made; nothing of one that was cut off is there. */
export function buildsAreWhole(t: ExecutionContext, stack: string): void {
	t.is(host("find /opt/tracelab -mindepth 2 -maxdepth 2 -name '*.work'"), "");
	const prefixes = host(`cd /var/lib/tracelab/builds && find . -type f -name ${stack} -printf '%h\n'`).split("\n");
	t.true(prefixes.length >= 5, prefixes.join(", "));
	for (const one of prefixes) {
		const prefix = `/opt/tracelab/${one.slice(2)}`;
		const environment = `stack=none step=proof generation= prefix=${prefix}`;
		const now = host(`cd '${copy.folder}/scripts'; ${environment} bash -c 'source lib/build.sh; build_hash ${prefix}'`);
		t.is(now, readFileSync(`${prefix}/.tracelab-build-record/result`, "utf8").trim(), prefix);
	}
}
