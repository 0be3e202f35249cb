import test from "ava";
import fc from "fast-check";
import { countHits, HitReport, readPoints } from "../../../cli/probe/hit-report.ts";

// As SystemTap 4.8 prints it.
const report = `----- probe hit report: 
begin, (many.stp:2:1), hits: 1, cycles: 477334min/477334avg/477334max, variance: 0, from: begin, index: 0
kprobe.function("__x64_sys_openat")?, (/usr/share/systemtap/tapset/linux/sysc_openat.stp:72:48), hits: 26, cycles: 5267min/72315avg/835426max, variance: 466200345120, from: syscall.openat from: syscall.openat, index: 7
kernel.function("vfs_read@/src/fs/read_write.c:450"), (many.stp:7:1), hits: 99, cycles: 2082min/13198avg/422723max, variance: 123226107686, from: kernel.function("vfs_read"), index: 9
kernel.function("vfs_read@/src/fs/read_write.c:450"), (many.stp:9:1), hits: 1, cycles: 2082min/13198avg/422723max, variance: 123226107686, from: kernel.function("vfs_read"), index: 10
----- refresh report:
`;

/** All that is the script's own in these parts, and the report itself. */
function divided(parts: readonly Buffer[]): { own: string; report: HitReport } {
	const divider = new HitReport();
	const own = [...parts.map((part) => divider.take(part)), divider.rest()];
	return { own: Buffer.concat(own).toString(), report: divider };
}

test("the report is no output of the script's, wherever the parts of it end", (t) => {
	const output = "1 ----- probe\n----- probe hit report\n-----";
	const bytes = Buffer.from(output + report);
	fc.assert(
		fc.property(fc.array(fc.nat(bytes.length)), (cuts) => {
			const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
			const whole = divided(at.slice(1).map((end, index) => bytes.subarray(at[index], end)));
			return whole.own === output && whole.report.hits()?.size === 3;
		}),
	);
	t.is(divided([bytes]).own, output);
});

test("hits are counted by probe point", (t) => {
	t.deepEqual(
		[...(divided([Buffer.from(report)]).report.hits() ?? [])],
		[
			["begin", 1],
			['kprobe.function("__x64_sys_openat")?', 26],
			['kernel.function("vfs_read@/src/fs/read_write.c:450")', 100],
		],
	);
});

test("where no report came, nothing is known, and all was the script's", (t) => {
	const { own, report } = divided([Buffer.from("a\n-----")]);
	t.is(own, "a\n-----");
	t.is(report.hits(), undefined);
});

test("what the script waits for is listed with its hits, most often first, and those of none last", (t) => {
	const points = readPoints(
		[
			"begin\tbegin",
			"begin(-9223372036854775808)\tinit",
			'module("m").function("g@/m.c:3")?\tmodule("m").function("*")?',
			'module("m").function("f@/m.c:9")?\tmodule("m").function("*")?',
			'kernel.function("vfs_read@/r.c:4")\tkernel.function("vfs_read")',
			"timer.s(1)\ttimer.s(1)",
			"end\tend",
			"",
		].join("\n"),
	);
	const hits = new Map([
		["begin", 1],
		['module("m").function("g@/m.c:3")?', 2],
		['module("m").function("f@/m.c:9")?', 3],
		["timer.s(1)", 7],
	]);
	t.deepEqual(countHits(points, hits), [
		["timer.s(1)", 7],
		['module("m").function("*")?', 5],
		['kernel.function("vfs_read")', 0],
	]);
});
