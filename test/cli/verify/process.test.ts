import { chmodSync, rmSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { emulator, pid, runs } from "../scratch-trace.ts";
import { fails, notRunning } from "./claim-fails.ts";
import { listed, listening, listens } from "./whole-lab.ts";

// Each failure that a claim on a domain's process can come to.

const isOurs = "the process is this lab's QEMU";
const named = "pgrep finds it under its name";
const built = "QEMU is built with LTTng-UST";
const seen = "LTTng sees its tracepoints under libvirt";
const local = "what listens, listens on 127.0.0.1";
const closed = "its unix sockets are not for everybody";
const again = "./lab up starts it anew";

for (const claim of [isOurs, named, seen, local, closed]) {
	test.serial(fails, claim, ...notRunning);
}

test.serial(
	fails,
	isOurs,
	"where it is another program",
	(lab) => {
		rmSync(join(lab.root, `proc/${pid}/exe`));
		runs(lab, "/usr/bin/qemu-system-x86_64");
	},
	`/proc/${pid}/exe is /usr/bin/qemu-system-x86_64, not ${emulator}`,
	again,
);
test.serial(
	fails,
	isOurs,
	"where it has just ended",
	({ root }) => rmSync(join(root, `proc/${pid}`), { recursive: true }),
	`/proc/${pid}/exe is gone, not ${emulator}`,
	again,
);

const renamed = `${again}, with set_process_name in /etc/libvirt/qemu.conf`;
test.serial(
	fails,
	named,
	"where another process has it",
	(lab) => lab.fake("pgrep", "echo 77"),
	`pgrep -x quickstart-vm finds 77, and not process ${pid}`,
	renamed,
);
test.serial(
	fails,
	named,
	"where none has it",
	(lab) => lab.fake("pgrep", "exit 1"),
	`pgrep -x quickstart-vm finds nothing, and not process ${pid}`,
	renamed,
);
test.serial(
	fails,
	named,
	"where another has it as well",
	(lab) => lab.fake("pgrep", `echo 77; echo ${pid}`),
	`pgrep -x quickstart-vm finds 77, ${pid}, of which ${pid} alone is vm`,
	"end the others, or give the domain another processName in the stack file",
);

test.serial(
	fails,
	built,
	"where it was built without",
	(lab) => lab.fake("readelf", "echo ' 0x01 (NEEDED)  Shared library: [libc.so.6]'"),
	`${emulator} is not linked with liblttng-ust`,
	"write traceBackends: [ust] for it in the stack file",
);
test.serial(
	fails,
	built,
	"where its file is gone",
	(lab) => lab.fake("readelf", `echo "readelf: Error: '$2': No such file" >&2; exit 1`),
	`readelf cannot read ${emulator}: No such file`,
	"./lab up builds it again",
);

test.serial(
	fails,
	seen,
	"where no session daemon runs",
	(lab) => lab.write("lttng/down", ""),
	"root's session daemon does not answer: Error: No session daemon is available",
	"./lab up starts it",
);
test.serial(
	fails,
	seen,
	"where it may not register",
	(lab) => {
		lab.write("lttng/ust", listed(1, "qemu:a"));
		lab.write(`proc/${pid}/status`, "Uid:\t64055\t64055\nGroups:\t106 \n");
		lab.write("run/lttng/lttng-ust-sock-8", "", 0o640);
	},
	`process ${pid} of vm may not register with root's session daemon: /run/lttng/lttng-ust-sock-8 has mode 640, and the process the groups 106`,
	"open the socket as LTTng does (chmod 666 /run/lttng/lttng-ust-sock-8), or to the group tracing, which libvirt-qemu is in; then start the domain again: ./lab exec vm -- poweroff, then ./lab up",
);
test.serial(
	fails,
	seen,
	"where another program was built without",
	(lab) => {
		rmSync(join(lab.root, `proc/${pid}/exe`));
		runs(lab, "/usr/bin/qemu-system-x86_64");
		lab.write(`proc/${pid}/maps`, "7f0000000000-7f0000001000 r-xp 00000000 fe:00 7 /lib/x86_64-linux-gnu/libc.so.6\n");
		lab.write("lttng/ust", listed(1, "qemu:a"));
	},
	`process ${pid} of vm is not built with LTTng-UST`,
	"./lab up starts it on this lab's QEMU",
);
test.serial(
	fails,
	seen,
	"where only others are registered",
	(lab) => lab.write("lttng/ust", listed(1, "qemu:a")),
	`process ${pid} of vm is not registered with root's session daemon, as lttng list -u shows: the daemon was down or was started again, and QEMU did not come back to it`,
	"wait some seconds and look again; where it stays away, start the domain again: ./lab exec vm -- poweroff, then ./lab up",
);
test.serial(
	fails,
	seen,
	"where it registered tracepoints of libraries alone",
	(lab) => lab.write("lttng/ust", listed(pid, "lttng_ust_libc:malloc")),
	`process ${pid} of vm is registered with root's session daemon, and has no qemu:* tracepoint`,
	`write traceBackends: [ust] for ${emulator} in the stack file`,
);

test.serial(
	fails,
	local,
	"where something of it is open to all",
	(lab) => listens(lab, listening("0.0.0.0:1234"), listening("*:5900"), listening("0.0.0.0:22", 1)),
	`process ${pid} listens on 0.0.0.0:1234, *:5900`,
	"a domain that is started again listens on 127.0.0.1 alone: ./lab exec vm -- poweroff, then ./lab up",
);
test.serial(
	fails,
	local,
	"where another process has the gdbstub's port",
	(lab) => listens(lab, listening("127.0.0.1:1234", 7)),
	`process ${pid} has no gdbstub on 127.0.0.1:1234; it listens on nothing`,
	again,
);
test.serial(
	fails,
	local,
	"where it listens on another port alone",
	(lab) => listens(lab, listening("127.0.0.1:1235")),
	`process ${pid} has no gdbstub on 127.0.0.1:1234; it listens on 127.0.0.1:1235`,
	again,
);

test.serial(
	fails,
	closed,
	"where one was opened",
	({ root }) => chmodSync(join(root, "run/vm.sock"), 0o777),
	`process ${pid} listens on /run/vm.sock, which everybody may write to`,
	"close it: chmod o-w /run/vm.sock",
);
test.serial(
	fails,
	closed,
	"where one is no file",
	(lab) => lab.fake("ss", `echo 'u_str LISTEN 0 1 @stray 7 * 0 users:(("qemu",pid=${pid},fd=8))'`),
	`process ${pid} listens on @stray, which is no file, so that everybody may connect`,
	"a domain that is started again has none: ./lab exec vm -- poweroff, then ./lab up",
);
