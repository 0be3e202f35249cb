import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { clockRecordSchema } from "../../spec/clock-record.ts";
import { runSchema } from "../../spec/run.ts";
import { card, copy, domainCard, host, killed, lab, paused, pidOf, stack, two } from "./proof.ts";
import { readDisk } from "./traced.ts";

test("a stack paused at boot waits for gdb, which sees the kernel from its start; then its guest comes up", async (t) => {
	copy.write(`stacks/${paused}.yaml`, `extends: debug\ndomains: { vm: { processName: ${paused} } }\n`);
	const { code, all } = await copy.lab("-s", paused, "up");
	t.is(code, 0, all);
	t.notRegex(all, /(qemu|kernel|image)-main-build.*built in/);
	t.is(host(`virsh -c qemu:///system domstate ${paused}-vm`).trim(), "paused");
	const again = await copy.lab("-s", paused, "preview", "--", "--expect-no-changes");
	t.is(again.code, 0, again.all);
	const gdb = await copy.lab(
		"-s",
		paused,
		"gdb",
		"vm",
		"--batch",
		"-ex",
		"break do_init_module",
		"-ex",
		"continue",
		"-ex",
		"delete",
	);
	t.is(gdb.code, 0, gdb.all);
	t.regex(gdb.all, /hit Temporary breakpoint 1.*start_kernel \(\) at .*init\/main\.c:\d+/);
	// Before the module's own code runs, gdb has its symbols.
	t.regex(gdb.all, /loading @0x[0-9a-f]+: \S+\/mymodule\.ko\n[\s\S]*hit Breakpoint 2, do_init_module/);
	const after = await copy.lab("-s", paused, "up");
	t.is(after.code, 0, after.all);
	const ran = await copy.lab("-s", paused, "exec", "vm", "--", "cat", "/proc/mymodule");
	t.is(ran.stdout, "0", ran.all);
});

test("stacks that come up at once build what they share once; a second up of one says who is at it; one's destroy leaves the others whole", async (t) => {
	// These were never up, and choose no gdb port.
	const fresh = [killed, two];
	for (const one of fresh)
		copy.write(`stacks/${one}.yaml`, `extends: quickstart\ndomains: { vm: { processName: ${one} } }\n`);
	copy.edit("examples/mymodule/mymodule.c", "MODULE_LICENSE", `/* at once, ${Date.now()} */\nMODULE_LICENSE`);
	const all = [stack, ...fresh];
	const going = all.map((one) => copy.lab("-s", one, "up"));
	const locks = `${copy.folder}/.state/.pulumi/locks/organization/tracelab/${stack}`;
	while (!existsSync(locks) || readdirSync(locks).length === 0) await new Promise((done) => setTimeout(done, 20));
	const second = await copy.lab("-s", stack, "up");
	t.not(second.code, 0);
	t.regex(second.all, new RegExp(`pulumi is at work on stack "${stack}" already: process \\d+ of root on .*, since `));
	const ups = await Promise.all(going);
	for (const { code, all } of ups) t.is(code, 0, all);
	t.is(ups.filter(({ all }) => /module mymodule built in/.test(all)).length, 1, ups.map(({ all }) => all).join("\n"));
	t.is(new Set(all.map((one) => domainCard("vm", one).gdb.port)).size, all.length);
	const builds = (of: string) => [card(of).qemu, card(of).kernels, card(of).images, domainCard("vm", of).modules];
	for (const one of fresh) t.deepEqual(builds(one), builds(stack));
	const destroyed = await copy.lab("-s", killed, "destroy", "--yes");
	t.is(destroyed.code, 0, destroyed.all);
	for (const one of [stack, two]) {
		const { code, all } = await copy.lab("-s", one, "verify");
		t.is(code, 0, all);
	}
	const last = await copy.lab("-s", two, "destroy", "--yes");
	t.is(last.code, 0, last.all);
});

test("a domain that is renamed comes up on the gdb port that it was given", async (t) => {
	const quickstart = readFileSync(`${copy.folder}/stacks/quickstart.yaml`, "utf8");
	const up = (name: string) => {
		const domain = quickstart.replace("\n  vm:\n", `\n  ${name}:\n    gdb: { port: 12341 }\n`);
		copy.write(`stacks/${killed}.yaml`, domain.replace("processName: quickstart-vm", `processName: ${killed}`));
		return copy.lab("-s", killed, "up");
	};
	const first = await up("vm");
	t.is(first.code, 0, first.all);
	const { code, all } = await up("renamed");
	t.is(code, 0, all);
	t.true(all.includes(`stopped ${killed}-vm, whose gdb port 12341 is ${killed}-renamed's now\n`), all);
	t.is(domainCard("renamed", killed).gdb.port, 12341);
	t.is(host(`virsh -c qemu:///system list --all --name | grep ^${killed}-`), `${killed}-renamed`);
	const second = await copy.lab("-s", killed, "preview", "--", "--expect-no-changes");
	t.is(second.code, 0, second.all);
	const destroyed = await copy.lab("-s", killed, "destroy", "--yes");
	t.is(destroyed.code, 0, destroyed.all);
});

test("two domains have two gdbstubs, and two stacks share what they both build", (t) => {
	t.not(domainCard("vm", paused).gdb.port, domainCard().gdb.port);
	t.is(card(paused).qemu["main"]?.prefix, card().qemu["main"]?.prefix);
});

// TRACELAB_VERSIONS=1: the builds of versions are as it is shipped.
const asShipped = process.env["TRACELAB_VERSIONS"] === "1";

test("a stack with a second QEMU and a second kernel runs a domain on each", async (t) => {
	// Else as it has them, but for what makes every file compile anew: a line that the kernel's configuration has
	// already, an option that QEMU's linker alone sees. So the compiler cache has nearly all of both.
	const cached = `qemu:
  logging: { traceBackends: [ust], configure: ["--extra-ldflags=-Wl,-O1"] }
kernels:
  preempt: { config: [CONFIG_KPROBES=y] }
`;
	copy.write(
		`stacks/${two}.yaml`,
		`extends: versions
${asShipped ? "" : cached}domains:
  vm: { processName: two-vm }
  other: { processName: two-other }
`,
	);
	const { code, all } = await copy.lab("-s", two, "up");
	t.is(code, 0, all);
	const [vm, other] = [domainCard("vm", two), domainCard("other", two)];
	t.not(vm.emulator, other.emulator);
	t.is(readlinkSync(`/proc/${pidOf(`${two}-vm`)}/exe`), vm.emulator);
	t.is(readlinkSync(`/proc/${pidOf(`${two}-other`)}/exe`), other.emulator);
	t.is(host("pgrep -x two-other"), pidOf(`${two}-other`));
	const { kernels } = card(two);
	t.not(kernels["main"]?.prefix, kernels["preempt"]?.prefix);
	for (const [domain, kernel] of [
		["vm", "main"],
		["other", "preempt"],
	] as const) {
		const booted = host(`virsh -c qemu:///system dumpxml ${two}-${domain} | sed -n 's/ *<kernel>\\(.*\\)<.*/\\1/p'`);
		t.is(booted, `${kernels[kernel]?.prefix}/bzImage`);
		t.is((await copy.lab("-s", two, "exec", domain, "--", "uname", "-r")).code, 0);
	}
	const listed = host("lttng list -u");
	for (const domain of ["vm", "other"]) t.regex(listed, new RegExp(`^PID: ${pidOf(`${two}-${domain}`)} `, "m"));
	const second = await copy.lab("-s", two, "preview", "--", "--expect-no-changes");
	t.is(second.code, 0, second.all);
	if (!asShipped) return;
	t.regex(readFileSync(`${kernels["preempt"]?.prefix}/config`, "utf8"), /^CONFIG_PREEMPT=y$/m);
	const logs = (state: "on" | "off") =>
		host(
			`virsh -c qemu:///system qemu-monitor-command ${two}-other --hmp 'trace-event virtio_blk_handle_read ${state}'`,
		);
	logs("on");
	t.is((await copy.lab("-s", two, "exec", "other", "--", ...readDisk(5))).code, 0);
	logs("off");
	// It gets there by virtlogd.
	host(
		`for i in $(seq 100); do ! grep -q virtio_blk_handle_read /var/log/libvirt/qemu/${two}-other.log || exit 0; sleep 0.1; done; exit 1`,
	);
});

test("two domains are debugged at once, each on its own kernel", async (t) => {
	const gdb = (domain: string) =>
		copy.lab(
			...["-s", two, "gdb", domain, "--batch", "-ex", "hbreak tick_do_update_jiffies64", "-ex", "continue"],
			// Neither is let go before the other has come as far.
			...[
				"-ex",
				`shell touch ${stopped}/${domain}; for i in $(seq 600); do [ -e ${stopped}/vm ] && [ -e ${stopped}/other ] && break; sleep 0.1; done`,
			],
			...["-ex", `shell ls ${stopped}`, "-ex", "bt 1", "-ex", "lx-version"],
		);
	const stopped = mkdtempSync(join(tmpdir(), "tracelab-stopped-"));
	t.teardown(() => rmSync(stopped, { recursive: true }));
	const [vm, other] = await Promise.all([gdb("vm"), gdb("other")]);
	for (const { code, all } of [vm, other]) {
		t.is(code, 0, all);
		t.regex(all, /hit Breakpoint 1.*tick_do_update_jiffies64 \(now=\d+\)/);
		t.regex(all, /^other\nvm$/m);
	}
	const { kernels } = card(two);
	const source = (kernel: string) => `${kernels[kernel]?.prefix}/source/kernel/time/tick-sched.c:`;
	t.true(vm.all.includes(source("main")) && !vm.all.includes(source("preempt")), vm.all);
	t.true(other.all.includes(source("preempt")) && !other.all.includes(source("main")), other.all);
	for (const { all } of [vm, other]) t.regex(all, /^Linux version 6\.1\.\d+ /m);
});

test("two domains are traced at once, each on a clock of its own, and verify holds for both", async (t) => {
	t.timeout(900_000);
	const folder = `/var/lib/tracelab/runs/${two}`;
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	const onOther = (script: string) => copy.lab("-s", two, "exec", "other", "--", "sh", "-c", script);
	const read = readDisk(5).join(" ");
	// The command of a run is the first domain's: the other one works beside it, for half an hour at most.
	const work = `for i in $(seq 3600); do [ -e /run/working ] || break; ${read}; sleep 0.5; done`;
	const beside = await onOther(`touch /run/working; setsid sh -c '${work}' >/dev/null 2>&1 </dev/null &`);
	t.is(beside.code, 0, beside.all);
	const { code, all } = await copy.lab(
		...["-s", two, "trace", "run", "-d", "vm", "-d", "other", "--name", "both", "--clock-bound", "1000000"],
		...["block-io", "--", "sh", "-c", `for i in $(seq 20); do ${read}; sleep 0.2; done`],
	);
	t.is((await onOther("rm /run/working")).code, 0);
	t.log(all);
	t.is(code, 0, all);
	const { layers, domains } = runSchema.parse(JSON.parse(readFileSync(`${folder}/both/run.json`, "utf8")));
	t.deepEqual(
		layers.map(({ layer, domain }) => [layer, domain]),
		[
			["qemu", undefined],
			["guest", "vm"],
			["guest", "other"],
		],
	);
	for (const { layer, domain, events } of layers.slice(1))
		t.true((events["block_rq_complete"] ?? 0) > 0, `${layer} ${domain}`);
	const pids = ["vm", "other"].map((name) => pidOf(`${two}-${name}`));
	t.deepEqual(
		Object.values(domains).map(({ pid }) => String(pid)),
		pids,
	);
	for (const pid of pids) {
		const handled = host(`babeltrace2 ${folder}/both/qemu | grep -c 'virtio_blk_handle_read.* vpid = ${pid},' || :`);
		t.true(Number(handled) > 0, `${pid}: ${handled}`);
	}
	const { guests } = clockRecordSchema.parse(JSON.parse(readFileSync(`${folder}/both/clock.json`, "utf8")));
	t.deepEqual(Object.keys(guests).sort(), ["other", "vm"]);
	t.not(guests["vm"]?.reference.guest, guests["other"]?.reference.guest);
	for (const [name, { method, pairs }] of Object.entries(guests)) {
		t.is(method, "in-band beacon", name);
		t.true(pairs >= 60, `${name}: ${pairs}`);
		t.regex(
			all,
			new RegExp(`^guest ${name} is on the host's clock to \\d+ ns \\(in-band beacon, ${pairs} pairs\\)$`, "m"),
		);
	}
	t.regex(all, /^causes come first: \d{3,} effects, none before its cause$/m);
	const verified = await copy.lab("-s", two, "verify");
	t.is(verified.code, 0, verified.all);
	for (const name of ["vm", "other"])
		t.regex(verified.stdout, new RegExp(`^${name} +pass +host and guest are on one clock$`, "m"));
});

test("a domain that is given another QEMU and another kernel runs on them after one up, and keeps its disk", async (t) => {
	const onOther = (script: string) => copy.lab("-s", two, "exec", "other", "--", "sh", "-c", script);
	t.is((await onOther("echo mine >/root/kept; sync")).code, 0);
	const given = "other: { processName: two-other, qemu: main, kernel: main, modules: [lttng] }";
	copy.edit(`stacks/${two}.yaml`, "other: { processName: two-other }", given);
	const { code, all } = await copy.lab("-s", two, "up");
	t.is(code, 0, all);
	t.notRegex(all, / built in /);
	const [vm, other] = [domainCard("vm", two), domainCard("other", two)];
	t.deepEqual([other.emulator, other.kernel], [vm.emulator, "main"]);
	t.is(readlinkSync(`/proc/${pidOf(`${two}-other`)}/exe`), vm.emulator);
	const notes = (domain: string) => copy.lab("-s", two, "exec", domain, "--", "sha256sum", "/sys/kernel/notes");
	t.is((await notes("other")).stdout, (await notes("vm")).stdout);
	t.is((await onOther("cat /root/kept")).stdout, "mine");
	const second = await copy.lab("-s", two, "preview", "--", "--expect-no-changes");
	t.is(second.code, 0, second.all);
});

test("destroying two stacks leaves the third as it was, and finds libvirtd down, as after a reboot", async (t) => {
	const pid = pidOf();
	for (const other of [two, paused]) {
		host("pkill -9 -x libvirtd; while pgrep -x -r R,S,D libvirtd; do sleep 0.1; done");
		const { code, all } = await copy.lab("-s", other, "destroy", "--yes");
		t.is(code, 0, all);
	}
	const { code, all } = await lab("preview", "--", "--expect-no-changes");
	t.is(code, 0, all);
	t.is(pidOf(), pid);
	t.throws(() => card(two), { code: "ENOENT" });
	t.is(host(`virsh -c qemu:///system list --all --name | grep -c -E '^(${two}|${paused})-' || :`), "0");
});
