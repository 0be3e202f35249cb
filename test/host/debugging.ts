import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { type LabCard, labCardPath } from "../../spec/lab-card.ts";
import { card, domainCard, host, lab, libvirtName, pidOf, stack } from "./proof.ts";

const recording = `/var/lib/tracelab/runs/${stack}/recorded`;
const commands = (...all: string[]): string[] => all.flatMap((command) => ["-ex", command]);
const virsh = (verb: string): string => host(`virsh -q -c qemu:///system ${verb} ${libvirtName}`).trim();

/** Waits until it is so, for a minute. */
async function until(what: () => boolean): Promise<void> {
	for (let left = 600; !what(); left--) {
		if (left === 0) throw new Error(`not within a minute: ${what}`);
		await pause(100);
	}
}

const connections = (): string => host(`ss -Htn state established 'src 127.0.0.1:${domainCard().gdb.port}'`);

test("breakpoints outlive a reboot, and modules get their symbols again as the guest loads them", async (t) => {
	const debugging = lab(
		...["gdb", "vm", "--batch"],
		...commands("break start_kernel", "hbreak run_init_process", "hbreak myfunction", "continue", "bt 1"),
		...commands("continue", "bt 1", "delete 2", "continue", "bt 1"),
	);
	await until(() => connections() !== "" && virsh("domstate") === "running");
	virsh("reset");
	// Nobody says when the guest is there again.
	const written = (async () => {
		for (let tries = 0; tries < 60; tries++) {
			const { code } = await lab("exec", "--timeout", "5", "vm", "--", "sh", "-c", "echo 7 >/proc/mymodule");
			if (code === 0) return;
			await pause(500);
		}
	})();
	const { code, all } = await debugging;
	t.is(code, 0, all);
	t.log(all);
	t.regex(all, /hit Breakpoint 1, start_kernel \(\) at .*init\/main\.c:\d+/);
	t.regex(all, /hit Breakpoint 2, run_init_process \(init_filename=.*"\/sbin\/init"\)/);
	t.regex(all, /refreshing all symbols to reload module 'mymodule'[\s\S]*loading @0x[0-9a-f]+: \S+\/mymodule\.ko/);
	t.regex(all, /hit Breakpoint 3.*myfunction \(number=7\) at .*mymodule\.c:\d+/);
	await written;
	const after = await lab("preview", "--", "--expect-no-changes");
	t.is(after.code, 0, after.all);
});

test("a debugger that is there already is named, the next one does not wait for it, and preview says that it did not look", async (t) => {
	const other = connect(domainCard().gdb.port, "127.0.0.1");
	await until(() => connections() !== "");
	const { code, all } = await lab("gdb", "vm", "--batch");
	const seen = await lab("preview", "--", "--expect-no-changes");
	other.destroy();
	await until(() => connections() === "");
	// Whoever connects to a gdbstub stops the guest.
	if (virsh("domstate") === "paused") virsh("resume");
	t.is(seen.code, 0, seen.all);
	t.true(seen.all.includes(`the guest of ${libvirtName} is stopped by its debugger: it was not looked at`), seen.all);
	t.is(code, 1);
	t.regex(
		all,
		new RegExp(`^lab: another debugger is on "vm" \\(127\\.0\\.0\\.1:${other.localPort ?? "\\d+"}\\)$`, "m"),
	);
});

test("a QEMU that stands still is not waited for", async (t) => {
	const pid = pidOf();
	const goesOn = () => host(`kill -CONT ${pid} 2>/dev/null || :`);
	t.teardown(goesOn);
	host(`kill -STOP ${pid}`);
	const { code, all } = await lab("gdb", "vm", "--batch");
	goesOn();
	t.is(code, 1);
	t.regex(all, /^lab: the monitor of "vm" did not answer within 20 s: its QEMU itself stands still$/m);
	t.true(all.includes(`sudo gdb -p ${pid} shows where; virsh destroy ${libvirtName} ends it`), all);
	t.is(virsh("domstate"), "running");
});

/** With another vmlinux or port in the lab card, `./lab gdb` says what is wrong and does not start gdb. */
const refused = test.macro(async (t: ExecutionContext, change: (lab: LabCard) => void, said: RegExp) => {
	const before = card();
	const changed = card();
	change(changed);
	writeFileSync(labCardPath(stack), JSON.stringify(changed));
	try {
		const { code, all } = await lab("gdb", "vm", "--batch", "-ex", "echo gdb-runs");
		t.is(code, 1);
		t.regex(all, said);
		t.notRegex(all, /gdb-runs/);
	} finally {
		writeFileSync(labCardPath(stack), `${JSON.stringify(before, null, "\t")}\n`);
	}
});

const scratch = mkdtempSync(join(tmpdir(), "tracelab-vmlinux-"));
test.after.always(() => rmSync(scratch, { recursive: true }));

function setVmlinux(of: LabCard, file: string): void {
	const kernel = of.kernels["main"];
	if (kernel !== undefined) kernel.vmlinux = file;
}

test(
	"no gdb on a vmlinux without debug information",
	refused,
	(of) => {
		const stripped = join(scratch, "stripped");
		host(`objcopy --strip-debug ${of.kernels["main"]?.vmlinux} ${stripped}`);
		setVmlinux(of, stripped);
	},
	/^lab: \S+\/stripped has no debug information\n {2}what to do: ask for CONFIG_DEBUG_INFO_DWARF5=y/m,
);

test(
	"no gdb on the vmlinux of another build",
	refused,
	(of) => {
		const { vmlinux, prefix } = of.kernels["main"] ?? { vmlinux: "", prefix: "" };
		const other = join(scratch, "other");
		const bytes = readFileSync(vmlinux);
		const id = Buffer.from(readFileSync(`${prefix}/build-id`, "utf8").trim(), "hex");
		Buffer.alloc(id.length, 0xee).copy(bytes, bytes.indexOf(id));
		writeFileSync(other, bytes);
		setVmlinux(of, other);
	},
	/^lab: "vm" runs a kernel with build-id [0-9a-f]{40}, but \S+\/other has (ee){20}: its symbols would be wrong$/m,
);

test(
	"no gdb where nothing listens",
	refused,
	(of) => {
		const { vm } = of.domains;
		if (vm !== undefined) vm.gdb.port = 12349;
	},
	/^lab: no gdbstub listens on 127\.0\.0\.1:12349$/m,
);

test("a boot and a command are recorded, and replayed to the nanosecond", async (t) => {
	rmSync(recording, { recursive: true, force: true });
	const command =
		"cat /proc/mymodule; date +%s.%N; echo 40 >/proc/mymodule; echo 2 >/proc/mymodule; cat /proc/mymodule; date +%s.%N; exit 3";
	const { code, stdout, stderr } = await lab("record", "--name", "recorded", "vm", "--", "sh", "-c", command);
	t.is(code, 3, stderr);
	t.log(stdout);
	t.regex(stdout, /^0\n\d{10}\.\d{9}\n42\n\d{10}\.\d{9}$/);
	const { code: ended, all } = await replay("continue", "continue");
	t.is(ended, 0, all);
	t.regex(all, /^The recording ends here: the guest powers off\.$/m);
	const [recorded, replayed] = ["console.log", "replayed-console.log"].map((file) =>
		readFileSync(`${recording}/${file}`, "latin1"),
	);
	t.true(recorded?.includes(stdout.split("\n").at(-1) ?? ""));
	t.is(replayed, recorded);
});

const replay = (...all: string[]) => lab("replay", "recorded", "--batch", ...commands(...all));

test("a replay goes back in a module of one's own, whose functions are known before it is loaded", async (t) => {
	const at = (when: string) => `printf "${when}: %ld after %ld\\n", number, sum`;
	const { code, all } = await replay(
		...["break myfunction", "continue", at("first"), "delete", "continue", "break myfunction"],
		...["reverse-continue", at("last"), "reverse-continue", at("before"), "delete", "reverse-continue"],
		'printf "start: %p\\n", $pc',
	);
	t.is(code, 0, all);
	t.log(all);
	const [first, last, before, start] = ["first: 40 after 0", "last: 2 after 40", "before: 40 after 0", "start: 0xfff0"];
	t.regex(all, new RegExp(`^${first}\n[^]*The recording ends here[^]*^${last}\n[^]*^${before}\n[^]*^${start}$`, "m"));
});

test("a replay goes back: from its end to a breakpoint, by a step, and to the start", async (t) => {
	const { code, all } = await replay(
		...[
			"continue",
			"break start_kernel",
			"break run_init_process",
			"reverse-continue",
			'printf "at %s\\n", init_filename',
		],
		...["reverse-stepi", 'printf "before: %p\\n", $pc', "stepi", "reverse-continue", "bt 1", "reverse-continue"],
		...['printf "start: %p\\n", $pc', "continue", "bt 1"],
	);
	t.is(code, 0, all);
	t.log(all);
	t.regex(all, /at \/bin\/sh\n/);
	t.regex(all, /kernel_init \(unused=.*\n.*run_init_process\(execute_command\);\nbefore: 0xffffffff/);
	const hits = [...all.matchAll(/^Breakpoint (\d), /gm)].map(([, number]) => number);
	t.deepEqual(hits, ["2", "2", "1", "1"]);
	t.regex(all, /start: 0xfff0\n/);
	t.is(host("find /tmp -maxdepth 1 -name 'tracelab-replay-*' | wc -l"), "0");
	rmSync(recording, { recursive: true });
});

test("a recording that a panic ends is kept, and gone back in from its end", async (t) => {
	const panicked = `/var/lib/tracelab/runs/${stack}/panicked`;
	const remove = () => rmSync(panicked, { recursive: true, force: true });
	remove();
	t.teardown(remove);
	const panics = "echo 7 >/proc/mymodule; echo c >/proc/sysrq-trigger";
	const { code, stderr } = await lab("record", "--name", "panicked", "vm", "--", "sh", "-c", panics);
	t.is(code, 1, stderr);
	t.log(stderr);
	t.regex(stderr, /; its console's last words:\n {2}\| Kernel panic - not syncing: sysrq triggered crash\n/);
	t.regex(stderr, /what to do: it is kept as recording panicked: /);
	const { code: ended, all } = await lab(
		...["replay", "panicked", "--batch"],
		...commands("continue", "bt 3", "break panic", "reverse-continue", "reverse-stepi"),
	);
	t.is(ended, 0, all);
	t.log(all);
	t.regex(all, /^The recording ends here: the guest resets\.$/m);
	t.regex(all, /^#0 +emergency_restart \(\) .*\n#1 .* panic \(.*\n#2 .* sysrq_handle_crash \(/m);
	t.regex(all, /^Breakpoint 1, panic \([\s\S]* in sysrq_handle_crash \(/m);
});
