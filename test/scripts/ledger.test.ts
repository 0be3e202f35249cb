import test, { type ExecutionContext } from "ava";
import { ScratchHost } from "./run-step.ts";

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	return scratch;
}

/** Deletes paths below the lab's own folder. */
async function deleted(scratch: ScratchHost, ...paths: string[]): Promise<void> {
	await scratch.bash(paths.map((path) => `rm -r '${scratch.root}/var/lib/tracelab/${path}'`).join("; "));
}

/** Paths of the ledger and of its copy. */
const kept = (scratch: ScratchHost) => Object.keys(scratch.tree()).filter((path) => /\/ledger(-copy)?\/./.test(path));

/** What a probe says of the entry. */
async function said(scratch: ScratchHost): Promise<string> {
	return (await scratch.library("ledger", 'ledger_probe setting; say "${drifts[*]}"')).stderr;
}

const restore = 'back() { say "back to $1"; }; ledger_restore setting back';

test("the first owner's note of what was there before outlives later claims", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting first");
	await scratch.library("ledger", "ledger_claim setting second", { stack: "other" });
	t.is(scratch.read("var/lib/tracelab/ledger/setting/before"), "first");
});

test("a second claim changes nothing", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting first");
	const claimed = scratch.tree();
	await scratch.library("ledger", "ledger_claim setting again");
	t.deepEqual(scratch.tree(), claimed);
});

test("only the last owner puts the setting back, and the entry goes with it", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting 'as it was'");
	await scratch.library("ledger", "ledger_claim setting x", { stack: "other" });
	t.is((await scratch.library("ledger", restore)).stderr, "");
	t.is((await scratch.library("ledger", restore)).stderr, "", "who owns it no more has nothing to put back");
	t.is((await scratch.library("ledger", restore, { stack: "other" })).stderr, "back to as it was");
	t.deepEqual(kept(scratch), []);
});

test("an owner of an older tracelab, which keeps no copies, is none any more once it gave up the entry", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting before", { stack: "older" });
	await deleted(scratch, "ledger-copy");
	await scratch.library("ledger", "ledger_claim setting x");
	await deleted(scratch, "ledger/setting/owners/older");
	t.is((await scratch.library("ledger", restore)).stderr, "back to before");
	t.deepEqual(kept(scratch), []);
});

test("a restore that is killed is repeated by the next one", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting before");
	const { code } = await scratch.library("ledger", "back() { exit 9; }; ledger_restore setting back");
	t.is(code, 9);
	t.is((await scratch.library("ledger", restore)).stderr, "back to before");
});

// The entry's own folder is the last to go.
const killedRelease = `rm() { [ "$1" != -rf ] || kill -9 $$; command rm "$@"; }; ${restore}`;

test("what a killed release leaves is not taken for what was there before the next claim", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting first");
	const { code, stderr } = await scratch.library("ledger", killedRelease);
	t.deepEqual([code, stderr], [undefined, "back to first"]);
	t.is(scratch.read("var/lib/tracelab/ledger/setting/before"), "first");
	await scratch.library("ledger", "ledger_claim setting 'changed by hand'");
	t.is((await scratch.library("ledger", restore)).stderr, "back to changed by hand");
});

test("what a killed release leaves goes with the next one, which has nothing to put back", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting first");
	await scratch.library("ledger", killedRelease);
	t.is((await scratch.library("ledger", restore)).stderr, "");
	t.deepEqual(kept(scratch), []);
});

test("a setting that was empty before is told from one that was never noted", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting ''");
	await scratch.library("ledger", "ledger_claim setting later", { stack: "other" });
	t.is(scratch.read("var/lib/tracelab/ledger/setting/before"), "");
});

for (const path of ["ledger", "ledger/setting", "ledger/setting/before", "ledger/setting/owners/quick"]) {
	test(`where ${path} was deleted, what was there before is known from the copy`, async (t) => {
		const scratch = host(t);
		await scratch.library("ledger", "ledger_claim setting first");
		const claimed = scratch.tree();
		t.is(await said(scratch), "");
		await deleted(scratch, path);
		t.is(await said(scratch), "the ledger entry setting is missing");
		await scratch.library("ledger", "ledger_claim setting 'what the lab made of it'");
		t.deepEqual(scratch.tree(), claimed);
		t.is(await said(scratch), "");
		await deleted(scratch, path);
		t.is((await scratch.library("ledger", restore)).stderr, "back to first", "without an up in between");
		t.deepEqual(kept(scratch), []);
	});
}

test("a copy that was deleted is drift, and is made again", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting first");
	const claimed = scratch.tree();
	await deleted(scratch, "ledger-copy");
	t.is(await said(scratch), "the copy of the ledger entry setting is missing");
	await scratch.library("ledger", "ledger_claim setting later");
	t.deepEqual(scratch.tree(), claimed);
});

test("where the copy was deleted as well, what is there by then counts as what was there before", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting first");
	await deleted(scratch, "ledger", "ledger-copy");
	await scratch.library("ledger", "ledger_claim setting later");
	t.is((await scratch.library("ledger", restore)).stderr, "back to later");
});

test("an owner whose file was deleted is one still: another's release puts nothing back under it", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting first");
	await scratch.library("ledger", "ledger_claim setting x", { stack: "other" });
	await deleted(scratch, "ledger/setting/owners/other");
	t.is((await scratch.library("ledger", restore)).stderr, "");
	t.is((await scratch.library("ledger", restore, { stack: "other" })).stderr, "back to first");
	t.deepEqual(kept(scratch), []);
});
