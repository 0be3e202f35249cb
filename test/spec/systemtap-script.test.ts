import test from "ava";
import { correctionLines, systemtapCorrections } from "../../spec/systemtap-corrections.ts";
import { probedModules, probeModule } from "../../spec/systemtap-script.ts";

test("a probe's module has a name that the kernel takes, and that is not its target's", (t) => {
	t.is(probeModule("mymodule"), "stap_mymodule");
	t.is(probeModule("open-and-close"), "stap_open_and_close");
});

const named = test.macro({
	title: (_, text: string, names: string[]) => `${text} depends on ${names.join(" and ") || "no module"}`,
	exec(t, text: string, names: string[]) {
		const builds = { first: "/opt/1", "other-one": "/opt/2" };
		t.deepEqual(Object.keys(probedModules(text, builds)), names);
	},
});

test(named, 'probe module("first").function("f") { }', ["first"]);
test(named, 'probe module("other_one").function("f") { }', ["other-one"]);
test(named, 'probe begin { println(@cast(1, "x", "other-one")) }', ["other-one"]);
test(named, 'probe module("of_a_set").function("f") { }', ["first", "other-one"]);
test(named, 'probe module("f*").function("f") { }', ["first", "other-one"]);
test(named, 'probe kernel.function("vfs_*") { }', []);

test("each correction says what, where and why, in words that a line can hold", (t) => {
	for (const { file, word, now, header, why } of systemtapCorrections) {
		for (const text of [file, word, now, header]) t.regex(text, /^[\w./-]+$/);
		t.regex(why, /^[0-9a-f]{12} \(\d+\.\d+/);
		t.not(word, now);
	}
	t.is(correctionLines.split("\n").length, systemtapCorrections.length);
	t.is(correctionLines, "stp_task_work.c task_work_cancel task_work_cancel_func include/linux/task_work.h");
});
