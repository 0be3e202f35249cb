import test from "ava";
import { defaultProcessName } from "../../spec/process-name.ts";

const names = test.macro({
	title: (_, stack: string, domain: string, name: string) => `${stack} and ${domain} are ${name}`,
	exec(t, stack: string, domain: string, name: string) {
		t.is(defaultProcessName(stack, domain), name);
		// The kernel keeps no more.
		t.true(Buffer.byteLength(name) <= 15);
	},
});

test(names, "quickstart", "vm", "quickstart-vm");
test(names, "quickstart", "vm12", "quickstart-vm12");
test(names, "quickstart", "vm123", "vm123");
test(names, "a-stack-of-31-letters-of-the-abc", "vm", "vm");
test(names, "s", "a-domain-of-many-letters", "a-domain-of-man");
