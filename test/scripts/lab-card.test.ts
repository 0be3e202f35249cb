import { statSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { ScratchHost } from "./run-step.ts";

const step = "lab-card";
const path = "var/lib/tracelab/labs/quick.json";
const card = JSON.stringify({ stack: "quick", text: 'it\'s "$HOME" `id` \\ ü\n' }, null, "\t");

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("etc/hosts", "");
	return scratch;
}

test("a card is written as it is, once, and goes", async (t) => {
	const scratch = host(t);
	const before = scratch.tree();
	const sentence = `the lab card ${scratch.root}/${path} is not what the stack says`;
	t.is((await scratch.step(step, "probe", { card })).stdout["drift"], sentence);
	const first = await scratch.step(step, "apply", { card });
	t.is(first.stderr, `lab-card: wrote the lab card ${scratch.root}/${path}`);
	t.deepEqual(first.stdout, {});
	t.is(scratch.read(path), `${card}\n`);
	t.is(statSync(`${scratch.root}/${path}`).mode & 0o777, 0o644);
	t.is((await scratch.step(step, "probe", { card })).stdout["drift"], "");
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", { card });
	t.is(second.stderr, "lab-card: the lab card is up to date");
	t.deepEqual(second.stdout, first.stdout);
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "remove", { card })).code, 0);
	t.deepEqual(scratch.tree(), before);
});

test("a card that was edited by hand is drift, and is written again", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", { card });
	scratch.write(path, `${card}\n\n`);
	t.regex((await scratch.step(step, "probe", { card })).stdout["drift"] ?? "", /is not what the stack says$/);
	await scratch.step(step, "apply", { card });
	t.is(scratch.read(path), `${card}\n`);
});

test("a card that ends in a line's end is no drift for ever", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", { card: "{}\n" });
	t.is((await scratch.step(step, "probe", { card: "{}\n" })).stdout["drift"], "");
});

test("the cards of other stacks stay", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", { card, stack: "other" });
	const others = scratch.tree();
	await scratch.step(step, "apply", { card });
	await scratch.step(step, "remove", { card });
	t.deepEqual(scratch.tree(), others);
});

test("a step that is killed while it writes leaves the old card whole", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", { card: "old" });
	scratch.fake("mv", "kill -9 $PPID");
	t.not((await scratch.step(step, "apply", { card })).code, 0);
	t.is(scratch.read(path), "old\n");
	scratch.fake("mv", 'exec /bin/mv "$@"');
	t.is((await scratch.step(step, "apply", { card })).code, 0);
	t.is(scratch.read(path), `${card}\n`);
});
