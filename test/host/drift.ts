import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import test, { type ExecutionContext } from "ava";
import { guestToolsPrefix } from "../../spec/build-prefixes.ts";
import {
	answers,
	booted,
	bzImage,
	edited,
	ofAnotherBuild,
	otherBzImage,
	otherKernel,
	restart,
	virsh,
} from "./definition.ts";
import { noteAbsent, unlikeDocs } from "./drift-table.ts";
import { type Drift, drifted, drifts } from "./drifted.ts";
import { ProjectCopy } from "./project-copy.ts";
import { card, copy, domainCard, host, lab, libvirtName, pidOf, skip, stack } from "./proof.ts";

const drift = test.macro((t: ExecutionContext, what: Drift) => drifted(t, t.title, what));

test("nothing has drifted yet", async (t) => {
	// What the tests before this one took out of the stack file.
	const { code, all } = await lab("up");
	t.is(code, 0, all);
	t.deepEqual(drifts((await lab("preview")).all), []);
});

test("libvirt-qemu taken out of the group tracing", drift, {
	byHand: () => "gpasswd -d libvirt-qemu tracing",
	said: ["libvirt-qemu is not in group tracing"],
	guest: "goes on",
});

test("the session daemon killed", drift, {
	byHand: () => "pkill -x lttng-sessiond; while pgrep -x -r R,S,D lttng-sessiond; do sleep 0.1; done",
	said: ["no root session daemon (lttng-sessiond) is running"],
	guest: "goes on",
});

test("set_process_name taken out of qemu.conf", drift, {
	byHand: () => "sed -i '/^# tracelab BEGIN/,/^# tracelab END/d' /etc/libvirt/qemu.conf",
	said: ["set_process_name is not 1 in /etc/libvirt/qemu.conf"],
	guest: "goes on",
});

test("libvirtd killed", drift, {
	byHand: () => "pkill -9 -x libvirtd; while pgrep -x -r R,S,D libvirtd; do sleep 0.1; done",
	said: ["libvirtd is not running"],
	guest: "goes on",
});

test("virtlogd stopped", async (t) => {
	if (existsSync("/run/systemd/system")) {
		noteAbsent(t.title);
		return skip(t, "systemd starts virtlogd whenever it is asked");
	}
	await drift.exec(t, {
		byHand: () => "pkill -x virtlogd; while pgrep -x -r R,S,D virtlogd; do sleep 0.1; done",
		said: ["virtlogd is not running"],
		guest: "goes on",
	});
});

test("/dev/kvm closed", async (t) => {
	if (!existsSync("/var/lib/tracelab/ledger/kvm-access")) {
		noteAbsent(t.title);
		return skip(t, "this host has no /dev/kvm that the lab opened");
	}
	await drift.exec(t, {
		byHand: () => "chmod 600 /dev/kvm",
		said: [/^\/dev\/kvm is not open to the group kvm \(root:kvm 600\)$/],
		guest: "goes on",
	});
});

test("a package removed", drift, {
	byHand: () => "dpkg --remove --force-depends babeltrace2",
	said: ["packages not installed: babeltrace2"],
	guest: "goes on",
});

test("a file of a build truncated", drift, {
	byHand: () => `truncate -s 0 ${domainCard().modules["mymodule"]?.file}`,
	said: [/^\/opt\/tracelab\/module\/[0-9a-f]{16}\/mymodule\.ko is not as it was built$/],
	guest: "goes on",
});

test("a whole build deleted", drift, {
	byHand: () => `rm -rf ${domainCard().modules["mymodule"]?.source}`,
	said: [/^module mymodule is not built \(\/opt\/tracelab\/module\/[0-9a-f]{16} is absent\)$/],
	guest: "goes on",
});

/** The kernel's build. */
const kernel = () => String(card().kernels["main"]?.prefix);
const builds = "/var/cache/tracelab/builds";

test("vmlinux replaced by another ELF file: another kernel's, where one is built", drift, {
	byHand: async () => {
		const vmlinux = `${kernel()}/vmlinux`;
		const others = host(`ls -d /opt/tracelab/kernel/*/vmlinux ${builds}/kernel/*/vmlinux 2>/dev/null || :`)
			.split("\n")
			.filter((path) => path !== "" && path !== vmlinux);
		writeFileSync(vmlinux, others[0] === undefined ? ofAnotherBuild(vmlinux) : readFileSync(others[0]));
	},
	said: [/^\/opt\/tracelab\/kernel\/[0-9a-f]{16}\/vmlinux is not as it was built$/],
	guest: "goes on",
});

test("a kernel's build tree deleted", drift, {
	byHand: () => `rm -r ${kernel()}/build`,
	said: [/^\/opt\/tracelab\/kernel\/[0-9a-f]{16}\/build\/Makefile is not as it was built$/],
	guest: "goes on",
});

test("a kernel's build moved into the cache", drift, {
	byHand: () => `mkdir -p ${builds}/kernel; mv -T ${kernel()} ${builds}/${kernel().replace("/opt/tracelab/", "")}`,
	said: [
		/^the kernel \/opt\/tracelab\/kernel\/[0-9a-f]{16} is not built$/,
		/^the kernel is not built \(\/opt\/tracelab\/kernel\/[0-9a-f]{16} is absent\)$/,
	],
	guest: "goes on",
});

test("QEMU's build moved into the cache", async (t) => {
	const { emulator } = domainCard();
	const prefix = String(card().qemu["main"]?.prefix);
	const cached = prefix.replace("/opt/tracelab", builds);
	host(`mkdir -p ${builds}/qemu`);
	if (statSync(prefix).dev !== statSync(`${builds}/qemu`).dev) {
		noteAbsent(t.title);
		return skip(t, "/opt and /var/cache are two file systems here: it would be copied, and the guest's own be gone");
	}
	await drift.exec(t, {
		byHand: () => `rm -rf ${cached}; mv -T ${prefix} ${cached}`,
		said: [
			`QEMU is not built (${prefix} is absent)`,
			`domain ${libvirtName} runs on ${emulator.replace(prefix, cached)}, not on ${emulator}`,
		],
		guest: "goes on",
	});
});

test("a module's source deleted", drift, {
	byHand: () => `rm -r ${domainCard().modules["mymodule"]?.source}/source`,
	said: [/^\/opt\/tracelab\/module\/[0-9a-f]{16}\/source is not as it was built$/],
	guest: "goes on",
});

test("the module's file in the guest changed", drift, {
	byHand: () => `echo >>$(echo /var/lib/tracelab/domains/${libvirtName}/root/lib/modules/*/extra/mymodule.ko)`,
	said: [`module mymodule in /var/lib/tracelab/domains/${libvirtName} is not the one that was built`],
	guest: "goes on",
});

test("a program of the lab deleted from what the guest sees", drift, {
	byHand: () => `rm /var/lib/tracelab/domains/${libvirtName}/root/bin/clock-beacon`,
	said: [`in /var/lib/tracelab/domains/${libvirtName}/root/bin, not as built: clock-beacon`],
	guest: "goes on",
});

test("the build of the lab's programs for guests deleted", drift, {
	byHand: () => `rm -r ${guestToolsPrefix()}`,
	said: [`the guests' toolset is not built (${guestToolsPrefix()} is absent)`],
	guest: "goes on",
});

test("the module unloaded", drift, {
	byHand: () => `${copy.folder}/lab -s ${stack} exec vm -- rmmod mymodule`,
	said: [`module mymodule is not loaded in ${libvirtName}`],
	guest: "goes on",
});

test("the guest paused", drift, {
	byHand: () => `${virsh} suspend ${libvirtName}`,
	said: [`domain ${libvirtName} is paused`],
	guest: "goes on",
});

// Some seconds later, since the agent has to say first how that command ended.
const stopsItsAgent = "sleep 5; systemctl stop --no-block tracelab-agent";

test("the guest agent stopped", drift, {
	byHand: async () => {
		const detached = `setsid sh -c '${stopsItsAgent}' >/dev/null 2>&1 </dev/null &`;
		const { code, all } = await lab("exec", "vm", "--", "sh", "-c", detached);
		if (code !== 0) throw new Error(all);
		host(`while ${answers}; do sleep 0.5; done`);
	},
	said: [`the guest agent of ${libvirtName} does not answer`],
	guest: "starts again",
});

test("the gdbstub switched off", drift, {
	byHand: () => `${virsh} qemu-monitor-command ${libvirtName} --hmp 'gdbserver none'`,
	said: [`no gdbstub of ${libvirtName} listens on 127.0.0.1:12340`],
	guest: "starts again",
});

test("the domain stopped", drift, {
	byHand: () => `virsh -c qemu:///system destroy ${libvirtName}`,
	said: [`domain ${libvirtName} is shut off`],
	guest: "starts again",
});

test("the domain stopped and undefined", drift, {
	byHand: () => `virsh -c qemu:///system destroy ${libvirtName}; virsh -c qemu:///system undefine ${libvirtName}`,
	said: [`domain ${libvirtName} is not defined`],
	guest: "starts again",
});

test("the domain's definition edited", drift, {
	byHand: () => edited("s/<vcpu.*/<vcpu>1<\\/vcpu>/"),
	said: [`the definition of domain ${libvirtName} was edited`],
	guest: "goes on",
});

test("the domain started on another QEMU", async (t) => {
	const { emulator } = domainCard();
	// Beside the other, since there it finds its firmware.
	const other = emulator.replace("/bin/", "/bin/other-");
	t.teardown(() => rmSync(other, { force: true }));
	await drift.exec(t, {
		byHand: () => `cp ${emulator} ${other}; ${edited(`s,${emulator},${other},`)}; ${restart}`,
		said: [
			new RegExp(`^the definition of domain ${libvirtName} was edited; domain ${libvirtName} runs on .*/other-qemu`),
		],
		guest: "starts again",
	});
});

test("the domain started on another kernel", async (t) => {
	t.teardown(() => rmSync(otherBzImage, { force: true }));
	await drift.exec(t, {
		byHand: () => {
			otherKernel();
			return `${edited(`s,${bzImage()},${otherBzImage},`)}; ${restart}; ${booted}`;
		},
		said: [
			new RegExp(
				`^the definition of domain ${libvirtName} was edited; ${libvirtName} runs a kernel with build-id [0-9a-f]{40}, gdb's vmlinux has ${card().kernels["main"]?.buildId}$`,
			),
		],
		guest: "starts again",
	});
});

test("the domain started under another process name", drift, {
	byHand: () => `${edited("s/process=[^\\x27]*/process=other/")}; ${restart}`,
	said: [
		new RegExp(
			`^the definition of domain ${libvirtName} was edited; the process of ${libvirtName} is named other, not ${libvirtName}`,
		),
	],
	guest: "starts again",
});

test("the domain's disk deleted", drift, {
	byHand: () => `rm /var/lib/tracelab/pools/${stack}/*.qcow2`,
	said: [new RegExp(`^the disk /var/lib/tracelab/pools/${stack}/\\S+ of ${libvirtName} is gone$`)],
	guest: "starts again",
});

const pool = `tracelab-${stack}`;

test("the pool stopped", drift, {
	byHand: () => `${virsh} pool-destroy ${pool}`,
	said: [`pool ${pool} is inactive`],
	guest: "goes on",
});

test("the pool stopped and undefined", drift, {
	byHand: () => `${virsh} pool-destroy ${pool}; ${virsh} pool-undefine ${pool}`,
	said: [`pool ${pool} is not defined`],
	guest: "goes on",
});

test("the pool's folder deleted", drift, {
	byHand: () => `rm -r /var/lib/tracelab/pools/${stack}`,
	said: [
		new RegExp(`^the disk /var/lib/tracelab/pools/${stack}/\\S+ of ${libvirtName} is gone$`),
		`the folder /var/lib/tracelab/pools/${stack} of pool ${pool} is gone`,
	],
	guest: "starts again",
});

test("the image deleted", async (t) => {
	const prefix = card().images["main"]?.prefix;
	const done = async (...args: string[]) => {
		const { code, stdout, all } = await lab(...args);
		t.is(code, 0, all);
		return stdout.trim();
	};
	// Of the packages that it was made of, whatever Debian has by now.
	await done("lock", "image-main");
	await done("up");
	await done("exec", "vm", "--", "sh", "-c", "echo kept >/root/kept; sync");
	// Where it came out as another one, a lab of somebody's own would lose what its guests wrote.
	const aside = `${prefix}.aside`;
	try {
		await drift.exec(t, {
			byHand: () => `mv ${prefix} ${aside}`,
			said: [/^the guest image is not built \(\/opt\/tracelab\/image\/[0-9a-f]{16} is absent\)$/],
			guest: "goes on",
		});
		// From now on its QEMU reads the image that was made again.
		host(`${virsh} destroy ${libvirtName}`);
		await done("up");
		t.is(await done("exec", "vm", "--", "cat", "/root/kept"), "kept");
	} finally {
		host(`rm -rf ${prefix}; mv ${aside} ${prefix}`);
		rmSync(`${copy.folder}/stacks/${stack}.lock.yaml`, { force: true });
	}
	const pid = pidOf();
	await done("up");
	t.is(pidOf(), pid);
	await done("exec", "vm", "--", "rm", "/root/kept");
});

test("the gdb port taken while the domain is down", async (t) => {
	const { port } = domainCard().gdb;
	const server = createServer();
	t.teardown(() => server.close());
	await drifted(t, t.title, {
		byHand: () => {
			host(`${virsh} destroy ${libvirtName}`);
			return new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
		},
		said: [`domain ${libvirtName} is shut off`],
		refused: async (said) => {
			t.regex(said, new RegExp(`cannot start: its gdb port ${port} is in use by .*process ${process.pid}`));
			await new Promise((resolve) => server.close(resolve));
		},
		guest: "starts again",
	});
});

test("the reservation of the gdb port deleted", drift, {
	byHand: () => "rm /var/lib/tracelab/ports/12340",
	said: [`no gdb port is reserved for ${libvirtName}`],
	guest: "goes on",
});

test("an entry of the ledger deleted", drift, {
	byHand: () => `rm /var/lib/tracelab/ledger/set-process-name/owners/${stack}`,
	said: ["the ledger entry set-process-name is missing"],
	guest: "goes on",
});

test("the ledger's entries deleted, all but /dev/kvm's", drift, {
	// Each for all stacks; what was there before them, the last test of all looks for.
	byHand: () =>
		"cd /var/lib/tracelab/ledger; rm -r libvirtd lttng-sessiond packages set-process-name tracing-group tracing-member",
	said: [
		"the ledger entry packages is missing",
		"the ledger entry set-process-name is missing; the ledger entry libvirtd is missing",
		"the ledger entry tracing-group is missing; the ledger entry tracing-member is missing; the ledger entry lttng-sessiond is missing",
	],
	guest: "goes on",
});

test("the ledger's entry of /dev/kvm deleted", async (t) => {
	const entry = "/var/lib/tracelab/ledger/kvm-access";
	if (!existsSync(entry)) {
		noteAbsent(t.title);
		return skip(t, "this host has no /dev/kvm that the lab opened");
	}
	await drift.exec(t, {
		byHand: () => `rm -r ${entry}`,
		said: ["the ledger entry kvm-access is missing"],
		guest: "goes on",
	});
});

test("the copy of an entry of the ledger deleted", drift, {
	// What other labs have in it is theirs.
	byHand: () => `cd /var/lib/tracelab/ledger-copy/packages && rm before owners/${stack}`,
	said: ["the copy of the ledger entry packages is missing"],
	guest: "goes on",
});

test("the lab card deleted", drift, {
	byHand: () => `rm /var/lib/tracelab/labs/${stack}.json`,
	said: [`the lab card /var/lib/tracelab/labs/${stack}.json is not what the stack says`],
	guest: "goes on",
});

test("Pulumi's state deleted: the next up takes the lab over", async (t) => {
	host(`rm ${copy.folder}/.state/.pulumi/stacks/tracelab/${stack}.json*`);
	const { code, all } = await lab("up");
	t.is(code, 0, all);
	t.regex(all, /the state of stack "proof" was lost: its lab is taken over, and its domains are made anew: vm$/m);
	const after = await lab("preview", "--", "--expect-no-changes");
	t.is(after.code, 0, after.all);
});

test("an up from another project is an error that names ours, and touches nothing", async (t) => {
	const pid = pidOf();
	const other = new ProjectCopy();
	t.teardown(() => other.remove());
	other.write(`stacks/${stack}.yaml`, readFileSync(`${copy.folder}/stacks/${stack}.yaml`, "utf8"));
	const { code, all } = await other.lab("-s", stack, "up");
	t.is(code, 1);
	t.true(all.includes(`the lab of stack "${stack}" is up from another project: ${copy.folder}\n`), all);
	t.is(pidOf(), pid);
});

test("from a copy of the project, with its state, an up and a destroy are errors that name ours, and touch nothing", async (t) => {
	const pid = pidOf();
	const other = new ProjectCopy();
	t.teardown(() => other.remove());
	host(`cp -a ${copy.folder}/.state ${copy.folder}/stacks ${other.folder}/`);
	const runs = [
		await other.lab("-s", stack, "up"),
		await other.lab("-s", stack, "destroy", "--yes"),
		await other.pulumi(`destroy --yes --skip-preview --stack ${stack}`),
	];
	for (const { code, all } of runs) {
		t.not(code, 0, all);
		t.regex(all, new RegExp(`the lab of stack "?${stack}"? is up from another project: ${copy.folder}$`, "m"));
	}
	t.is(pidOf(), pid);
	const { code, all } = await lab("preview", "--", "--expect-no-changes");
	t.is(code, 0, all);
});

test("docs/reliability.md has each of these as it was seen, and no other", (t) => {
	t.deepEqual(unlikeDocs(), { notInDocs: [], notSeen: [] });
});
