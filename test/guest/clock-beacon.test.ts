import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa, execaSync } from "execa";
import { project } from "../../cli/host.ts";
import { beaconPort } from "../../spec/beacon-match.ts";
import { asRoot } from "../as-root.ts";

// Its work needs a port that nobody minds: here that is a file, and test/host/clocks.ts has it do that in a guest.

const folder = mkdtempSync(join(tmpdir(), "tracelab-test-"));
const program = join(folder, "clock-beacon");
const warnings = ["-Wall", "-Wextra", "-Werror"];
execaSync("gcc", ["-O2", "-static", ...warnings, "-o", program, `${project}/guest/clock-beacon.c`]);
test.after.always(() => rmSync(folder, { recursive: true }));

const misused = test.macro({
	title: (_, args: string[]) => `clock-beacon ${args.join(" ")} is no use of it`,
	async exec(t, args: string[], stderr: string) {
		const ran = await execa(program, args, { reject: false });
		t.deepEqual([ran.exitCode, ran.stdout, ran.stderr], [2, "", stderr]);
	},
});

const usage = "\n  usage: clock-beacon COUNT INTERVAL_US [PAUSE_US PIDFILE], such as: clock-beacon 100 10000";

test(misused, [], "usage: clock-beacon COUNT INTERVAL_US [PAUSE_US PIDFILE]");
test(misused, ["5"], "usage: clock-beacon COUNT INTERVAL_US [PAUSE_US PIDFILE]");
test(misused, ["5", "one"], `clock-beacon: 'one' is no number up to 3600000000${usage}`);
test(misused, ["--help", "1"], `clock-beacon: '--help' is no number up to 9223372036854775807${usage}`);
test(misused, ["-1", "1"], `clock-beacon: '-1' is no number up to 9223372036854775807${usage}`);
test(misused, ["1", "10ms"], `clock-beacon: '10ms' is no number up to 3600000000${usage}`);
test(misused, ["1", "3600000001"], `clock-beacon: '3600000001' is no number up to 3600000000${usage}`);
test(misused, ["1", "1", "1"], "usage: clock-beacon COUNT INTERVAL_US [PAUSE_US PIDFILE]");
test(misused, ["1", "1", "-1", "pid"], `clock-beacon: '-1' is no number up to 3600000000${usage}`);
test(misused, ["", "1"], `clock-beacon: '' is no number up to 9223372036854775807${usage}`);

/** Runs a script where /dev/port is a file; `$1` is the program, and files are made in the folder. */
async function withPort(script: string): Promise<string> {
	const devices = "mount -t tmpfs tmpfs /dev && mknod -m 666 /dev/null c 1 3 && truncate -s 4096 /dev/port && cd";
	const { stdout } = await execa("unshare", ["-m", "bash", "-ec", `${devices} "$2"\n${script}`, "-", program, folder]);
	return stdout;
}

/** Numbers of beacons, where each was written between its readings, and behind the one before. */
function sequences(t: ExecutionContext, printed: string): number[] {
	const lines = printed.split("\n").map((line) => line.split(" ").map(Number));
	for (const [index, [, before = 0, after = 0]] of lines.entries()) {
		t.true(before <= after, String(index));
		t.true(before >= (lines[index - 1]?.[2] ?? 0), String(index));
	}
	return lines.map(([sequence = -1]) => sequence);
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

asRoot("clock-beacon writes as many beacons as asked, the last with its last eight bits", async (t) => {
	t.deepEqual(sequences(t, await withPort('"$1" 300 10')), upTo(300));
	t.is(await withPort(`"$1" 300 0 >/dev/null; od -A n -t u1 -j ${beaconPort} -N 1 /dev/port`), `  ${299 % 256}`);
});

asRoot(
	"with a pause it goes on in the background, three at a time, until it is asked to end, with as many as at its start",
	async (t) => {
		const printed = await withPort(`"$1" 6 1000 200000 pid >beacons
		wc -l <beacons
		pid=$(<pid); echo "$(</proc/$pid/comm)"
		sleep 1
		kill $pid; sleep 0.01; kill $pid || :
		while grep -qs '^State:.[RSD]' /proc/$pid/status; do sleep 0.02; done
		cat beacons`);
		const [first, name, ...beacons] = printed.split("\n");
		t.true(Number(first) >= 6, first);
		t.is(name, "clock-beacon");
		t.deepEqual(sequences(t, beacons.join("\n")), upTo(beacons.length));
		// Pauses of up to 128 ms, a quarter of a second in all, and then of a fifth each; give or take a quarter.
		t.true(beacons.length >= 6 + 3 * 9 + 6 && beacons.length <= 6 + 3 * 14 + 6, String(beacons.length));
		t.is(beacons.length % 3, 0);
	},
);

asRoot("where it cannot say its process ID it does not go on", async (t) => {
	const printed = await withPort(`"$1" 3 0 1000 no/such/file 2>&1 >/dev/null || echo "exit $?"
		pgrep -f "^$1 3 0 1000" || echo "none is left"`);
	t.is(
		printed,
		`clock-beacon: no/such/file: No such file or directory
  what to do: name a file that can be written
exit 1
none is left`,
	);
});
