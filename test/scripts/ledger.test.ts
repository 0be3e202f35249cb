import test, { type ExecutionContext } from "ava";
import { ScratchHost } from "./run-step.ts";

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	return scratch;
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
	t.is(scratch.tree()["var/lib/tracelab/ledger/setting"], undefined);
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
	t.is(scratch.tree()["var/lib/tracelab/ledger/setting"], undefined);
});

test("a setting that was empty before is told from one that was never noted", async (t) => {
	const scratch = host(t);
	await scratch.library("ledger", "ledger_claim setting ''");
	await scratch.library("ledger", "ledger_claim setting later", { stack: "other" });
	t.is(scratch.read("var/lib/tracelab/ledger/setting/before"), "");
});
