import { execFileSync } from "node:child_process";
import test from "ava";
import { exchangeLines, hostClock, readExchanges } from "../../../cli/clock/system-clock.ts";

test("the host's own clocks are read to some microseconds, without being root", (t) => {
	delete process.env["TRACELAB_ROOT"];
	const { clocksource, bootId, offset, offsetBound } = hostClock();
	t.regex(clocksource, /^[\w-]+$/);
	t.regex(bootId, /^[\da-f-]{36}$/);
	t.true(offsetBound >= 0 && offsetBound < 1_000_000, String(offsetBound));
	const before = process.hrtime.bigint();
	const wall = BigInt(execFileSync("date", ["+%s%N"], { encoding: "utf8" }).trim());
	const after = process.hrtime.bigint();
	t.true(wall - after <= offset + BigInt(offsetBound), `${wall - after} ${offset}`);
	t.true(wall - before >= offset - BigInt(offsetBound), `${wall - before} ${offset}`);
});

test("exchanges come back from their lines, but for one that is cut off", (t) => {
	const pairs = [
		{ guest: [1n, 3001n], host: [9_007_199_254_740_993n, 9_007_199_254_740_995n] },
		{ guest: [5n, 3005n], host: [9_007_199_254_740_999n, 9_007_199_254_741_001n] },
	] as const;
	const lines = exchangeLines(pairs);
	t.is(lines.split("\n")[0], "1 3001 9007199254740993 9007199254740995");
	t.deepEqual(readExchanges(lines), [...pairs]);
	t.deepEqual(readExchanges(`${lines}7 8 9 1`), [...pairs]);
});
