import test from "ava";
import { changed } from "./changed.ts";
import { bootId, card, copy, domainCard, lab, pidOf, stack } from "./proof.ts";

const source = "examples/mymodule/mymodule.c";

test("an edited module runs in the guest after one up: no reboot, no new image, nothing else built", async (t) => {
	const [pid, boot, image] = [pidOf(), await bootId(), card().images["main"]?.prefix];
	copy.edit(source, "sum += number;", "sum += 2 * number;");
	const { code, all } = await lab("up");
	t.is(code, 0, all);
	const ran = await lab("exec", "vm", "--", "sh", "-c", "echo 21 >/proc/mymodule; cat /proc/mymodule");
	t.is(ran.stdout, "42");
	t.is(pidOf(), pid);
	t.is(await bootId(), boot);
	t.is(card().images["main"]?.prefix, image);
	t.deepEqual(changed(all), ["card", "domain-vm-module-load", "domain-vm-share", "module-mymodule-build"]);
});

test("a module that does not compile is an error with the compiler's words, and the guest keeps the last one", async (t) => {
	copy.edit(source, "sum += 2 * number;", "sum += 2 * nunber;");
	const { code, all } = await lab("up");
	t.not(code, 0);
	t.regex(all, /tracelab: module-mymodule-build: building module mymodule failed/);
	t.regex(all, /mymodule\.c:\d+:\d+: error: .*nunber.* undeclared/);
	t.regex(all, /what to do: mend what the log shows, then run up again/);
	const ran = await lab("exec", "vm", "--", "sh", "-c", "echo 4 >/proc/mymodule; cat /proc/mymodule");
	t.is(ran.stdout, "50");
	copy.edit(source, "sum += 2 * nunber;", "sum += 3 * number;");
	const mended = await lab("up");
	t.is(mended.code, 0, mended.all);
	const after = await lab("exec", "vm", "--", "sh", "-c", "echo 4 >/proc/mymodule; cat /proc/mymodule");
	t.is(after.stdout, "12");
});

test("another kernel is another kernel, module, and domain, and nothing else", async (t) => {
	const file = `stacks/${stack}.yaml`;
	copy.edit(file, "domains:", "kernels: { main: { config: [CONFIG_LOCALVERSION_AUTO=n] } }\ndomains:");
	const { code, all } = await lab("preview");
	copy.edit(file, "kernels: { main: { config: [CONFIG_LOCALVERSION_AUTO=n] } }\n", "");
	t.is(code, 0, all);
	t.deepEqual(changed(all), [
		...["card", "domain-vm-domain", "domain-vm-guest", "domain-vm-hypervisor-facts", "domain-vm-module-load"],
		"domain-vm-share",
		...["kernel-main-build", "module-lttng-build", "module-mymodule-build"],
	]);
	// How long the last one took is known only where it was built since the cache was made.
	t.regex(all, /^ {2}kernel-main-build: builds kernel main again/m);
	t.regex(all, /^ {2}domain-vm-domain: restarts vm \(\d+.* last time\)$/m);
	t.is(domainCard().kernel, "main");
});
