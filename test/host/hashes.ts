import { existsSync, readFileSync } from "node:fs";
import test from "ava";
import { buildPrefixes } from "../../spec/build-prefixes.ts";
import { citation, stackHash, tracelabHash } from "../../spec/lab-hashes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { card, copy, lab, stack } from "./proof.ts";
import { readDisk, readRun, remove, runs, traced } from "./traced.ts";

test("the card has the hashes of what is there: of each build what it noted, and of tracelab as in another folder", (t) => {
	const declared = loadStack(stack, { projectRoot: copy.folder });
	const noted = Object.entries(buildPrefixes(declared)).map(([name, prefix]) => {
		const file = `${prefix}/.tracelab-build-record/result`;
		// From the cache it may be of an older tracelab.
		return [name, existsSync(file) ? readFileSync(file, "utf8").trimEnd() : null];
	});
	const { hashes } = card();
	t.deepEqual(hashes, {
		stack: stackHash(declared),
		tracelab: tracelabHash(),
		builds: Object.fromEntries(noted),
	});
	// Its name, its processes' and its port are all that it has of its own.
	t.is(hashes.stack, stackHash(loadStack("quickstart")));
	t.log(citation(stack, hashes) ?? "a build is of an older tracelab");
});

test("a run is recorded again, and the two are compared", async (t) => {
	t.is((await traced(t, "first", "block-io", "--", ...readDisk(50))).code, 0);
	const kept = `stacks/${stack}.yaml`;
	t.is(readFileSync(`${runs}/first/project/${kept}`, "utf8"), readFileSync(`${copy.folder}/${kept}`, "utf8"));
	remove("second");
	t.teardown(() => remove("second"));
	const { code, all } = await lab("trace", "again", "first", "--name", "second", "--anyway");
	t.is(code, 0, all);
	t.log(all);
	t.regex(all, /^ +first +second *$/m);
	t.regex(all, /^seconds +[\d.]+ +[\d.]+/m);
	t.regex(all, /^guest vm +\d+ +\d+/m);
	const [one, two] = [readRun("first"), readRun("second")];
	t.deepEqual([two.command, two.asked, two.lab], [one.command, one.asked, card().hashes]);
	t.true((two.layers[0]?.events["virtio_blk_handle_read"] ?? 0) >= 50);
	const removed = await lab("trace", "rm", "second", "--yes");
	t.is(removed.code, 0, removed.all);
	t.false(existsSync(`${runs}/second`));
	t.true(existsSync(`${runs}/first`));
});
