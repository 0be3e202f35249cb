import test from "ava";
import { didYouMean } from "../../spec/did-you-mean.ts";

const suggests = test.macro({
	title: (_, written: string, expected: string) => `${JSON.stringify(written)}${expected || " suggests nothing"}`,
	exec(t, written: string, expected: string) {
		t.is(didYouMean(written, ["main", "memory", "port", "quickstart", "ust"]), expected);
	},
});

test(suggests, "mian", ' (did you mean "main"?)');
test(suggests, "Main", ' (did you mean "main"?)');
test(suggests, "prot", ' (did you mean "port"?)');
test(suggests, "memroy", ' (did you mean "memory"?)');
test(suggests, "quickstrt", ' (did you mean "quickstart"?)');
test(suggests, "kvm", "");
test(suggests, "network", "");
test(suggests, "", "");
