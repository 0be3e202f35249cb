import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { project } from "../../../cli/host.ts";
import { claims } from "../../../cli/verify/claims.ts";
import { verdictTable } from "../../../cli/verify/verdict-table.ts";
import type { Verdict } from "../../../cli/verify/verify.ts";
import { asRoot } from "../../as-root.ts";
import { card } from "../scratch-lab.ts";
import { emulator, pid } from "../scratch-trace.ts";
import { left } from "./claim-fails.ts";
import { declared, wholeLab } from "./whole-lab.ts";

const ofProcess = [
	["libvirtd and root's session daemon answer", "virsh is answered by process 811, lttng by process 902"],
	[
		"they are systemd's where it runs, and else themselves",
		"systemd does not run; libvirtd is process 811, lttng-sessiond is process 902",
	],
	[
		"libvirt-qemu is in the session daemon's group",
		"id -nG libvirt-qemu: libvirt-qemu kvm tracing; /run/lttng is of tracing",
	],
	["the process is this lab's QEMU", `/proc/${pid}/exe -> ${emulator}`],
	["pgrep finds it under its name", `pgrep -x quickstart-vm: ${pid}`],
	["it is accelerated as the lab card says", "info kvm: kvm support: disabled; tcg: there is no /dev/kvm"],
	["kvm where it cannot work would be an error", "acceleration: kvm cannot work on this host: there is no /dev/kvm"],
	["QEMU is built with LTTng-UST", "0x01 (NEEDED) Shared library: [liblttng-ust.so.1]"],
	["LTTng sees its tracepoints under libvirt", `lttng list -u: 12 qemu:* tracepoints in process ${pid}`],
	["what listens, listens on 127.0.0.1", "ss -lntup: 127.0.0.1:1234"],
	["its unix sockets are not for everybody", "ss -lxp: vm.sock 755"],
	["it has no network card", "info network: none"],
] as const;
const ofGuest = [
	["the guest runs the kernel of gdb's vmlinux", `build-id ${"ab".repeat(20)} in both`],
	[
		"its modules are installed, and loaded as built",
		"/lib/modules/6.1.0/extra/first.ko, /lib/modules/6.1.0/extra/second.ko",
	],
	[
		"gdb stops the kernel at a source line",
		"hbreak tick_do_update_jiffies64: stopped at /src/kernel/time/tick-sched.c:58",
	],
	[
		"it sees the hypervisor that is expected",
		"signature TCGTCGTCGTCG, hypervisorFlag true, kernelDetects none, detectVirt qemu, dmiVendor QEMU, dmiProduct Standard PC (i440FX + PIIX, 1996), clocksource tsc",
	],
	[
		"SystemTap resolves its modules, and a probe fires",
		'2 points, such as module("first").function("f"); in the guest 3 hits of module("second").function("g")',
	],
	["its probes are compiled for its kernel", `stap_fire.ko for build-id ${"ab".repeat(20)}`],
	[
		"host and guest are on one clock",
		"± 1367 ns (in-band beacon, 90 pairs; host tsc, guest hpet); REALTIME - MONOTONIC in a trace N ns from the system's",
	],
	[
		"a trace has QEMU and the guest, causes first",
		"events: qemu 110, guest 20; none lost; 0 of 20 effects before their causes, 0 of them interrupts",
	],
	["its flight recorders record as declared", "Recording session tracelab-quickstart-flight: [active snapshot]"],
] as const;

const aboutOf = (claim: string) => claims.find((one) => one.claim === claim)?.about;

test("each claim is of a tutorial or of a contract, and each contract has a claim", (t) => {
	const tutorials = readdirSync(`${project}/docs/tutorials`).map((name) => name.replace(/\.md$/, ""));
	const text = readFileSync(`${project}/docs/architecture.md`, "utf8").split("\n## Contracts\n")[1] ?? "";
	const contracts = [...text.matchAll(/^\d\. \*\*(.+?)\*\*: /gm)].map(([, name = ""]) => name);
	t.is(contracts.length, 6);
	const seen = new Set(claims.map(({ about }) => about));
	t.deepEqual(
		[...seen].filter((about) => ![...tutorials, ...contracts].includes(about)),
		[],
	);
	t.deepEqual(
		contracts.filter((contract) => !seen.has(contract)),
		[],
	);
});

test("each claim has a test that makes it fail", (t) => {
	const texts = readdirSync(import.meta.dirname)
		.filter((name) => name.endsWith(".test.ts") && name !== "verify.test.ts")
		.map((name) => readFileSync(join(import.meta.dirname, name), "utf8"))
		.filter((text) => text.includes("fails,"));
	const without = claims.filter(({ claim }) => !texts.some((text) => text.includes(`"${claim}"`)));
	t.deepEqual(without, []);
});

asRoot("all of a lab that is as it should be holds, and nothing of the looks stays", async (t) => {
	const { lab } = await wholeLab(t);
	const { code, stdout, stderr } = await lab.lab(["verify"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	t.deepEqual(stdout.replace(/\d+ ns from/, "N ns from").split("\n"), [
		"DOMAIN  VERDICT  CLAIM",
		...[...ofProcess, ...ofGuest].flatMap(([claim, evidence]) => [
			`vm      pass     ${claim}`,
			`                   ${evidence}`,
		]),
		"",
		"21 hold, 0 fail",
	]);
	t.deepEqual(left(lab), []);
});

asRoot("of a guest that waits for its debugger, what the host shows is looked at, as JSON as well", async (t) => {
	const { lab, guest } = await wholeLab(t);
	const { vm } = card.domains;
	if (vm !== undefined) lab.up({ ...card, domains: { vm: { ...vm, gdb: { ...vm.gdb, paused: true } } }, ...declared });
	guest.state = "paused";
	lab.fake("pgrep", "echo 77");
	const { code, stdout, stderr } = await lab.lab(["verify", "--json"]);
	t.deepEqual({ code, stderr }, { code: 1, stderr: "" });
	const todo = "let it go on from its debugger (./lab gdb vm, then continue) or by: virsh resume quickstart-vm";
	t.deepEqual(JSON.parse(stdout), [
		...ofProcess.map(([claim, evidence]) =>
			claim === "pgrep finds it under its name"
				? {
						...{ domain: "vm", claim, about: "process-names", verdict: "fail" },
						evidence: `pgrep -x quickstart-vm finds 77, and not process ${pid}`,
						todo: "./lab up starts it anew, with set_process_name in /etc/libvirt/qemu.conf",
					}
				: { domain: "vm", claim, about: aboutOf(claim), verdict: "pass", evidence },
		),
		...ofGuest.map(([claim]) => ({
			...{ domain: "vm", claim, about: aboutOf(claim), verdict: "not looked at" },
			...{ evidence: 'domain "vm" is paused, as its stack file asks', todo },
		})),
	]);
	t.deepEqual(guest.asked, []);
	const { stdout: shown } = await lab.lab(["verify"]);
	t.is(shown.split("\n").at(-1), "11 hold, 1 fail, 9 not looked at");
});

asRoot("a guest that a debugger holds, and that should go on, fails each claim on it", async (t) => {
	const { lab, guest } = await wholeLab(t);
	guest.state = "paused";
	const { code, stdout } = await lab.lab(["verify"]);
	t.is(code, 1);
	t.is(stdout.split("\n").at(-1), "12 hold, 9 fail");
});

asRoot(
	"a domain without modules, probes and flight recorders has none to look at, and a program's words are one line",
	async (t) => {
		const { lab } = await wholeLab(t);
		const { vm } = card.domains;
		lab.up({ ...card, domains: { vm: { ...vm, modules: {} } }, probes: {}, traces: {} });
		lab.write("sys/kernel/notes", "");
		const { code, stdout } = await lab.lab(["verify", "--json"]);
		t.is(code, 1);
		const verdicts = (JSON.parse(stdout) as Verdict[]).filter(({ verdict }) => verdict === "not looked at");
		t.deepEqual(
			verdicts,
			[
				["its modules are installed, and loaded as built", "the domain has no modules"],
				["SystemTap resolves its modules, and a probe fires", "the domain has no modules"],
				["its probes are compiled for its kernel", "the domain has no probes"],
				["its flight recorders record as declared", "the domain has no flight recorders"],
			].map(([claim = "", evidence = ""]) => ({
				...{ domain: "vm", claim, about: aboutOf(claim), verdict: "not looked at", evidence },
			})),
		);
	},
);

asRoot("a guest that does not run fails each claim on it with the reason", async (t) => {
	const { lab, guest } = await wholeLab(t);
	guest.state = "shut off";
	const { code, stdout } = await lab.lab(["verify", "--json"]);
	t.is(code, 1);
	const last = (JSON.parse(stdout) as Verdict[]).slice(ofProcess.length);
	t.deepEqual(
		last,
		ofGuest.map(([claim]) => ({
			...{ domain: "vm", claim, about: aboutOf(claim), verdict: "fail" },
			...{ evidence: 'domain "vm" is shut off', todo: "start it: ./lab up" },
		})),
	);
});

asRoot("what nobody foresaw is a row that fails, and no other row is lost by it", async (t) => {
	const { lab } = await wholeLab(t);
	const clocksource = "sys/devices/system/clocksource/clocksource0/current_clocksource";
	rmSync(join(lab.root, clocksource));
	const { code, stdout, stderr } = await lab.lab(["verify", "--json"]);
	t.deepEqual({ code, stderr }, { code: 1, stderr: "" });
	const verdicts = JSON.parse(stdout) as Verdict[];
	t.is(verdicts.length, claims.length);
	const failed = verdicts.filter(({ verdict }) => verdict === "fail");
	t.deepEqual(
		failed.map(({ claim, evidence, todo }) => [claim, evidence.replace(/ at .*/, ""), todo]),
		["host and guest are on one clock", "a trace has QEMU and the guest, causes first"].map((claim) => [
			claim,
			`Error: ENOENT: no such file or directory, open '${lab.root}/${clocksource}'`,
			"nobody foresaw it: report it, with these words",
		]),
	);
	for (const { evidence } of failed) t.regex(evidence, / at \w+ \(\S+\/cli\/clock\/system-clock\.ts:\d+:\d+\)$/);
	t.deepEqual(left(lab), []);
});

asRoot("Ctrl-C ends what is being looked at, and nothing of it stays", async (t) => {
	const { lab } = await wholeLab(t);
	lab.write("guest-bin/dd", `#!/bin/sh\n: >'${lab.root}/reads'; sleep 1\n`, 0o755);
	const child = spawn(process.execPath, [`${project}/cli/main.ts`, "verify"], {
		...{ detached: true, env: lab.env, stdio: ["ignore", "ignore", "pipe"] },
	});
	let said = "";
	child.stderr?.on("data", (bytes) => {
		said += bytes;
	});
	const ended = new Promise((resolve) => child.once("close", resolve));
	while (!existsSync(join(lab.root, "reads"))) await pause(20);
	process.kill(-(child.pid ?? 0), "SIGINT");
	t.is(await ended, 1);
	t.is(said, "lab: interrupted\n");
	t.deepEqual(left(lab), []);
});

asRoot("a guest that its debugger stops while it is traced leaves a run, and how to end it is said", async (t) => {
	const { lab, guest } = await wholeLab(t);
	// Longer than it takes to stop the guest, so that the run is being recorded then.
	lab.write("guest-bin/dd", `#!/bin/sh\n: >'${lab.root}/reads'; exec sleep 60\n`, 0o755);
	const verifying = lab.lab(["verify", "--json"]);
	while (!existsSync(join(lab.root, "reads"))) await pause(20);
	guest.state = "paused";
	const { code, stdout } = await verifying;
	t.is(code, 1);
	const claim = "a trace has QEMU and the guest, causes first";
	const { evidence, todo = "" } = (JSON.parse(stdout) as Verdict[]).find((one) => one.claim === claim) ?? {};
	const [, run = ""] = /^domain "vm" is paused: run (verify-\d+) is still being recorded$/.exec(evidence ?? "") ?? [];
	t.not(run, "", evidence);
	t.is(
		todo,
		`let it go on from its debugger (./lab gdb vm, then continue) or by: virsh resume quickstart-vm; then end the run: ./lab trace stop ${run}, then ./lab trace rm ${run}`,
	);
	guest.state = "running";
	for (const args of [
		["trace", "stop", run],
		["trace", "rm", "-y", run],
	]) {
		const { code, stderr } = await lab.lab(args);
		t.is(code, 0, stderr);
	}
	t.deepEqual(left(lab), []);
});

test("the table can be read in 80 columns: what is said is broken between words, and advice is given once", (t) => {
	const todo = "start it: ./lab up";
	const shown = verdictTable(
		[
			{
				...{ domain: "vm", claim: "the process is this lab's QEMU", about: "gdb", verdict: "pass" },
				evidence: "/proc/11855/exe -> /opt/tracelab/qemu/39d9afdc3ecde393/bin/qemu-system-x86_64",
			},
			{
				...{ domain: "vm", claim: "gdb stops the kernel at a source line", about: "gdb", verdict: "fail" },
				...{ evidence: 'domain "vm" is shut off', todo },
			},
			{
				...{ domain: "vm", claim: "host and guest are on one clock", about: "gdb", verdict: "fail" },
				...{ evidence: 'domain "vm" is shut off', todo },
			},
			{
				...{
					domain: "vm",
					claim: "SystemTap resolves its modules, and a probe fires",
					about: "systemtap",
					verdict: "not looked at",
				},
				evidence: "the domain has no modules",
			},
		],
		80,
	);
	t.is(
		shown,
		`DOMAIN  VERDICT        CLAIM
vm      pass           the process is this lab's QEMU
                         /proc/11855/exe ->
                         /opt/tracelab/qemu/39d9afdc3ecde393/bin/qemu-system-x86_64
vm      fail           gdb stops the kernel at a source line
                         domain "vm" is shut off
vm      fail           host and guest are on one clock
                         domain "vm" is shut off
                         what to do: start it: ./lab up
vm      not looked at  SystemTap resolves its modules, and a probe fires
                         the domain has no modules`,
	);
});
