import { rmSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { enter, evidenceOf, fails } from "./claim-fails.ts";
import { wholeLab } from "./whole-lab.ts";

// Each failure that a claim on what the host does can come to.

const answer = "libvirtd and root's session daemon answer";
const daemons = "they are systemd's where it runs, and else themselves";
const group = "libvirt-qemu is in the session daemon's group";

test.serial(
	fails,
	answer,
	"where libvirtd is down",
	(lab) => lab.fake("virsh", "echo 'error: failed to connect to the hypervisor' >&2; exit 1"),
	"libvirtd does not answer",
	"./lab up starts it; ./lab doctor says more",
);
test.serial(
	fails,
	answer,
	"where the session daemon is down",
	(lab) => lab.write("lttng/down", ""),
	"root's session daemon does not answer: Error: No session daemon is available",
	"./lab up starts it",
);

test.serial(
	fails,
	answer,
	"where libvirtd refuses",
	(lab) => lab.fake("virsh", "echo 'error: Failed to list domains' >&2; exit 1"),
	"virsh list: error: Failed to list domains",
	"./lab doctor says more of this host",
);

test.serial(
	fails,
	daemons,
	"where one does not say which process it is",
	({ root }) => rmSync(join(root, "run/libvirtd.pid")),
	"/run/libvirtd.pid names process none, which is none and not libvirtd",
	"end the libvirtd that answers, and ./lab up starts it",
);
test.serial(
	fails,
	daemons,
	"where another process has its number",
	(lab) => lab.write("proc/902/comm", "cron\n"),
	"/run/lttng/lttng-sessiond.pid names process 902, which is cron and not lttng-sessiond",
	"end the lttng-sessiond that answers, and ./lab up starts it",
);
for (const [where, cgroup, unit] of [
	["where one was started beside systemd", "0::/user.slice/user-0.slice/session-1.scope\n", "none of its units"],
	["where another unit started one", "0::/system.slice/other.service\n", "other.service"],
] as const) {
	test.serial(
		fails,
		daemons,
		where,
		(lab) => {
			lab.write("run/systemd/system/x", "");
			lab.write("proc/811/cgroup", "0::/system.slice/libvirtd.service\n");
			lab.write("proc/902/cgroup", cgroup);
		},
		`systemd runs, and lttng-sessiond (process 902) is of ${unit}`,
		"end it: kill 902; then ./lab up has systemd start it",
	);
}

test.serial("the daemons are named by their units where systemd runs", async (t) => {
	const { lab } = await wholeLab(t);
	enter(t, lab);
	lab.write("run/systemd/system/x", "");
	for (const [pid, name] of [
		[811, "libvirtd"],
		[902, "lttng-sessiond"],
	])
		lab.write(`proc/${pid}/cgroup`, `0::/system.slice/${name}.service\n`);
	t.is(
		await evidenceOf(daemons),
		"systemd runs; libvirtd.service is process 811, lttng-sessiond.service is process 902",
	);
});

test.serial("a daemon's file may hold the end of a killed one's longer number", async (t) => {
	const { lab } = await wholeLab(t);
	enter(t, lab);
	lab.write("run/lttng/lttng-sessiond.pid", "902\n2\n");
	t.is(await evidenceOf(answer), "virsh is answered by process 811, lttng by process 902");
	t.is(await evidenceOf(daemons), "systemd does not run; libvirtd is process 811, lttng-sessiond is process 902");
});

const of = (owner: string) => `case "$*" in "-c %G "*) ${owner} ;; *) exec /usr/bin/stat "$@" ;; esac`;
const older = "root's session daemon was started before there was a group tracing";

test.serial(
	fails,
	group,
	"where libvirt-qemu is in others alone",
	(lab) => lab.fake("id", "echo libvirt-qemu kvm"),
	"libvirt-qemu is not in group tracing, so it may not control root's session daemon",
	"./lab up puts it in",
);
test.serial(
	fails,
	group,
	"where the daemon is older than the group",
	(lab) => lab.fake("stat", of("echo root")),
	`/run/lttng is of root: ${older}`,
	"./lab up starts it again",
);
test.serial(
	fails,
	group,
	"where the daemon has no folder",
	(lab) => lab.fake("stat", of("exit 1")),
	`/run/lttng is of nobody: ${older}`,
	"./lab up starts it again",
);
