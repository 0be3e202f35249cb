import test from "ava";
import { guestPackages, guestPackageTable } from "../../spec/guest-packages.ts";
import { hostPackages, hostPackageTable } from "../../spec/host-packages.ts";

const tables = test.macro({
	title: (_, where: string) => `every package of the ${where} has a Debian name and its why`,
	exec(t, _where: string, table: Readonly<Record<string, string>>, names: readonly string[]) {
		t.deepEqual(names, Object.keys(table).sort());
		for (const [name, why] of Object.entries(table)) {
			// Debian policy 5.6.1.
			t.regex(name, /^[a-z0-9][a-z0-9+.-]+$/);
			t.regex(why, /^\S.{2,}\S$/, name);
			t.false(why.endsWith("."), name);
		}
	},
});

test(tables, "host", hostPackageTable, hostPackages);
test(tables, "guest", guestPackageTable, guestPackages);

test("a guest has what the lab itself needs of it, and little else", (t) => {
	t.deepEqual(guestPackages, [
		"kmod",
		"lttng-tools",
		"procps",
		"qemu-guest-agent",
		"systemd-sysv",
		"systemtap-runtime",
	]);
});

const needs = test.macro({
	title: (_, name: string, why: string) => `a host has ${name}: ${why}`,
	exec(t, name: string, _why: string) {
		t.true(hostPackages.includes(name));
	},
});

test(needs, "xsltproc", "the libvirt provider runs it");
test(needs, "libvirt-clients", "./lab names it where virsh is missing");
test(needs, "gdb", "./lab names it where gdb is missing");
test(needs, "systemtap", "scripts/lib/systemtap.sh names it where stap is missing");
test(needs, "iproute2", "./lab names it where ss is missing");
