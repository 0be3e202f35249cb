import { appendFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { stepProgram } from "../../components/step-program.ts";
import { fakeDaemons } from "./fake-daemons.ts";
import { runs, ScratchHost } from "./run-step.ts";

const step = "libvirt-host";
const inputs = { emulators: ["/opt/tracelab/qemu/0123456789abcdef"] };
// No newline at its end: what we add must not give it one.
const original = '# Master configuration file\n#set_process_name = 1\nuser = "libvirt-qemu"';
const ours = `# tracelab BEGIN
# Names each QEMU process after its domain. The first line of its kind wins over later ones.
set_process_name = 1
# tracelab END
`;

function host(t: ExecutionContext, conf = original): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("etc/libvirt/qemu.conf", conf, 0o600);
	fakeDaemons(scratch);
	return scratch;
}

async function startLibvirt(scratch: ScratchHost): Promise<string> {
	await scratch.bash(`for d in virtlogd libvirtd; do setsid "$(command -v $d)" -d </dev/null >/dev/null 2>&1; done`);
	return scratch.read("run/libvirtd.pid");
}

test("an untouched host is drift, is mended once, and goes back byte for byte", async (t) => {
	const scratch = host(t);
	const before = scratch.hostTree();
	t.is(
		(await scratch.step(step, "probe", inputs)).stdout["drift"],
		"set_process_name is not 1 in /etc/libvirt/qemu.conf; libvirtd is not running",
	);
	const first = await scratch.step(step, "apply", inputs);
	t.deepEqual(first.stdout, { uri: "qemu:///system" });
	t.is(first.stderr, "libvirt-host: set_process_name = 1 in /etc/libvirt/qemu.conf\nlibvirt-host: started libvirtd");
	t.deepEqual(first.calls, ["virtlogd -d", "libvirtd -d", "virsh -c qemu:///system list --name"]);
	t.is(scratch.read("etc/libvirt/qemu.conf"), ours + original);
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", inputs);
	t.is(second.stderr, "libvirt-host: libvirtd is running");
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
	const pids = [scratch.read("run/libvirtd.pid"), scratch.read("run/virtlogd.pid")];
	await scratch.step(step, "remove", inputs);
	t.deepEqual(pids.map(runs), [false, false]);
	t.deepEqual(scratch.hostTree(), before);
});

test("a libvirtd from before is restarted for a changed file alone, and stays up", async (t) => {
	const scratch = host(t);
	const before = await startLibvirt(scratch);
	await scratch.step(step, "apply", inputs);
	const restarted = scratch.read("run/libvirtd.pid");
	t.not(restarted, before);
	await scratch.step(step, "apply", inputs);
	t.is(scratch.read("run/libvirtd.pid"), restarted);
	const { stderr } = await scratch.step(step, "remove", inputs);
	t.is(stderr, "libvirt-host: restarting libvirtd");
	t.true(runs(scratch.read("run/libvirtd.pid")));
});

test("a libvirtd that runs and does not answer is drift, and is started again", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	const before = scratch.read("run/libvirtd.pid");
	scratch.write("deaf", before);
	scratch.fake("virsh", `[ "$(cat "$root/run/libvirtd.pid")" != "$(cat "$root/deaf")" ]`);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "libvirtd does not answer");
	t.is((await scratch.step(step, "apply", inputs)).stderr, "libvirt-host: libvirtd is running");
	t.not(scratch.read("run/libvirtd.pid"), before);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
});

test("a virtlogd that is gone is drift, and is started alone, with what domains that run have lost", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	const libvirtd = scratch.read("run/libvirtd.pid");
	const end = `read -r pid <"$TRACELAB_ROOT/run/virtlogd.pid"; kill "$pid"
		while grep -qs '^State:.[RSD]' "/proc/$pid/status"; do sleep 0.02; done`;
	await scratch.bash(end);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "virtlogd is not running");
	const { calls, stderr } = await scratch.step(step, "apply", inputs);
	t.is(stderr, "libvirt-host: started virtlogd\nlibvirt-host: libvirtd is running");
	t.deepEqual(calls, ["virtlogd -d", "virsh -c qemu:///system list --name"]);
	t.is(scratch.read("run/libvirtd.pid"), libvirtd);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
	await scratch.bash(end);
	scratch.write("run/libvirt/qemu/quick-vm.xml", "");
	scratch.write("run/libvirt/qemu/quick-vm.pid", `${process.pid}`);
	const [said] = (await scratch.step(step, "apply", inputs)).stderr.split("\n");
	t.is(
		said,
		"libvirt-host: started virtlogd, which logs the consoles of these again once they are started again: quick-vm",
	);
});

test("a setting of the user's own that is 1 already is left alone", async (t) => {
	const conf = "  set_process_name=1\n";
	const scratch = host(t, conf);
	const { stderr } = await scratch.step(step, "apply", inputs);
	t.is(stderr, "libvirt-host: set_process_name is 1 already\nlibvirt-host: started libvirtd");
	await scratch.step(step, "remove", inputs);
	t.is(scratch.read("etc/libvirt/qemu.conf"), conf);
});

test("a setting of the user's own that is 0 is outdone, and untouched", async (t) => {
	const conf = "set_process_name = 0 # mine\n";
	const scratch = host(t, conf);
	t.regex((await scratch.step(step, "probe", inputs)).stdout["drift"] ?? "", /^set_process_name is not 1/);
	await scratch.step(step, "apply", inputs);
	t.is(scratch.read("etc/libvirt/qemu.conf"), ours + conf);
	await scratch.step(step, "remove", inputs);
	t.is(scratch.read("etc/libvirt/qemu.conf"), conf);
});

test("what the user writes in the meantime is kept", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	appendFileSync(join(scratch.root, "etc/libvirt/qemu.conf"), "\nmax_files = 5\n");
	await scratch.step(step, "remove", inputs);
	t.is(scratch.read("etc/libvirt/qemu.conf"), `${original}\nmax_files = 5\n`);
});

test("a daemon of ours is left to domains that run, and that is said", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write("run/libvirt/qemu/driver.pid", `${process.pid}`);
	scratch.write("run/libvirt/qemu/someones.xml", "");
	const domain = scratch.write("run/libvirt/qemu/someones.pid", "");
	await scratch.bash(`sleep 600 </dev/null >/dev/null 2>&1 & echo $! >'${domain}'`);
	const { stderr } = await scratch.step(step, "remove", inputs);
	t.is(
		stderr,
		"libvirt-host: libvirtd is left running, because domains are: someones\nlibvirt-host: restarting libvirtd",
	);
	t.true(runs(scratch.read("run/libvirtd.pid")));
});

test("a ledger that was taken away is drift, and comes back from its copy", async (t) => {
	const scratch = host(t);
	const before = scratch.hostTree();
	await scratch.step(step, "apply", inputs);
	const pid = scratch.read("run/libvirtd.pid");
	await scratch.bash(`rm -r '${scratch.root}/var/lib/tracelab/ledger'`);
	t.is(
		(await scratch.step(step, "probe", inputs)).stdout["drift"],
		"the ledger entry set-process-name is missing; the ledger entry libvirtd is missing",
	);
	await scratch.step(step, "apply", inputs);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
	await scratch.step(step, "remove", inputs);
	t.deepEqual(scratch.hostTree(), before);
	t.false(runs(pid));
});

test("the last stack alone takes the setting out", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	await scratch.step(step, "apply", { ...inputs, stack: "other" });
	await scratch.step(step, "remove", inputs);
	t.is((await scratch.step(step, "probe", { ...inputs, stack: "other" })).stdout["drift"], "");
	await scratch.step(step, "remove", { ...inputs, stack: "other" });
	t.is(scratch.read("etc/libvirt/qemu.conf"), original);
});

test("AppArmor gets rules for this stack's emulators, and loses them", async (t) => {
	const scratch = host(t);
	scratch.write("sys/module/apparmor/parameters/enabled", "Y\n");
	scratch.write("etc/apparmor.d/local/usr.sbin.libvirtd", "/mine r,\n");
	scratch.write("etc/apparmor.d/local/abstractions/libvirt-qemu", "");
	scratch.fake("apparmor_parser", "");
	const before = scratch.hostTree();
	t.regex(
		(await scratch.step(step, "probe", inputs)).stdout["drift"] ?? "",
		/; AppArmor does not allow libvirt to run the emulators of this lab; /,
	);
	const { calls } = await scratch.step(step, "apply", inputs);
	t.true(calls.includes(`apparmor_parser --replace ${scratch.root}/etc/apparmor.d/usr.sbin.libvirtd`));
	t.is(
		scratch.read("etc/apparmor.d/local/usr.sbin.libvirtd"),
		`# tracelab BEGIN quick
/opt/tracelab/qemu/0123456789abcdef/bin/* PUx,
# tracelab END quick
/mine r,
`,
	);
	const second = await scratch.step(step, "apply", inputs);
	t.deepEqual(second.calls, ["virsh -c qemu:///system list --name"], "nothing to reload");
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
	await scratch.step(step, "apply", { ...inputs, stack: "other", emulators: ["/opt/tracelab/qemu/fedcba9876543210"] });
	await scratch.step(step, "remove", inputs);
	t.regex(scratch.read("etc/apparmor.d/local/usr.sbin.libvirtd"), /^# tracelab BEGIN other\n.*fedcba.*\n.*END other\n/);
	await scratch.step(step, "remove", { ...inputs, stack: "other" });
	t.deepEqual(scratch.hostTree(), before);
});

for (const [file, hand] of [
	["usr.sbin.libvirtd", "/^# tracelab BEGIN quick/,/^# tracelab END quick/d"],
	["abstractions/libvirt-qemu", "/bin\\/\\* rmix,$/d"],
] as const) {
	test(`a rule of AppArmor's that was taken out of ${file} by hand is drift, and comes back alone`, async (t) => {
		const scratch = host(t);
		scratch.write("sys/module/apparmor/parameters/enabled", "Y\n");
		for (const name of ["usr.sbin.libvirtd", "abstractions/libvirt-qemu"])
			scratch.write(`etc/apparmor.d/local/${name}`, "/mine r,\n");
		scratch.fake("apparmor_parser", "");
		const before = scratch.hostTree();
		await scratch.step(step, "apply", inputs);
		const applied = scratch.tree();
		await scratch.bash(`sed -i '${hand}' '${scratch.root}/etc/apparmor.d/local/${file}'`);
		t.notDeepEqual(scratch.tree(), applied);
		t.is(
			(await scratch.step(step, "probe", inputs)).stdout["drift"],
			"AppArmor does not allow libvirt to run the emulators of this lab",
		);
		const { calls, stderr } = await scratch.step(step, "apply", inputs);
		t.is(
			stderr,
			"libvirt-host: AppArmor allows libvirt to run /opt/tracelab/qemu/0123456789abcdef\nlibvirt-host: libvirtd is running",
		);
		t.deepEqual(calls, [
			`apparmor_parser --replace ${scratch.root}/etc/apparmor.d/usr.sbin.libvirtd`,
			"virsh -c qemu:///system list --name",
		]);
		t.deepEqual(scratch.tree(), applied);
		t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
		await scratch.step(step, "remove", inputs);
		t.deepEqual(scratch.hostTree(), before);
	});
}

for (const verb of ["apply", "remove"] as const) {
	test(`AppArmor's profile whose reload was killed in ${verb} is reloaded by the next`, async (t) => {
		const scratch = host(t);
		scratch.write("sys/module/apparmor/parameters/enabled", "Y\n");
		scratch.fake("apparmor_parser", "");
		if (verb === "remove") await scratch.step(step, "apply", inputs);
		scratch.fake("apparmor_parser", "kill -9 $PPID");
		t.not((await scratch.step(step, verb, inputs)).code, 0);
		scratch.fake("apparmor_parser", "");
		t.regex((await scratch.step(step, "probe", inputs)).stdout["drift"] ?? "", /AppArmor does not allow libvirt/);
		const { calls } = await scratch.step(step, verb, inputs);
		t.is(calls.filter((call) => call.startsWith("apparmor_parser")).length, 1);
		const again = await scratch.step(step, verb, inputs);
		t.is(again.calls.filter((call) => call.startsWith("apparmor_parser")).length, 0);
	});
}

/** The beginning of a step's program on a host that has no apparmor_parser. */
const noParser = 'command() { [ "$*" != "-v apparmor_parser" ] && builtin command "$@"; }\n';

for (const [what, enabled, begins] of [
	["AppArmor is off", "N", ""],
	["nothing can load AppArmor's profiles", "Y", noParser],
] as const) {
	test(`where ${what} no rule is written`, async (t) => {
		const scratch = host(t);
		scratch.write("sys/module/apparmor/parameters/enabled", `${enabled}\n`);
		const program = begins + stepProgram(step, { stack: "quick", step, generation: "g", ...inputs });
		for (const verb of ["apply", "probe", "remove"]) {
			const { code, calls, stdout } = await scratch.bash(program, verb);
			t.is(code, 0);
			t.is(stdout["drift"] ?? "", "");
			t.false(calls.some((call) => call.startsWith("apparmor_parser")));
			t.is(scratch.tree()["etc/apparmor.d"], undefined);
		}
	});
}

test("a host without libvirt says so", async (t) => {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	t.is(
		(await scratch.step(step, "probe", inputs)).stdout["drift"],
		"libvirt is not installed (/etc/libvirt/qemu.conf is absent)",
	);
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.is(stderr, "tracelab: libvirt-host: /etc/libvirt/qemu.conf is absent\n  what to do: install libvirt-daemon-system");
});

test("a libvirtd that does not start is an error with its reason's place", async (t) => {
	const scratch = host(t);
	scratch.fake("virtlogd", "echo no >&2; exit 3");
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.regex(stderr, /tracelab: libvirt-host: virtlogd did not start\n {2}what to do: see .*libvirt-host\.log$/);
});
