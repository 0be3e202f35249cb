import { readFileSync, rmSync } from "node:fs";
import test from "ava";
import { host, lab, stack } from "./proof.ts";

const recording = `/var/lib/tracelab/runs/${stack}/recorded`;
const replay = (...commands: string[]) =>
	lab("replay", "recorded", "--batch", ...commands.flatMap((command) => ["-ex", command]));

test("a boot and a command are recorded, and replayed to the nanosecond", async (t) => {
	rmSync(recording, { recursive: true, force: true });
	const command =
		"cat /proc/mymodule; date +%s.%N; echo 40 >/proc/mymodule; echo 2 >/proc/mymodule; cat /proc/mymodule; date +%s.%N; exit 3";
	const { code, stdout, stderr } = await lab("record", "--name", "recorded", "vm", "--", "sh", "-c", command);
	t.is(code, 3, stderr);
	t.log(stdout);
	t.regex(stdout, /^0\n\d{10}\.\d{9}\n42\n\d{10}\.\d{9}$/);
	const { code: ended, all } = await replay("continue");
	t.is(ended, 0, all);
	const [recorded, replayed] = ["console.log", "replayed-console.log"].map((file) =>
		readFileSync(`${recording}/${file}`, "latin1"),
	);
	t.true(recorded?.includes(stdout.split("\n").at(-1) ?? ""));
	t.is(replayed, recorded);
});

test("a replay goes back: to the breakpoint before, by a step, and to the start", async (t) => {
	const { code, all } = await replay(
		...["break start_kernel", "break run_init_process", "continue", "continue", 'printf "at %s\\n", init_filename'],
		...["reverse-stepi", 'printf "before: %p\\n", $pc', "stepi", "reverse-continue", "bt 1", "reverse-continue"],
		...['printf "start: %p\\n", $pc', "continue", "bt 1"],
	);
	t.is(code, 0, all);
	t.log(all);
	t.regex(all, /at \/bin\/sh\n/);
	t.regex(all, /kernel_init \(unused=.*\n.*run_init_process\(execute_command\);\nbefore: 0xffffffff/);
	const hits = [...all.matchAll(/^Breakpoint (\d), /gm)].map(([, number]) => number);
	t.deepEqual(hits, ["1", "2", "2", "1", "1"]);
	t.regex(all, /start: 0xfff0\n/);
	t.is(host("ls -d /tmp/tracelab-replay-* 2>/dev/null | wc -l"), "0");
	rmSync(recording, { recursive: true });
});
