import { rmSync } from "node:fs";
import test from "ava";
import { difference, hostState } from "./host-state.ts";
import { again, before, card, copy, host, paused, skip, stack, stacks } from "./proof.ts";
import { readDisk, readRun } from "./traced.ts";

/** A stack with the proof's builds. */
const declare = (name: string, parent: string) =>
	copy.write(`stacks/${name}.yaml`, `extends: ${parent}\ndomains: { vm: { processName: ${name} } }\n`);

const onAgain = (...args: string[]) => copy.lab("-s", again, ...args);

test("a run whose lab is gone is recorded again: the lab comes up as it was then, and the two are compared", async (t) => {
	t.teardown(() => {
		rmSync(`/var/lib/tracelab/runs/${again}`, { recursive: true, force: true });
		host("rmdir --ignore-fail-on-non-empty /var/lib/tracelab/runs");
	});
	declare(again, "quickstart");
	const up = await onAgain("up");
	t.is(up.code, 0, up.all);
	if (Object.values(card(again).hashes.builds).includes(null))
		return skip(t, "a build is of an older tracelab, which did not note what it came to");
	const first = await onAgain("trace", "run", "--name", "first", "block-io", "--", ...readDisk(50));
	t.is(first.code, 0, first.all);
	const destroyed = await onAgain("destroy", "--yes");
	t.is(destroyed.code, 0, destroyed.all);
	const { code, all } = await onAgain("trace", "again", "first", "--name", "second");
	t.log(all);
	t.is(code, 0, all);
	t.true(all.split("\n").includes(`lab: the lab of stack "${again}" is not up: bringing it up for first`), all);
	t.notRegex(all, /^lab: .* → /m, "a difference of the labs");
	t.regex(all, /^ +first +second *$/m);
	t.regex(all, /^seconds +[\d.]+ +[\d.]+/m);
	t.regex(all, /^guest vm +\d+ +\d+/m);
	const [one, two] = [readRun("first", again), readRun("second", again)];
	t.deepEqual([two.command, two.asked, two.lab], [one.command, one.asked, one.lab]);
	t.not(two.domains["vm"]?.pid, one.domains["vm"]?.pid);
	t.true((two.layers[0]?.events["virtio_blk_handle_read"] ?? 0) >= 50);
});

// The others of the tests went before those that they had come after.
test("pulumi destroy gives the host back as it was, and leaves the later stacks whole where the first to come is the first to go", async (t) => {
	declare(again, "quickstart");
	declare(paused, "debug");
	for (const one of [again, paused]) {
		const { code, all } = await copy.lab("-s", one, "up");
		t.is(code, 0, all);
	}
	const there = [stack, again, paused];
	while (there.length > 0) {
		const destroyed = await copy.pulumi(`destroy --yes --skip-preview --stack ${there.shift()}`);
		t.is(destroyed.code, 0, destroyed.all);
		for (const later of there) {
			const { code, all } = await copy.lab("-s", later, "preview", "--", "--expect-no-changes");
			t.is(code, 0, all);
		}
	}
	t.deepEqual(difference(before, hostState()), []);
});

// A suite that failed half way leaves no lab behind.
test.after.always(async () => {
	for (const one of stacks) await copy.lab("-s", one, "destroy", "--yes");
	copy.remove();
});
