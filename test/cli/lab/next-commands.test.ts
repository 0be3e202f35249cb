import test, { type ExecutionContext } from "ava";
import { nextCommands } from "../../../cli/lab/next-commands.ts";
import type { LabCard } from "../../../spec/lab-card.ts";
import { card } from "../scratch-lab.ts";

const { vm, held } = card.domains;
if (vm === undefined || held === undefined) throw new Error("the card of the tests is broken");

const shows = test.macro((t: ExecutionContext, changes: Partial<LabCard>, lines: readonly string[]) => {
	const pinned = { ...card.hashes, lock: "6f".repeat(32) };
	t.deepEqual(nextCommands({ ...card, hashes: pinned, ...changes }).split("\n"), ["what to try next:", ...lines]);
});

test(
	"one domain needs no option that names it, and a stack's probe is among what to try",
	shows,
	{
		domains: { vm },
		probes: { mymodule: { domain: "vm", script: "/mymodule.stp", prefix: "/opt/tracelab/probe/0", module: "stap_0" } },
	},
	[
		"  ./lab verify                                       all that the lab claims to be, looked at now",
		"  ./lab trace run block-io -- sh -c 'touch /; sync'  a write, in the guest and in QEMU",
		"  ./lab gdb vm                                       its kernel, in gdb",
		"  ./lab probe run mymodule                           SystemTap in the guest's kernel",
		"  ./lab --help                                       all else",
	],
);

test("a guest that waits for gdb comes first, and is not traced", shows, { stack: "debug", domains: { vm: held } }, [
	"  ./lab -s debug gdb vm  its kernel, which waits for gdb to let it go",
	"  ./lab -s debug verify  all that the lab claims to be, looked at now",
	"  ./lab -s debug --help  all else",
]);

test("of several domains, the one that runs is traced", shows, {}, [
	"  ./lab gdb held                                           its kernel, which waits for gdb to let it go",
	"  ./lab verify                                             all that the lab claims to be, looked at now",
	"  ./lab trace run block-io -d vm -- sh -c 'touch /; sync'  a write, in the guest and in QEMU",
	"  ./lab --help                                             all else",
]);

const { lock: _, ...open } = card.hashes;
test("where nothing of the stack is pinned, that is said, with what pins it", shows, { hashes: open, domains: {} }, [
	"  ./lab verify  all that the lab claims to be, looked at now",
	"  ./lab lock    pins the builds, which nothing does yet",
	"  ./lab --help  all else",
]);

test("a lab without domains has nothing to trace or to debug", shows, { domains: {} }, [
	"  ./lab verify  all that the lab claims to be, looked at now",
	"  ./lab --help  all else",
]);
