import test from "ava";
import type { Verdict } from "../../cli/verify/verify.ts";
import { difference, hostState } from "./host-state.ts";
import { before, host, lab } from "./proof.ts";

async function failures(): Promise<{ code: number; failed: Verdict[]; all: string }> {
	const { code, stdout, all } = await lab("verify", "--json");
	return { code, failed: (JSON.parse(stdout) as Verdict[]).filter(({ verdict }) => verdict !== "pass"), all };
}

test("verify looks at all that the lab claims, and all of it holds", async (t) => {
	const { code, stdout } = await lab("verify");
	t.is(code, 0, stdout);
	t.log(stdout);
	t.regex(stdout, /^\d+ hold, 0 fail$/m);
});

test("verify names a module that was unloaded, and the next up mends it", async (t) => {
	t.is((await lab("exec", "vm", "--", "rmmod", "mymodule")).code, 0);
	const { code, failed, all } = await failures();
	t.is(code, 1);
	t.deepEqual(
		failed.map(({ claim, evidence }) => [claim, evidence]),
		[["its modules are installed, and loaded as built", "module mymodule is not loaded"]],
		all,
	);
	t.is((await lab("up")).code, 0);
	t.deepEqual((await failures()).failed, []);
});

test("what came with the lab listens on loopback alone, and none of its files is writable for all", (t) => {
	const came = difference(before, hostState()).filter((line) => line.startsWith("+ listener "));
	t.true(came.length > 0);
	for (const line of came) t.regex(line, /^\+ listener 127\.0\.0\.1:\d+$/);
	const folders = "/opt/tracelab /var/lib/tracelab /var/cache/tracelab /var/log/tracelab /run/tracelab";
	t.is(host(`find ${folders} -xdev -perm -o+w ! -type l`), "");
});
