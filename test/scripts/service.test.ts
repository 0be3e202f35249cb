import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { fakeDaemons } from "./fake-daemons.ts";
import { runs, ScratchHost, type StepRun } from "./run-step.ts";

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	fakeDaemons(scratch);
	return scratch;
}

/** A host where systemd runs; `up` below the root lists the units that are active. */
function systemdHost(t: ExecutionContext): ScratchHost {
	const scratch = host(t);
	mkdirSync(join(scratch.root, "run/systemd/system"), { recursive: true });
	scratch.write("up", "");
	scratch.fake("virsh", "");
	scratch.fake(
		"systemctl",
		`case $* in
		'--quiet is-active '*) shift 2; for unit; do grep -qxF "$unit" "$root/up" && exit; done; exit 3 ;;
		'start '*) shift; printf '%s\\n' "$@" >>"$root/up" ;;
		'restart '*) ;;
		'stop '*) shift; for unit; do sed -i "/^$unit$/d" "$root/up"; done ;;
		*) exit 97 ;;
		esac`,
	);
	return scratch;
}

function service(scratch: ScratchHost, body: string): Promise<StepRun> {
	return scratch.library("service", body);
}

/** The calls that change something. */
function changes({ calls }: StepRun): string[] {
	return calls.filter((call) => !/is-active|list/.test(call));
}

const pids = (scratch: ScratchHost, ...files: string[]) => files.map((file) => scratch.read(`run/${file}.pid`));
const pending = "var/lib/tracelab/restart/libvirtd";

test("without systemd a daemon is started once, and stopped", async (t) => {
	const scratch = host(t);
	t.is((await service(scratch, "service_running libvirtd")).code, 1);
	t.deepEqual(changes(await service(scratch, "service_start libvirtd")), ["virtlogd -d", "libvirtd -d"]);
	t.is((await service(scratch, "service_running libvirtd")).code, 0);
	const started = pids(scratch, "libvirtd", "virtlogd");
	t.deepEqual(changes(await service(scratch, "service_start libvirtd")), []);
	t.deepEqual(pids(scratch, "libvirtd", "virtlogd"), started);
	t.is((await service(scratch, "service_stop libvirtd")).code, 0);
	t.deepEqual(started.map(runs), [false, false]);
	t.is((await service(scratch, "service_stop libvirtd")).code, 0, "nothing to stop is no error");
});

test("without systemd a restart leaves virtlogd, which holds the consoles", async (t) => {
	const scratch = host(t);
	await service(scratch, "service_start libvirtd");
	const [libvirtd = "", virtlogd] = pids(scratch, "libvirtd", "virtlogd");
	t.deepEqual(changes(await service(scratch, "service_restart libvirtd")), ["libvirtd -d"]);
	t.false(runs(libvirtd));
	t.is(pids(scratch, "virtlogd")[0], virtlogd);
});

test("a session daemon is started in the background", async (t) => {
	const scratch = host(t);
	t.deepEqual(changes(await service(scratch, "service_start lttng-sessiond")), ["lttng-sessiond --daemonize"]);
	t.is((await service(scratch, "service_running lttng-sessiond")).code, 0);
});

for (const [what, pid] of [
	["is gone", "4194305\n"],
	["is another program's by now", `${process.pid}\n`],
	["was never written", ""],
] as const) {
	test(`a pid file whose process ${what} is no daemon, and nothing is ended for it`, async (t) => {
		const scratch = host(t);
		scratch.write("run/libvirtd.pid", pid);
		t.is((await service(scratch, "service_running libvirtd")).code, 1);
		t.is((await service(scratch, "service_stop libvirtd")).code, 0);
		t.true(runs(String(process.pid)));
	});
}

test("a clock that is set meanwhile ends no wait for a daemon", async (t) => {
	const scratch = host(t);
	scratch.fake("virsh", '[ "$(wc -l <"$root/slept")" = 2 ]');
	scratch.write("slept", "");
	const set = 'sleep() { SECONDS=1000000; echo 1 >>"$root/slept"; }; service_start libvirtd';
	const { code, stderr } = await service(scratch, set);
	t.deepEqual([code, stderr], [0, ""]);
});

test("a daemon gets none of the step's locks, files and environment", async (t) => {
	const scratch = host(t);
	scratch.fake("virtlogd", `ls /proc/$$/fd >"$root/fds"; env | cut -d= -f1 | sort >"$root/env"`);
	const run = await service(scratch, "lock thing; export SECRET=1; daemon virtlogd -d");
	t.is(run.code, 0);
	// 255 is bash's own, for the script that the fake is.
	t.deepEqual(
		scratch
			.read("fds")
			.trim()
			.split("\n")
			.filter((fd) => fd !== "255")
			.sort(),
		["0", "1", "2"],
	);
	t.deepEqual(
		scratch
			.read("env")
			.trim()
			.split("\n")
			.filter((name) => !["PWD", "SHLVL", "_", "OLDPWD"].includes(name)),
		["HOME", "LANG", "PATH"],
	);
});

test("a daemon that does not start is an error that names the log", async (t) => {
	const scratch = host(t);
	scratch.fake("lttng-sessiond", "echo 'Error: no /dev/shm'; exit 3");
	const { code, stderr } = await service(scratch, "service_start lttng-sessiond");
	const log = "var/log/tracelab/quick/test.log";
	t.is(code, 1);
	t.is(stderr, `tracelab: test: lttng-sessiond did not start\n  what to do: see ${scratch.root}/${log}`);
	t.is(scratch.read(log), "\n$ 'lttng-sessiond' '--daemonize'\nError: no /dev/shm\n");
});

test("a daemon that runs and does not answer is an error with what the asking said", async (t) => {
	const scratch = host(t);
	scratch.fake("virsh", "echo 'error: Failed to connect socket' >&2; exit 1");
	const { code, stderr } = await service(scratch, "service_wait=1; service_start libvirtd");
	t.is(code, 1);
	t.is(
		stderr,
		[
			"tracelab: test: libvirtd does not answer after 1 s: error: Failed to connect socket",
			`  what to do: see its messages (journalctl -u libvirtd, or run libvirtd in the foreground) and ${scratch.root}/var/log/tracelab/quick/test.log`,
		].join("\n"),
	);
});

test("a daemon that does not end is an error with what ends it", async (t) => {
	const scratch = host(t);
	await scratch.bash(`mkdir -p '${scratch.root}/run'; cp "$(command -v bash)" '${scratch.root}/libvirtd'
		'${scratch.root}/libvirtd' -c 'trap "" TERM; echo $$ >"$1"; while :; do read -rt 1 <> <(:); done' x '${scratch.root}/run/libvirtd.pid' </dev/null >/dev/null 2>&1 &
		until [ -s '${scratch.root}/run/libvirtd.pid' ]; do sleep 0.02; done`);
	const pid = Number(scratch.read("run/libvirtd.pid"));
	t.teardown(() => process.kill(pid, "SIGKILL"));
	const { code, stderr } = await service(scratch, "service_wait=1; service_stop libvirtd");
	t.is(code, 1);
	t.is(stderr, `tracelab: test: libvirtd (process ${pid}) does not end\n  what to do: end it by hand: kill -9 ${pid}`);
});

test("with systemd libvirtd is its socket's, and all of it stops", async (t) => {
	const scratch = systemdHost(t);
	t.is((await service(scratch, "service_running libvirtd")).code, 3);
	t.deepEqual(changes(await service(scratch, "service_start libvirtd")), ["systemctl start libvirtd.socket"]);
	t.is((await service(scratch, "service_running libvirtd")).code, 0);
	t.deepEqual(changes(await service(scratch, "service_restart libvirtd")), ["systemctl restart libvirtd.service"]);
	t.deepEqual(changes(await service(scratch, "service_stop libvirtd")), [
		"systemctl stop libvirtd.socket libvirtd.service",
	]);
	t.is((await service(scratch, "service_running libvirtd")).code, 3);
});

test("with systemd a libvirtd that runs without its socket counts as running", async (t) => {
	const scratch = systemdHost(t);
	scratch.write("up", "libvirtd.service\n");
	t.is((await service(scratch, "service_running libvirtd")).code, 0);
});

test("with systemd a session daemon is its service", async (t) => {
	const scratch = systemdHost(t);
	t.deepEqual(changes(await service(scratch, "service_start lttng-sessiond; service_stop lttng-sessiond")), [
		"systemctl start lttng-sessiond.service",
		"systemctl stop lttng-sessiond.service",
	]);
});

test("a unit that does not start is an error with systemd's words", async (t) => {
	const scratch = systemdHost(t);
	scratch.fake("systemctl", "echo 'Job for libvirtd.socket failed.'; exit 1");
	const { code, stderr } = await service(scratch, "service_start libvirtd");
	t.is(code, 1);
	t.deepEqual(stderr.split("\n").slice(0, 2), [
		`tracelab: test: starting libvirtd failed (exit 1); the last lines of ${scratch.root}/var/log/tracelab/quick/test.log:`,
		"  | Job for libvirtd.socket failed.",
	]);
});

for (const [name, make] of [
	["without systemd", host],
	["with systemd", systemdHost],
] as const) {
	test(`${name} a restart that is owed is made once`, async (t) => {
		const scratch = make(t);
		await service(scratch, "service_needs_restart libvirtd");
		t.false(existsSync(join(scratch.root, pending)), "what does not run reads its settings when it starts");
		await service(scratch, "service_start libvirtd");
		await service(scratch, "service_needs_restart libvirtd");
		t.true(existsSync(join(scratch.root, pending)));
		t.is((await service(scratch, "service_restart_if_needed libvirtd")).stderr, "test: restarting libvirtd");
		t.false(existsSync(join(scratch.root, pending)));
		const second = await service(scratch, "service_restart_if_needed libvirtd");
		t.is(second.stderr, "");
		t.deepEqual(changes(second), []);
	});
}

test("a restart that is owed to a daemon that ended since is forgotten", async (t) => {
	const scratch = host(t);
	scratch.write(pending, "");
	// A kill came while another note was written.
	scratch.write("var/lib/tracelab/restart/.libvirtd.tracelab-part", "");
	const run = await service(scratch, "service_restart_if_needed libvirtd");
	t.is(run.stderr, "");
	t.false(existsSync(join(scratch.root, "var/lib/tracelab/restart")));
});

test("running domains are those with a state and a process", async (t) => {
	const scratch = host(t);
	const libvirt = "run/libvirt/qemu";
	for (const name of ["stopped", "ended", "empty", "runs"]) scratch.write(`${libvirt}/${name}.xml`, "");
	scratch.write(`${libvirt}/ended.pid`, "4194305\n");
	scratch.write(`${libvirt}/empty.pid`, "");
	// This test's own process; it is the one number that clean() never ends.
	scratch.write(`${libvirt}/runs.pid`, `${process.pid}\n`);
	scratch.write(`${libvirt}/driver.pid`, `${process.pid}\n`);
	const { stdout, stderr } = await service(scratch, 'json_object "\\"names\\":$(json_string "$(running_domains)")"');
	t.is(stderr, "");
	t.deepEqual(stdout, { names: "runs" });
});
