import test from "ava";
import { fails } from "./claim-fails.ts";

// Each failure that a claim on what the host does can come to.

const answer = "libvirtd and root's session daemon answer";
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
