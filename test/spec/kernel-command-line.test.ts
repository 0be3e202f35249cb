import test from "ava";
import { commandLineMaps, kernelCommandLine } from "../../spec/kernel-command-line.ts";

test("a stack's arguments come after the lab's, in their order, so that they win", (t) => {
	t.is(
		kernelCommandLine("vm", ["console=tty0", "quiet"]),
		"root=/dev/vda rw console=ttyS0 nokaslr systemd.hostname=vm console=tty0 quiet",
	);
});

const maps = test.macro({
	title: (_, line: string) => `what libvirt's provider reads back of: ${line}`,
	exec(t, line: string, expected: Record<string, string>[]) {
		t.deepEqual(commandLineMaps(line), expected);
	},
});

test(maps, "", []);
test(maps, "quiet", [{ _: "quiet" }]);
test(maps, "a=1 quiet b=2 rw", [{ a: "1", b: "2" }, { _: "quiet rw" }]);
test(maps, "console=tty0 a=1 console=ttyS0", [{ console: "tty0", a: "1" }, { console: "ttyS0" }]);
test(maps, "a=b=c init=", [{ a: "b=c", init: "" }]);
