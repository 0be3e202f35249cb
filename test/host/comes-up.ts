import { readFileSync, readlinkSync } from "node:fs";
import test from "ava";
import { card, copy, domainCard, host, lab, libvirtName, pidOf, stack } from "./proof.ts";

test("pulumi preview of a new stack shows what up would make, and changes nothing", async (t) => {
	await copy.pulumi(`stack select --create ${stack}`);
	const { code, all } = await copy.pulumi("preview");
	t.is(code, 0, all);
	t.regex(all, /tracelab:lab:TracedDomain +domain-vm +create/);
	t.regex(all, /acceleration of vm is (kvm|tcg): \S/);
	t.throws(() => card());
});

test("pulumi up brings the lab up", async (t) => {
	const { code, all } = await copy.pulumi("up --yes --skip-preview");
	t.is(code, 0, all);
	t.log(all.split("\n").slice(-4).join("\n"));
});

test("a second up has nothing to do", async (t) => {
	const { code, all } = await copy.pulumi("up --yes --skip-preview --expect-no-changes");
	t.is(code, 0, all);
	t.notRegex(all, /warning/);
});

test("the domain's process is this lab's QEMU, under its name", (t) => {
	const { emulator } = domainCard();
	const pid = pidOf();
	t.regex(emulator, /^\/opt\/tracelab\/qemu\/[0-9a-f]{16}\/bin\/qemu-system-x86_64$/);
	t.is(readlinkSync(`/proc/${pid}/exe`), emulator);
	t.is(host(`pgrep -x ${stack}-vm`), pid);
	t.is(host(`ps -o user= -p ${pid}`).trim(), "libvirt-qemu");
});

test("lttng lists over 4,000 QEMU tracepoints in the domain that libvirt started", (t) => {
	const listed = host("lttng list -u").split(/^PID: /m);
	const ours = listed.find((text) => text.startsWith(`${pidOf()} `)) ?? "";
	const tracepoints = ours.match(/^ +qemu:\w+ /gm)?.length ?? 0;
	t.log(`${tracepoints} tracepoints`);
	t.true(tracepoints > 4000, String(tracepoints));
});

test("the running kernel, gdb's vmlinux and the module are of one build", async (t) => {
	const kernel = card().kernels["main"];
	const buildId = host(`readelf -n ${kernel?.vmlinux} | awk '/Build ID:/ {print $3}'`);
	const notes = await lab("exec", "vm", "--", "od", "-An", "-v", "-tx1", "/sys/kernel/notes");
	t.regex(notes.stdout.replace(/\s/g, ""), new RegExp(`474e5500${buildId}`));
	const release = (await lab("exec", "vm", "--", "uname", "-r")).stdout;
	t.like(kernel, { buildId, release });
	const { file } = domainCard().modules["mymodule"] ?? { file: "" };
	t.is(host(`modinfo -F vermagic ${file}`).split(" ")[0], release);
});

test("the card has the kernel's command line and QEMU's version", async (t) => {
	const { qemu, emulator, commandLine } = domainCard();
	t.is((await lab("exec", "vm", "--", "cat", "/proc/cmdline")).stdout, commandLine);
	t.regex(host(`${emulator} --version`), new RegExp(`^QEMU emulator version ${card().qemu[qemu]?.version}\\s`));
});

test("the module is installed and loaded, and its code runs", async (t) => {
	const where = await lab("exec", "vm", "--", "modinfo", "-n", "mymodule");
	t.regex(where.stdout, /^\/lib\/modules\/[^/]+\/extra\/mymodule\.ko$/);
	const ran = await lab(
		"exec",
		"vm",
		"--",
		"sh",
		"-c",
		"echo 40 >/proc/mymodule; echo 2 >/proc/mymodule; cat /proc/mymodule",
	);
	t.is(ran.stdout, "42");
});

test("gdb stops the guest's kernel at a breakpoint and shows its source", async (t) => {
	const { code, all } = await lab(
		"gdb",
		"vm",
		"--batch",
		...["-ex", "hbreak tick_do_update_jiffies64", "-ex", "continue", "-ex", "bt 2", "-ex", "list", "-ex", "lx-version"],
	);
	t.is(code, 0, all);
	const stopped = /hit Breakpoint 1.*tick_do_update_jiffies64 \(now=\d+\) at .*kernel\/time\/tick-sched\.c:(\d+)/;
	t.regex(all, stopped);
	const line = Number(stopped.exec(all)?.[1]);
	const { prefix } = card().kernels["main"] ?? {};
	const source = readFileSync(`${prefix}/source/kernel/time/tick-sched.c`, "utf8").split("\n");
	// When it stops, gdb shows one line; the others are what `list` shows.
	const around = [line - 1, line, line + 1].map((number) => `${number}\t${source[number - 1]}\n`);
	t.true(all.includes(around.join("")), all);
	t.regex(all, /Linux version 6\.1/);
	t.is(host(`find ${prefix} -name __pycache__`), "");
});

test("gdb knows a loaded module's symbols and stops in its code", async (t) => {
	const running = lab(
		"gdb",
		"vm",
		"--batch",
		"-ex",
		"hbreak myfunction",
		"-ex",
		"continue",
		"-ex",
		"info args",
		"-ex",
		"bt 1",
	);
	// Written again and again, since nobody says when gdb has set its breakpoint.
	const write = "until [ -e /run/seen ]; do echo 7 >/proc/mymodule; sleep 0.5; done";
	const writing = lab("exec", "--timeout", "60", "vm", "--", "sh", "-c", write);
	const { code, all } = await running;
	t.is(code, 0, all);
	t.regex(all, /hit Breakpoint 1.*myfunction \(number=7\) at .*mymodule\.c:\d+/);
	await lab("exec", "vm", "--", "touch", "/run/seen");
	const wrote = await writing;
	t.is(wrote.code, 0, wrote.all);
});

test("what listens, listens on 127.0.0.1", (t) => {
	const addresses = host(`ss -Hltnp | grep 'pid=${pidOf()},' | awk '{print $4}'`).split("\n");
	t.deepEqual(addresses, ["127.0.0.1:12340"]);
	t.is(host(`virsh -c qemu:///system domiflist ${libvirtName} | grep -c network || :`), "0");
});
