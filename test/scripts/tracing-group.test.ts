import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { fakeAccounts, fakeDaemons } from "./fake-daemons.ts";
import { ScratchHost } from "./run-step.ts";

const gid = process.getgid?.() ?? 0;

function host(t: ExecutionContext, groups = `tracing:x:${gid}:\nkvm:x:106:\n`): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("etc/group", groups);
	fakeAccounts(scratch);
	fakeDaemons(scratch);
	return scratch;
}

const step = "tracing-group";
const notYet = "domains that run already are in it when they start again";

test("an untouched host is drift, is mended once, and goes back", async (t) => {
	const scratch = host(t);
	const before = scratch.hostTree();
	const { stdout } = await scratch.step(step, "probe");
	t.is(stdout["drift"], "libvirt-qemu is not in group tracing; no root session daemon (lttng-sessiond) is running");
	const first = await scratch.step(step, "apply");
	t.is(
		first.stderr,
		`tracing-group: added libvirt-qemu to group tracing; ${notYet}\ntracing-group: started root's session daemon`,
	);
	t.true(first.calls.includes("usermod --append --groups tracing libvirt-qemu"));
	t.false(first.calls.includes("libvirtd -d"), "a libvirtd that doesn't run is not started");
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply");
	t.is(
		second.stderr,
		"tracing-group: libvirt-qemu is in group tracing\ntracing-group: root's session daemon is running",
	);
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "probe")).stdout["drift"], "");
	t.is((await scratch.step(step, "remove")).code, 0);
	t.deepEqual(scratch.hostTree(), before);
});

test("a libvirtd that runs is restarted when the membership changes, and only then", async (t) => {
	const scratch = host(t);
	await scratch.bash(`setsid "$(command -v libvirtd)" -d </dev/null >/dev/null 2>&1`);
	const pid = scratch.read("run/libvirtd.pid");
	t.regex((await scratch.step(step, "apply")).stderr, /tracing-group: restarting libvirtd/);
	const restarted = scratch.read("run/libvirtd.pid");
	t.not(restarted, pid);
	await scratch.step(step, "apply");
	t.is(scratch.read("run/libvirtd.pid"), restarted);
});

test("a step that is killed before the restart restarts libvirtd the next time", async (t) => {
	const scratch = host(t);
	await scratch.bash(`setsid "$(command -v libvirtd)" -d </dev/null >/dev/null 2>&1`);
	const pid = scratch.read("run/libvirtd.pid");
	fakeAccounts(scratch, "kill -9 $PPID");
	await scratch.step(step, "apply");
	const { stdout } = await scratch.step(step, "probe");
	t.is(
		stdout["drift"],
		"libvirtd was not restarted since its settings changed; no root session daemon (lttng-sessiond) is running",
	);
	await scratch.step(step, "apply");
	t.not(scratch.read("run/libvirtd.pid"), pid);
	t.is((await scratch.step(step, "probe")).stdout["drift"], "");
	await scratch.step(step, "remove");
	t.is(scratch.read("etc/group"), `tracing:x:${gid}:\nkvm:x:106:\n`, "the killed run's claim was not lost");
});

test("a member from before stays one, and a session daemon from before stays up", async (t) => {
	const scratch = host(t, `tracing:x:${gid}:libvirt-qemu\n`);
	await scratch.bash(`setsid "$(command -v lttng-sessiond)" --daemonize </dev/null >/dev/null 2>&1`);
	const before = scratch.hostTree();
	await scratch.step(step, "apply");
	const { calls } = await scratch.step(step, "remove");
	t.false(calls.some((call) => call.startsWith("gpasswd")));
	t.deepEqual(scratch.hostTree(), before);
});

test("a missing group is made, and goes again", async (t) => {
	const scratch = host(t, "kvm:x:106:\n");
	t.is(
		(await scratch.step(step, "probe")).stdout["drift"],
		"there is no group tracing; no root session daemon (lttng-sessiond) is running",
	);
	await scratch.step(step, "apply");
	t.is((await scratch.step(step, "probe")).stdout["drift"], "");
	await scratch.step(step, "remove");
	t.is(scratch.read("etc/group"), "kvm:x:106:\n");
});

test("a session daemon of ours with sessions is left running, and that is said", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply");
	scratch.write("sessions", "boot\n");
	const { stderr } = await scratch.step(step, "remove");
	t.is(stderr, "tracing-group: root's session daemon is left running, because it has sessions: boot");
});

test("a ledger that was taken away is drift, and comes back from its copy", async (t) => {
	const scratch = host(t);
	const before = scratch.hostTree();
	await scratch.step(step, "apply");
	const applied = scratch.tree();
	await scratch.bash(`rm -r '${scratch.root}/var/lib/tracelab/ledger'`);
	t.is(
		(await scratch.step(step, "probe")).stdout["drift"],
		"the ledger entry tracing-group is missing; the ledger entry tracing-member is missing; the ledger entry lttng-sessiond is missing",
	);
	await scratch.step(step, "apply");
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "probe")).stdout["drift"], "");
	await scratch.step(step, "remove");
	t.deepEqual(scratch.hostTree(), before);
});

test("where the ledger and its copy were taken away, what is there by then stays", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply");
	const applied = scratch.hostTree();
	await scratch.bash(`rm -r '${scratch.root}/var/lib/tracelab/ledger'*`);
	await scratch.step(step, "apply");
	await scratch.step(step, "remove");
	t.deepEqual(scratch.hostTree(), applied);
});

test("the last stack alone puts things back", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply");
	await scratch.step(step, "apply", { stack: "other" });
	await scratch.step(step, "remove");
	t.is((await scratch.step(step, "probe", { stack: "other" })).stdout["drift"], "");
	await scratch.step(step, "remove", { stack: "other" });
	t.is(scratch.read("etc/group"), `tracing:x:${gid}:\nkvm:x:106:\n`);
});

test("where systemd runs its unit is asked, not a pid file", async (t) => {
	const scratch = host(t);
	mkdirSync(join(scratch.root, "run/systemd/system"), { recursive: true });
	mkdirSync(join(scratch.root, "run/lttng"), { recursive: true });
	scratch.fake(
		"systemctl",
		`case $* in
		*is-active*) [ -e "$own/up" ] ;;
		*start*) touch "$own/up" ;;
		*stop*) rm "$own/up" ;;
		esac`,
	);
	const { calls, code } = await scratch.step(step, "apply");
	t.is(code, 0);
	t.true(calls.includes("systemctl start lttng-sessiond.service"));
	t.false(calls.includes("lttng-sessiond --daemonize"));
});

test("a missing user is an error that names its package", async (t) => {
	const scratch = host(t);
	scratch.fake("id", "exit 1");
	const { code, stderr } = await scratch.step(step, "apply");
	t.is(code, 1);
	t.is(
		stderr,
		"tracelab: tracing-group: there is no user libvirt-qemu\n  what to do: install libvirt-daemon-system, which makes it",
	);
});
