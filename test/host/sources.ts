import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { card, copy, domainCard, host, lab, skip, stack, trees } from "./proof.ts";

const file = `stacks/${stack}.yaml`;
const elsewhere = join(copy.folder, "elsewhere");

/** Ups with the module from another source, whose code adds `factor` times the number. */
async function runsFrom(t: ExecutionContext, source: string, factor: number): Promise<void> {
	const before = readFileSync(join(copy.folder, file), "utf8");
	copy.write(file, `${before}modules: { mymodule: { source: ${source} } }\n`);
	t.teardown(() => copy.write(file, before));
	const { code, all } = await lab("up");
	t.is(code, 0, all);
	const ran = await lab("exec", "vm", "--", "sh", "-c", "echo 10 >/proc/mymodule; cat /proc/mymodule");
	t.is(ran.stdout, String(10 * factor));
}

/** A copy of the example whose code adds `factor` times the number. */
function example(factor: number): void {
	host(`rm -rf ${elsewhere}; cp -r ${copy.folder}/examples/mymodule ${elsewhere}`);
	host(`sed -i 's/sum += .*number;/sum += ${factor} * number;/' ${elsewhere}/mymodule.c`);
}

test("a module from a tag of a git repository", async (t) => {
	example(5);
	host(
		`cd ${elsewhere} && git init -q && git add . && git -c user.name=t -c user.email=t@localhost commit -qm one && git tag v1`,
	);
	// What comes after the tag is not asked for.
	host(`cd ${elsewhere} && sed -i 's/5 \\* number/6 * number/' mymodule.c`);
	await runsFrom(t, `"git:file://${elsewhere}#v1"`, 5);
});

test("a module from a tarball, with its checksum", async (t) => {
	example(7);
	const tarball = join(copy.folder, "mymodule.tar.gz");
	host(`tar -C ${copy.folder} -czf ${tarball} elsewhere`);
	const server = createServer((_, response) => response.end(readFileSync(tarball)));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => server.close());
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mymodule.tar.gz`;
	await runsFrom(t, `{ url: "${url}", sha256: ${host(`sha256sum <${tarball}`).split(" ")[0]} }`, 7);
});

test("a module from a person's own working tree, which is never written to", async (t) => {
	example(8);
	host(`echo mine >${elsewhere}/notes`);
	const before = look(elsewhere);
	await runsFrom(t, `"path:${elsewhere}"`, 8);
	t.is(look(elsewhere), before);
});

const look = (folder: string) =>
	host(`cd ${folder} && find . -printf '%p %m %u %T@ %l\\n' -type f -exec sha256sum {} + | sort | sha256sum`);

// What is compiled of these, no cache has, and each is compiled once more without one: three quarters of an hour on two cores.
test("a kernel and a QEMU from a person's own working trees, where an edit compiles what it touches and gives what a build from nothing gives, and a QEMU from a git repository's tag", async (t) => {
	if (process.env["TRACELAB_OWN_TREES"] !== "1")
		return skip(t, "it takes three quarters of an hour: set TRACELAB_OWN_TREES=1");
	t.timeout(7_200_000);
	const [linux, qemu] = [join(copy.folder, "linux"), join(copy.folder, "qemu")];
	const kept = "/var/cache/tracelab/sources/debian";
	host(`mkdir ${linux}; dpkg-deb --fsys-tarfile ${kept}/linux-source-*.deb | tar -xO --wildcards './usr/src/*.tar.xz' |
		tar -xJ -C ${linux} --strip-components=1`);
	host(`dpkg-source --no-check -x ${kept}/qemu_*.dsc ${qemu} && echo 7.2.99 >${qemu}/VERSION && cd ${qemu} && git init -q && git add -Af . &&
		git -c gc.auto=0 -c user.name=t -c user.email=t@localhost commit -qm one && git tag v1`);
	const declare = (tagged: string) =>
		copy.write(
			`stacks/${trees}.yaml`,
			`extends: quickstart
qemu: { main: { source: path:qemu }${tagged} }
kernels: { main: { source: path:linux } }
domains: { vm: { processName: ${trees} } }
`,
		);
	declare("");
	const log = (step: string) => `/var/log/tracelab/${trees}/${step}-main-build.log`;
	const compiled = () => ({
		kernel: Number(host(`grep -cE '^ +(CC|AS) ' ${log("kernel")} || :`)),
		qemu: Number(host(`grep -c 'Compiling C object' ${log("qemu")} || :`)),
	});
	const works = async (...args: string[]) => {
		const { code, all, stdout } = await copy.lab("-s", trees, ...args);
		t.is(code, 0, all);
		return stdout;
	};
	const asTheyWere = async (...args: string[]) => {
		const before = [look(linux), look(qemu)];
		await works(...args);
		t.deepEqual([look(linux), look(qemu)], before);
	};
	const version = () => host(`${domainCard("vm", trees).emulator} --version`);
	await asTheyWere("up");
	const first = compiled();
	t.true(first.kernel > 500 && first.qemu > 500, JSON.stringify(first));
	t.regex(version(), /^QEMU emulator version 7\.2\.99/);
	await works("preview", "--", "--expect-no-changes");
	host(`cat >>${linux}/lib/cmdline.c <<'END'
#include <linux/init.h>
#include <linux/printk.h>
static int __init of_my_own(void)
{
	pr_info("of a tree of my own\\n");
	return 0;
}
late_initcall(of_my_own);
END
sed -i 's/^ *QEMU_COPYRIGHT "\\\\n/&of a tree of my own\\\\n/' ${qemu}/softmmu/vl.c
rm ${log("kernel")} ${log("qemu")}`);
	declare(`, tagged: { source: "git:file://${qemu}#v1" }`);
	await asTheyWere("up");
	t.regex(await works("exec", "vm", "--", "dmesg"), /of a tree of my own/);
	t.regex(version(), /^of a tree of my own$/m);
	const module = dirname(domainCard("vm", trees).modules["mymodule"]?.file ?? "");
	t.is(host(`cat ${module}/.tracelab-build-record/kernel`), card(trees).kernels["main"]?.buildId ?? "none");
	const again = compiled();
	t.log(`compiled after the edit: ${JSON.stringify(again)}; before it: ${JSON.stringify(first)}`);
	t.true(again.kernel < first.kernel / 10 && again.qemu < first.qemu / 10);
	// The tag has nothing of the edit.
	const tagged = `${card(trees).qemu["tagged"]?.prefix}/bin/qemu-system-x86_64`;
	t.regex(host(`${tagged} --version`), /^QEMU emulator version 7\.2\.99/);
	t.notRegex(host(`${tagged} --version`), /of a tree of my own/);
	await works("rebuild", "--check", "kernel-main", "qemu-main");
	await works("verify");
	await asTheyWere("destroy", "--yes");
});
