import type { ExecutionContext } from "ava";
import { asRoot } from "../../as-root.ts";
import { beacons, diskReads, inOrder } from "../scratch-run.ts";
import { contexts, recordsLines } from "../scratch-trace.ts";
import { recordsReads, wholeLab } from "../verify/whole-lab.ts";

// What a run says of causes and effects at its end.

const traceRun = ["trace", "run", "block-io", "--name", "one", "--", "dd"];
const bounded = /^guest vm is on the host's clock to \d+ ns \(in-band beacon, 90 pairs\)$/;

/** A run whose guest's clock is shifted by so many nanoseconds; returns how it ended, and its last lines. */
async function shifted(t: ExecutionContext, shift: bigint) {
	const { lab } = await wholeLab(t);
	recordsReads(lab, beacons(90).written, { shift });
	const { code, stderr } = await lab.lab(traceRun);
	const lines = stderr.split("\n");
	const at = lines.findIndex((line) => bounded.test(line));
	t.not(at, -1, stderr);
	return { code, said: lines.slice(at + 1) };
}

asRoot("a run says that no effect came before its cause", async (t) => {
	t.deepEqual(await shifted(t, 0n), { code: 0, said: ["causes come first: 20 effects, none before its cause"] });
});

asRoot("a run whose effects come before their causes within the clocks' bound says so", async (t) => {
	t.deepEqual(await shifted(t, 50_500n), {
		code: 0,
		said: ["causes come first: 10 of 20 effects before their causes, by 345 ns at most: within the clocks' bound"],
	});
});

asRoot("a run whose effects come before their causes by more than the clocks' bound is an error", async (t) => {
	t.deepEqual(await shifted(t, 60_000n), {
		code: 1,
		said: [
			"causes come first: 10 of 20 effects before their causes, by 9845 ns at most: over the clocks' bound in 10, where that is false",
			"lab: the guest issues a request (block_rq_issue), then QEMU handles it (virtio_blk_handle_read, …_write): 10 of 10 violated, by 9845 ns at most: over the clocks' bound in 10, where that is false",
			"  what to do: the clock's bound is false there: docs/clocks.md has what it takes for granted, and ./lab clock vm measures it again",
		],
	});
});

asRoot("a run that lost events says that causes and effects are not compared, and why", async (t) => {
	const { lab } = await wholeLab(t);
	lab.write("lttng/losses", "3 4\n");
	const { code, stderr } = await lab.lab(traceRun);
	t.is(code, 0, stderr);
	t.regex(stderr, /^causes and effects are not compared: 14 events and packets were lost$/m);
});

asRoot("a snapshot says why it does not look at the order, and is none the worse for it", async (t) => {
	const { lab } = await wholeLab(t);
	recordsReads(lab, beacons(90).written, { shift: 60_000n });
	const { code, stdout, stderr } = await lab.lab(["trace", "snapshot", "flight", "--name", "f"]);
	t.is(code, 0, stderr);
	t.is(
		stdout.split("\n").at(-1),
		"causes and effects are not compared: each part of a flight recorder begins at a time of its own",
	);
});

asRoot("a run of many events says what would look at their order, since that takes a while", async (t) => {
	const { lab } = await wholeLab(t);
	const { qemu, guest } = diskReads(10, { contexts });
	const written = beacons(90).written.map(([time, text]): [bigint, string] => [
		time,
		text.replace("}, {", `}, ${contexts}{`),
	]);
	const many = Array.from({ length: 500_000 }, (_, index): [bigint, string] => [
		900_200_000_000n + BigInt(index),
		"kernel irq_handler_exit: { cpu_id = 1 }, { }",
	]);
	recordsLines(lab, inOrder(written, qemu), [...guest, ...many]);
	const { code, stderr } = await lab.lab(traceRun);
	t.is(code, 0, stderr);
	t.is(
		stderr.split("\n").at(-1),
		"whether causes come first is not looked at in 500130 events; ./lab events one >/dev/null does",
	);
});
