import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { edited, restart } from "./definition.ts";
import { copy, domainCard, host, lab, pidOf, stack } from "./proof.ts";
import { readDisk, readRun, registered, remove, runs, traced, tracepoints } from "./traced.ts";

// Each is provoked on the real lab, and put back whatever comes of it.

const read = readDisk(20);

/** Waits until the guest of a domain that was just started answers. */
async function answered(t: ExecutionContext): Promise<void> {
	for (let tries = 0; tries < 60; tries++) {
		if ((await lab("exec", "vm", "--", "true")).code === 0) return;
		await pause(1000);
	}
	t.fail("the guest does not answer");
}

async function putBack(t: ExecutionContext): Promise<void> {
	const { code, all } = await lab("up");
	t.is(code, 0, all);
	t.true(await registered());
}

test("a domain that runs on Debian's QEMU is not traced, and that is the cause that is named", async (t) => {
	t.timeout(600_000);
	const { emulator } = domainCard();
	const debian = "/usr/bin/qemu-system-x86_64";
	try {
		host(`${edited(`s,${emulator},${debian},`)}; ${restart}`);
		await answered(t);
		t.deepEqual(tracepoints(pidOf()), []);
		const { code, all } = await traced(t, "debians", "block-io", "--", ...read);
		t.is(code, 1, all);
		t.is(
			all,
			`lab: domain vm (process ${pidOf()}) runs on ${debian}, not on ${emulator}\n  what to do: ./lab -s ${stack} up starts it on this lab's QEMU`,
		);
		t.false(existsSync(`${runs}/debians`));
	} finally {
		await putBack(t);
	}
	t.is((await traced(t, "ours", "block-io", "--", ...read)).code, 0);
});

test("QEMU outside the group tracing is traced as well, and a socket that is closed to it is the cause that is named", async (t) => {
	t.timeout(600_000);
	const socket = host("ls /run/lttng/lttng-ust-sock-*");
	const groups = () => host(`sed -n 's/^Groups:\t//p' /proc/${pidOf()}/status`).trim();
	try {
		host(`gpasswd -d libvirt-qemu tracing; ${restart}`);
		t.false(groups().split(" ").includes(host("getent group tracing | cut -d: -f3")));
		t.true(await registered());
		host(`chmod o-w ${socket}; ${restart}`);
		await answered(t);
		const { code, all } = await traced(t, "closed", "block-io", "--", ...read);
		t.is(code, 1, all);
		const why = `process ${pidOf()} of vm may not register with root's session daemon: ${socket} has mode 664, and the process the groups ${groups().replaceAll(" ", ", ")}\n`;
		t.true(all.includes(why), all);
	} finally {
		host(`chmod o+w ${socket}; ${restart}`);
		await putBack(t);
	}
});

test("an event that the guest's kernel does not have is the cause that is named", async (t) => {
	copy.write(
		"profiles/unheard.yaml",
		"description: What this kernel has not.\nbudget: { rate: 1, events: 1 }\nguest: { no_such_event: None has it. }\n",
	);
	const { code, all } = await traced(t, "unheard", "unheard", "--", "true");
	t.is(code, 1, all);
	t.regex(
		all,
		/lab: (the kernel of vm cannot be traced: .*no_such_event|the layer guest vm recorded nothing: the kernel of vm has none of these tracepoints: no_such_event)/,
	);
});

test("a guest that is powered off in its run leaves QEMU's part, and is the cause that is named", async (t) => {
	t.timeout(600_000);
	try {
		const script = `${read.join(" ")}; sync; poweroff -f`;
		const { code, all } = await traced(t, "off", "block-io", "--", "sh", "-c", script);
		t.is(code, 1, all);
		t.regex(all, /^the part of guest vm is not to be had: domain "vm" is not running$/m);
		const [qemu, guest] = readRun("off").layers;
		t.true((qemu?.total ?? 0) > 0, all);
		t.is(guest?.total, 0);
		t.is(host("lttng list | grep -c tracelab- || :"), "0");
	} finally {
		await putBack(t);
	}
});

test("a person's own session of LTTng stays the current one, and is the person's still", async (t) => {
	host("lttng create mine --output=/tmp/tracelab-test-mine");
	t.teardown(() => host("lttng destroy mine; rm -rf /tmp/tracelab-test-mine"));
	t.is((await traced(t, "beside", "block-io", "--", ...read)).code, 0);
	t.is((await lab("clock", "vm", "--clock-bound", "100000000")).code, 0);
	t.regex(host("lttng status"), /^Recording session mine: /m);
});

// Last, since all else that the daemon recorded for anybody goes with it.
test("a session daemon that is down, or that went while it recorded, is the cause that is named", async (t) => {
	t.timeout(600_000);
	t.teardown(() => remove("gone"));
	try {
		const started = await lab("trace", "start", "block-io", "--name", "gone");
		t.is(started.code, 0, started.all);
		// What it has by then is on the disk.
		t.is((await lab("trace", "rotate", "gone")).code, 0);
		host("pkill -x lttng-sessiond; while pgrep -x -r R,S,D lttng-sessiond; do sleep 0.1; done");
		const stopped = await lab("trace", "stop", "gone");
		t.is(stopped.code, 1, stopped.all);
		t.true(
			stopped.all.includes(
				`lab: the layer qemu lacks what came last: trace session tracelab-${stack}.gone is gone: root's session daemon was ended or started again while it recorded, somebody destroyed it, or what made it was killed before\n`,
			),
			stopped.all,
		);
		t.true(
			stopped.all.endsWith(`\n  what to do: ./lab -s ${stack} up starts the daemon; then record it again`),
			stopped.all,
		);
		const { code, all } = await traced(t, "undaemonic", "block-io", "--", ...read);
		t.is(code, 1, all);
		t.is(
			all,
			`lab: root's session daemon does not answer, so nothing can be traced\n  what to do: ./lab -s ${stack} up starts it`,
		);
		t.false(existsSync(`${runs}/undaemonic`));
	} finally {
		await putBack(t);
	}
	t.is((await traced(t, "daemonic", "block-io", "--", ...read)).code, 0);
});
