import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { Verdict } from "../../cli/verify/verify.ts";
import { askedFor } from "../../spec/acceleration.ts";
import { booted, bzImage, edited, otherBzImage, otherKernel, restart, virsh } from "./definition.ts";
import { card, copy, domainCard, host, lab, libvirtName, pidOf, stack } from "./proof.ts";
import { registered } from "./traced.ts";

const file = `stacks/${stack}.yaml`;
const session = `tracelab-${stack}-flight`;
const root = `/var/lib/tracelab/domains/${libvirtName}/root`;
const traces = "traces: { flight: { domains: [vm], profile: block-io } }\n";

const debian = "/usr/bin/qemu-system-x86_64";

const monitor = (command: string) => host(`${virsh} qemu-monitor-command ${libvirtName} --hmp '${command}'`);

async function failures(): Promise<{ code: number; failed: Verdict[]; all: string }> {
	const { code, stdout, all } = await lab("verify", "--json");
	return { code, failed: (JSON.parse(stdout) as Verdict[]).filter(({ verdict }) => verdict === "fail"), all };
}

const inGuest = async (script: string): Promise<void> => {
	const { code, all } = await lab("exec", "vm", "--", "sh", "-c", script);
	if (code !== 0) throw new Error(all);
};

/** Looks after something was done by hand, and puts it back: these claims alone fail, each with its words. */
async function failing(
	t: ExecutionContext,
	byHand: () => Promise<void>,
	putBack: () => Promise<void>,
	wanted: readonly (readonly [claim: string, evidence: string | RegExp])[],
): Promise<void> {
	t.timeout(600_000);
	try {
		await byHand();
		const { code, failed, all } = await failures();
		t.is(code, 1, all);
		t.deepEqual(
			failed.map(({ claim }) => claim),
			wanted.map(([claim]) => claim),
			all,
		);
		for (const [index, [, evidence]] of wanted.entries()) {
			const said = failed[index]?.evidence ?? "";
			if (evidence instanceof RegExp) t.regex(said, evidence);
			else t.is(said, evidence);
		}
	} finally {
		await putBack();
		const { code, all } = await lab("up");
		t.is(code, 0, all);
	}
}

test("verify looks at all that the lab claims, and all of it holds; it leaves nothing in the home of who asks", async (t) => {
	const home = mkdtempSync(join(tmpdir(), "tracelab-home-"));
	t.teardown(() => rmSync(home, { recursive: true }));
	const { code, stdout } = await copy.bash(`HOME=${home} ./lab -s ${stack} verify`);
	t.is(code, 0, stdout);
	t.log(stdout);
	t.regex(stdout, /^\d+ hold, 0 fail(?:, \d not looked at)?$/m);
	t.deepEqual(readdirSync(home), []);
});

test("verify names a module that was unloaded, and the next up mends it", async (t) => {
	t.is((await lab("exec", "vm", "--", "rmmod", "mymodule")).code, 0);
	const { code, failed, all } = await failures();
	t.is(code, 1);
	t.deepEqual(
		failed.map(({ claim, evidence }) => [claim, evidence]),
		[["its modules are installed, and loaded as built", "module mymodule is not loaded"]],
		all,
	);
	t.is((await lab("up")).code, 0);
	t.deepEqual((await failures()).failed, []);
});

test("a probe and a flight recorder of the stack file are claims as well", async (t) => {
	t.timeout(600_000);
	const text = readFileSync(join(copy.folder, file), "utf8");
	const probes = "probes: { mymodule: { script: examples/mymodule.stp, domain: vm } }\n";
	copy.write(file, `${text.includes("probes:") ? "" : probes}${text}`.replace("domains:", `${traces}domains:`));
	const up = await lab("up");
	t.is(up.code, 0, up.all);
	const { code, stdout } = await lab("verify");
	t.log(stdout);
	t.is(code, 0, stdout);
	t.regex(stdout, /^ +stap_mymodule\.ko for build-id [0-9a-f]{40}$/m);
	t.regex(stdout, new RegExp(`^ +.*${session}: \\[active snapshot\\]$`, "m"));
	t.regex(
		stdout,
		/^ +5 points, such as .*; in the guest \d+ hits of module\("mymodule"\)\.function\("mymodule_read"\)$/m,
	);
	t.regex(stdout, /^21 hold, 0 fail$/m);
});

test("verify names another QEMU, another process name, another kernel, and a gdbstub that is off", async (t) => {
	const { emulator } = domainCard();
	const { vmlinux, buildId } = card().kernels["main"] ?? { vmlinux: "", buildId: "" };
	const changes = [`s,${emulator},${debian},`, "s/process=[^\\x27]*/process=other/", `s,${bzImage()},${otherBzImage},`];
	const unseen = "process \\d+ of vm is not built with LTTng-UST";
	const probe = (name: string) =>
		new RegExp(`^probe "${name}" is for a kernel with build-id ${buildId}, and "vm" runs one with [0-9a-f]{40}$`);
	await failing(
		t,
		async () => {
			otherKernel();
			host(`${edited(changes.join("; "))}; ${restart}; ${booted}`);
			monitor("gdbserver none");
		},
		async () => rmSync(otherBzImage, { force: true }),
		[
			["the process is this lab's QEMU", new RegExp(`^/proc/\\d+/exe is ${debian}, not ${emulator}$`)],
			// The one before may be a zombie still.
			[
				"pgrep finds it under its name",
				new RegExp(`^pgrep -x ${libvirtName} finds (?:nothing|\\d+), and not process \\d+$`),
			],
			["LTTng sees its tracepoints under libvirt", new RegExp(`^${unseen}$`)],
			[
				"what listens, listens on 127.0.0.1",
				/^process \d+ has no gdbstub on 127\.0\.0\.1:12340; it listens on nothing$/,
			],
			[
				"the guest runs the kernel of gdb's vmlinux",
				new RegExp(`^the guest's kernel has build-id [0-9a-f]{40}, ${vmlinux} has ${buildId}$`),
			],
			["gdb stops the kernel at a source line", "no gdbstub listens on 127.0.0.1:12340"],
			["SystemTap resolves its modules, and a probe fires", probe("verify")],
			["its probes are compiled for its kernel", probe("mymodule")],
			["host and guest are on one clock", new RegExp(`^not in band: ${unseen}$`)],
			[
				"a trace has QEMU and the guest, causes first",
				new RegExp(`^domain vm \\(process \\d+\\) runs on ${debian}, not on ${emulator}$`),
			],
			[
				"its flight recorders record as declared",
				new RegExp(
					`^trace session ${session} follows process \\d+, and its domains have \\d+; there is no trace session ${session} in guest vm$`,
				),
			],
		],
	);
});

test("verify names a group that was left, an address, a socket and a network that were opened, a probe that is gone, a recorder that was stopped", async (t) => {
	const socket = domainCard().console.socket;
	await failing(
		t,
		async () => {
			host(`gpasswd -d libvirt-qemu tracing; chmod o+w ${socket}; rm ${root}/probes/stap_mymodule.ko`);
			monitor("netdev_add user,id=stray");
			monitor("chardev-add socket,id=stray,host=127.0.0.2,port=12341,server=on,wait=off");
			host(`lttng stop ${session}`);
		},
		async () => {
			monitor("netdev_del stray");
			monitor("chardev-remove stray");
			host(`chmod o-w ${socket}`);
		},
		[
			[
				"libvirt-qemu is in the session daemon's group",
				"libvirt-qemu is not in group tracing, so it may not control root's session daemon",
			],
			["what listens, listens on 127.0.0.1", `process ${pidOf()} listens on 127.0.0.2:12341`],
			[
				"its unix sockets are not for everybody",
				`process ${pidOf()} listens on ${socket}, which everybody may write to`,
			],
			["it has no network card", /^info network: stray: index=0,type=user,/],
			["its probes are compiled for its kernel", 'probe "mymodule" is not compiled'],
			["its flight recorders record as declared", `trace session ${session} is stopped`],
		],
	);
});

test("verify names a daemon's folder of another group, a reason that is none, a probe that the guest cannot see, an event that is not recorded", async (t) => {
	const { kind, reason } = domainCard().acceleration;
	await failing(
		t,
		async () => {
			host("chgrp root /run/lttng");
			host(`sed -i 's|"reason": ".*"|"reason": "it was so"|' /var/lib/tracelab/labs/${stack}.json`);
			await inGuest("mount -t tmpfs none /lab/probes");
			host(`lttng disable-event --session=${session} --userspace --channel=main qemu:blk_co_preadv`);
		},
		async () => {
			host("chgrp tracing /run/lttng");
			await inGuest("umount /lab/probes");
		},
		[
			[
				"libvirt-qemu is in the session daemon's group",
				"/run/lttng is of root: root's session daemon was started before there was a group tracing",
			],
			[
				"it is accelerated as the lab card says",
				`the lab card says ${kind}: it was so; it would be ${kind} now: ${reason}`,
			],
			["SystemTap resolves its modules, and a probe fires", /^"vm" does not see \/lab\/probes\/stap_once_\d+\.ko$/],
			["its probes are compiled for its kernel", '"vm" does not see /lab/probes/stap_mymodule.ko'],
			["its flight recorders record as declared", `trace session ${session} does not record: qemu:blk_co_preadv`],
		],
	);
});

test("verify names a card's QEMU that is another and has no UST, its acceleration that is another and cannot work, a guest without staprun, a guest whose kernel is not recorded", async (t) => {
	const { acceleration, emulator } = domainCard();
	const { kind, reason } = acceleration;
	const other = kind === "kvm" ? "tcg" : "kvm";
	const refusal = [
		"kvm where it cannot work would be an error",
		`acceleration: kvm cannot work on this host: ${reason}`,
	] as const;
	// A card of a host with KVM says tcg by now, which works anywhere.
	const refused = other === "kvm" ? [refusal] : [];
	const signatures = { kvm: "KVMKVMKVM", tcg: "TCGTCGTCGTCG" };
	await failing(
		t,
		async () => {
			const changes = [
				`s|"kind": "${kind}"|"kind": "${other}"|`,
				`s|"reason": ".*"|"reason": "${askedFor}"|`,
				`s|"emulator": ".*"|"emulator": "${debian}"|`,
			];
			host(`sed -i '${changes.join("; ")}' /var/lib/tracelab/labs/${stack}.json`);
			await inGuest(`mv /usr/bin/staprun /usr/bin/staprun.aside; lttng -n destroy ${session}`);
		},
		() => inGuest("mv /usr/bin/staprun.aside /usr/bin/staprun"),
		[
			["the process is this lab's QEMU", `/proc/${pidOf()}/exe is ${emulator}, not ${debian}`],
			[
				"it is accelerated as the lab card says",
				`info kvm: kvm support: ${kind === "kvm" ? "enabled" : "disabled"}, and the lab card says ${other}: ${askedFor}`,
			],
			...refused,
			["QEMU is built with LTTng-UST", `${debian} is not linked with liblttng-ust`],
			[
				"it sees the hypervisor that is expected",
				`signature is ${signatures[kind]}, and ${signatures[other]} is expected`,
			],
			["SystemTap resolves its modules, and a probe fires", '"vm" has no staprun'],
			["its probes are compiled for its kernel", '"vm" has no staprun'],
			[
				"a trace has QEMU and the guest, causes first",
				`domain vm (process ${pidOf()}) runs on ${emulator}, not on ${debian}`,
			],
			["its flight recorders record as declared", `there is no trace session ${session} in guest vm`],
		],
	);
});

test("verify names a probe for another kernel, and a wall clock that is set while it looks", async (t) => {
	const kernel = `${card().probes["mymodule"]?.prefix}/kernel`;
	const other = "ab".repeat(20);
	// A second on, again and again, until its file is gone; what it says would keep the agent waiting.
	const setting = `while [ -e /run/setting ]; do date -s "+1 second"; sleep 0.2; done`;
	await failing(
		t,
		async () => {
			host(`cp -p ${kernel} ${kernel}.aside; echo ${other} >${kernel}`);
			await inGuest(`touch /run/setting; setsid sh -c '${setting}' >/dev/null 2>&1 &`);
		},
		async () => {
			host(`mv ${kernel}.aside ${kernel}`);
			await inGuest(`rm /run/setting; sleep 1; date -s @${Math.round(Date.now() / 1000) + 1} >/dev/null`);
		},
		[
			[
				"its probes are compiled for its kernel",
				new RegExp(`^probe "mymodule" is for a kernel with build-id ${other}, and "vm" runs one with [0-9a-f]{40}$`),
			],
			[
				"a trace has QEMU and the guest, causes first",
				/^guest\/vm\/\S+: the wall clock was set by \d+ ns since it was recorded$/,
			],
		],
	);
});

test("verify names the session daemon that is down, and libvirtd that is down", async (t) => {
	t.timeout(600_000);
	const gone = (name: string) => `while pgrep -x -r R,S,D ${name}; do sleep 0.1; done`;
	for (const [byHand, words] of [
		[`pkill -x lttng-sessiond; ${gone("lttng-sessiond")}`, /^root's session daemon does not answer: Error: .+$/],
		[`pkill -9 -x libvirtd; ${gone("libvirtd")}`, /^libvirtd does not answer$/],
	] as const) {
		try {
			host(byHand);
			const { code, failed, all } = await failures();
			t.is(code, 1, all);
			t.is(failed[0]?.claim, "libvirtd and root's session daemon answer", all);
			t.regex(failed[0]?.evidence ?? "", words);
		} finally {
			const { code, all } = await lab("up");
			t.is(code, 0, all);
			t.true(await registered());
		}
	}
	t.deepEqual((await failures()).failed, []);
	copy.edit(file, traces, "");
	const { code, all } = await lab("up");
	t.is(code, 0, all);
});
