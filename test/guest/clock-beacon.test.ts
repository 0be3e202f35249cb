import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa, execaSync } from "execa";
import { project } from "../../cli/host.ts";

// Its work needs a port that nobody minds: test/host/clocks.ts has it do that in a guest.

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

const usage = "\n  usage: clock-beacon COUNT INTERVAL_US [FIRST], such as: clock-beacon 100 10000";

test(misused, [], "usage: clock-beacon COUNT INTERVAL_US [FIRST]");
test(misused, ["5"], "usage: clock-beacon COUNT INTERVAL_US [FIRST]");
test(misused, ["5", "1", "one"], `clock-beacon: 'one' is no number up to 4611686018427387903${usage}`);
test(misused, ["--help", "1"], `clock-beacon: '--help' is no number up to 9223372036854775807${usage}`);
test(misused, ["-1", "1"], `clock-beacon: '-1' is no number up to 9223372036854775807${usage}`);
test(misused, ["1", "10ms"], `clock-beacon: '10ms' is no number up to 3600000000${usage}`);
test(misused, ["1", "3600000001"], `clock-beacon: '3600000001' is no number up to 3600000000${usage}`);
test(misused, ["", "1"], `clock-beacon: '' is no number up to 9223372036854775807${usage}`);
