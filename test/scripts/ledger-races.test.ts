import { chmodSync, chownSync, statSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { asRoot } from "../as-root.ts";
import { ScratchHost } from "./run-step.ts";

const owners = Array.from({ length: 8 }, (_, index) => `owner-${index}`);

function host(t: ExecutionContext): ScratchHost {
	t.timeout(240_000);
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("setting", "original");
	return scratch;
}

/** What steps do to a shared setting; the last lines say what is done with it. */
const sharedSetting = `
wanted() { [ "$(cat "$root/setting")" = ours ]; }
take() {
	lock setting
	ledger_claim setting "$(cat "$root/setting")"
	if ! wanted; then printf ours >"$root/setting"; echo changed >>"$root/history"; fi
}
back() { printf %s "$1" >"$root/setting"; echo "back to $1" >>"$root/history"; }
give() {
	lock setting
	ledger_restore setting back
}
# All at once.
: >"$root/ready-$stack"
until [ -e "$root/go" ]; do sleep 0.01; done
`;

/** Runs what each owner does, all of them let go at one moment; each has to end well, and without a word. */
async function atOnce(t: ExecutionContext, scratch: ScratchHost, bodies: Readonly<Record<string, string>>) {
	const running = Object.entries(bodies).map(([stack, body]) =>
		scratch.library("ledger", sharedSetting + body, { stack }),
	);
	const ready = Object.keys(bodies).map((stack) => `[ -e ready-${stack} ]`);
	await scratch.bash(`cd '${scratch.root}'; until ${ready.join(" && ")}; do sleep 0.01; done; : >go`);
	for (const { code, stderr } of await Promise.all(running)) {
		t.is(code, 0, stderr);
		t.is(stderr.replaceAll("test: waiting for another step that holds the lock setting", "").trim(), "");
	}
	await scratch.bash(`rm '${scratch.root}'/go '${scratch.root}'/ready-*`);
}

const each = (body: string, who = owners): Record<string, string> =>
	Object.fromEntries(who.map((stack) => [stack, body]));

const ledger = (scratch: ScratchHost, folder = /\/ledger(-copy)?\/./) =>
	Object.keys(scratch.tree()).filter((path) => folder.test(path));
const owned = (scratch: ScratchHost) => ledger(scratch, /\/ledger\/setting\/owners\/./);

test("of first claims at once one notes what was there before, and of last releases at once one puts it back", async (t) => {
	const scratch = host(t);
	await atOnce(t, scratch, each("take"));
	t.is(scratch.read("var/lib/tracelab/ledger/setting/before"), "original");
	t.deepEqual(
		owned(scratch).map((path) => path.split("/").at(-1)),
		owners,
	);
	t.is(scratch.read("setting"), "ours");
	await atOnce(t, scratch, each("give"));
	t.is(scratch.read("setting"), "original");
	t.is(scratch.read("history"), "changed\nback to original\n");
	t.deepEqual(ledger(scratch), []);
});

test("a last release against a new claim: whichever is first, what was there before is not lost", async (t) => {
	const scratch = host(t);
	let last = "first";
	await atOnce(t, scratch, { [last]: "take" });
	for (let round = 0; round < 12; round++) {
		const next = `round-${round}`;
		await atOnce(t, scratch, { [last]: "give", [next]: "take" });
		t.is(scratch.read("setting"), "ours");
		t.is(scratch.read("var/lib/tracelab/ledger/setting/before"), "original");
		t.deepEqual(owned(scratch), [`var/lib/tracelab/ledger/setting/owners/${next}`]);
		last = next;
	}
	await atOnce(t, scratch, { [last]: "give" });
	t.is(scratch.read("setting"), "original");
	t.deepEqual(ledger(scratch), []);
});

test("whoever owns a setting has it, however others come and go meanwhile", async (t) => {
	const scratch = host(t);
	const comeAndGo = `
		for ((round = 0; round < 8; round++)); do
			(take)
			wanted || { say "$stack owns what is not there"; exit 1; }
			(give)
		done`;
	await atOnce(t, scratch, each(comeAndGo));
	t.is(scratch.read("setting"), "original");
	t.deepEqual(ledger(scratch), []);
	// As often as it was changed it was put back, by turns.
	const history = scratch.read("history").trimEnd().split("\n");
	t.true(history.length >= 2);
	history.forEach((line, index) => void t.is(line, index % 2 === 0 ? "changed" : "back to original"));
});

test("owners that are killed at any instant lose nothing: the next ones put the setting back", async (t) => {
	const scratch = host(t);
	// A subshell that holds the lock is killed in the midst of its work, and the work is done again.
	const killed = `
		for ((round = 0; round < 6; round++)); do
			for what in take give; do
				($what) &
				sleep "0.00$((RANDOM % 10))"
				kill -9 $! 2>/dev/null || :
				wait $! 2>/dev/null || :
				($what)
			done
		done`;
	await atOnce(t, scratch, each(killed, owners.slice(0, 4)));
	t.is(scratch.read("setting"), "original");
	t.deepEqual(ledger(scratch), []);
});

asRoot(
	"stacks that come and go at once leave the device open to those that stay, and closed behind the last",
	async (t) => {
		const scratch = host(t);
		const group = 12_345;
		scratch.fake("getent", `[ "$*" = 'group kvm' ] && echo 'kvm:x:${group}:'`);
		const device = scratch.write("dev/kvm", "");
		chownSync(device, 0, 0);
		chmodSync(device, 0o600);
		const state = () => {
			const { mode, gid } = statSync(join(scratch.root, "dev/kvm"));
			return `${(mode & 0o777).toString(8)} ${gid}`;
		};
		const before = scratch.tree(["var", "run"]);
		const all = async (verbs: Readonly<Record<string, "apply" | "remove">>) => {
			const runs = Object.entries(verbs).map(([stack, verb]) => scratch.step("kvm-access", verb, { stack }));
			for (const { code, stderr } of await Promise.all(runs)) t.is(code, 0, stderr);
		};
		const these = (verb: "apply" | "remove", who: readonly string[]) =>
			Object.fromEntries(who.map((stack) => [stack, verb] as const));
		for (let round = 0; round < 6; round++) {
			const [first, second] = [owners.slice(0, 3), owners.slice(3, 6)];
			await all(these("apply", first));
			t.is(state(), `660 ${group}`);
			await all({ ...these("remove", first), ...these("apply", second) });
			t.is(state(), `660 ${group}`);
			await all(these("remove", second));
			t.is(state(), "600 0");
		}
		t.deepEqual(scratch.tree(["var", "run"]), before);
		t.deepEqual(ledger(scratch), []);
	},
);
