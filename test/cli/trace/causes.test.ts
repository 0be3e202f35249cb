import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { loadProfile } from "../../../spec/load-profile.ts";
import { asRoot } from "../../as-root.ts";
import type { ScratchLab } from "../scratch-lab.ts";
import {
	emulator,
	folder,
	listed,
	noBeacon,
	pid,
	readRun,
	records,
	runs,
	traceable,
	traceRun,
} from "../scratch-trace.ts";

// One at a time, since each starts Node. A layer that recorded nothing, or not all, has its cause named.

interface Empty {
	/** What is the matter. */
	given: (lab: ScratchLab) => void;
	why: RegExp;
}

const empty = test.macro({
	title: (_, what: string) => `an empty layer names its cause: ${what}`,
	async exec(t, _what: string, { given, why }: Empty) {
		const lab = await traceable(t);
		lab.write("lttng/ust", listed("blk_co_preadv"));
		records(lab, ["memory_region_ops_write"], ["block_rq_issue"]);
		given(lab);
		const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
		t.is(code, 1, stderr);
		t.regex(stderr, why);
		t.true(stderr.includes("run one: block-io of vm"), "the summary stands before it");
		t.not(readRun(lab, "one").ended, undefined);
	},
});

asRoot(empty, "nothing of the profile happened", {
	given: () => {},
	why: /^lab: the layer qemu of vm recorded nothing: all is well with the tracing, but none of these happened: virtio_queue_notify, .*\n {2}what to do: have the command do/m,
});

asRoot(empty, "QEMU is built without LTTng-UST", {
	given: (lab) => {
		lab.write("lttng/ust", listed().replace(String(pid), "1"));
		lab.write(`proc/${pid}/maps`, "7f0000000000-7f0000001000 r-xp 00000000 fe:00 7 /lib/x86_64-linux-gnu/libc.so.6\n");
	},
	why: new RegExp(
		`recorded nothing: process ${pid} of vm is not built with LTTng-UST\\n {2}what to do: write traceBackends: \\[ust\\] for ${emulator} in the stack file`,
	),
});

asRoot(empty, "QEMU may not register", {
	given: (lab) => {
		lab.write(`proc/${pid}/status`, "Uid:\t64055\t64055\nGroups:\t106 \n");
		lab.write("run/lttng/lttng-ust-sock-8", "", 0o640);
	},
	why: new RegExp(
		`recorded nothing: process ${pid} of vm may not register .*, and the process the groups 106\\n {2}what to do: open the socket`,
	),
});

asRoot(empty, "QEMU is not registered with the session daemon", {
	given: (lab) => {
		lab.write("lttng/ust", listed().replace(String(pid), "1"));
		lab.write(
			`proc/${pid}/maps`,
			"7f0000000000-7f0000001000 r-xp 0 fe:00 7 /lib/x86_64-linux-gnu/liblttng-ust.so.1.0.0\n",
		);
	},
	why: new RegExp(
		`recorded nothing: process ${pid} of vm is not registered with root's session daemon, as lttng list -u shows`,
	),
});

asRoot(empty, "QEMU has no such events", {
	given: (lab) => lab.write("lttng/ust", listed("virtio_gpu_features")),
	why: /recorded nothing: the QEMU of vm has none of these tracepoints: virtio_queue_notify, .*\n {2}what to do: it is \S+qemu-system-x86_64: see lttng list -u/,
});

asRoot(empty, "the domain is another process by then", {
	given: (lab) => {
		const other = `mkdir -p $root/proc/7; ln -s ${emulator} $root/proc/7/exe; echo 7 >$root/run/libvirt/qemu/quickstart-vm.pid`;
		lab.write("guest-bin/true", `#!/bin/sh\nroot='${lab.root}'; ${other}\n`, 0o755);
	},
	why: new RegExp(`recorded nothing: vm is process 7 now, and ${pid} was traced\\n`),
});

asRoot(empty, "the guest's kernel did nothing of the kind", {
	given: (lab) => records(lab, ["blk_co_preadv"], []),
	why: /^lab: the layer guest vm recorded nothing: all is well with the tracing, but none of these happened: block_rq_insert, /m,
});

asRoot(empty, "the guest's kernel has no such events", {
	given: (lab) => {
		records(lab, ["blk_co_preadv"], []);
		lab.write("lttng/guest-kernel", "Kernel events:\n      sched_switch (loglevel: x) (type: tracepoint)\n");
	},
	why: /the layer guest vm recorded nothing: the kernel of vm has none of these tracepoints: block_rq_insert, .*\n {2}what to do: see those that it has/,
});

asRoot(empty, "the guest has lost its lttng-modules", {
	given: (lab) => {
		records(lab, ["blk_co_preadv"], []);
		lab.write("guest-bin/true", `#!/bin/sh\n: >'${lab.root}/lttng/no-modules'\n`, 0o755);
	},
	why: /the layer guest vm recorded nothing: guest vm has no lttng-modules for its kernel\n {2}what to do: give the domain the modules lttng/,
});

asRoot("a process that is another program is refused before anything is recorded", async (t) => {
	const lab = await traceable(t);
	rmSync(join(lab.root, `proc/${pid}`), { recursive: true });
	runs(lab, "/usr/bin/qemu-system-x86_64");
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 1);
	t.is(
		stderr,
		`lab: domain vm (process ${pid}) runs on /usr/bin/qemu-system-x86_64, not on ${emulator}\n  what to do: ./lab up starts it on this lab's QEMU`,
	);
	t.false(existsSync(join(lab.root, folder, "one")));
});

asRoot("a tracepoint that QEMU or the guest's kernel has not is said, beside what was recorded", async (t) => {
	const lab = await traceable(t);
	records(lab, ["blk_co_preadv"], ["block_rq_issue"]);
	const { qemu, guest } = loadProfile("block-io");
	lab.write(
		"lttng/ust",
		listed("memory_region_ops_write", ...Object.keys(qemu).filter((name) => name !== "thread_pool_submit")),
	);
	const kernel = Object.keys(guest).filter((name) => name !== "block_rq_insert");
	lab.write("lttng/guest-kernel", kernel.map((name) => `      ${name} (loglevel: x) (type: tracepoint)\n`).join(""));
	const { code, stderr } = await lab.lab([...traceRun, "--", "true"]);
	t.is(code, 0, stderr);
	t.deepEqual(readRun(lab, "one").notes, [
		noBeacon,
		"the QEMU of vm has no tracepoint qemu:thread_pool_submit: nothing of that was recorded",
		"the kernel of vm has no tracepoint block_rq_insert: nothing of that was recorded",
	]);
});
