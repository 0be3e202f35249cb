import { readFileSync, realpathSync, symlinkSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { diskSpace, hostFindings, originOf } from "../../../cli/lab/doctor.ts";
import type { HostFacts } from "../../../spec/host-facts.ts";
import { hostPackages } from "../../../spec/host-packages.ts";
import { ScratchLab } from "../scratch-lab.ts";

const disk = test.macro({
	title: (_, free: number, built: boolean) => `${free} bytes free ${built ? "after" : "before"} a first build`,
	exec(t, free: number, built: boolean, state: "ok" | "note" | "missing", found: string) {
		const why = "sources, builds with debug information, and their caches";
		t.deepEqual(diskSpace(free, built), { name: "disk space", state, found, why });
	},
});

test(disk, 12e9, false, "ok", "12.0 GB free in /opt and /var/cache");
test(disk, 11.9e9, false, "missing", "11.9 GB free in /opt and /var/cache, a first up needs 12.0 GB");
test(disk, 500e6, true, "note", "500.0 MB free in /opt and /var/cache, a first up needs 12.0 GB");
test(disk, 500e9, true, "ok", "500.0 GB free in /opt and /var/cache");

const facts: HostFacts = {
	os: { id: "debian", version: "12" },
	virtualization: "vmx",
	hypervisor: false,
	kvm: true,
	systemd: true,
	apparmor: false,
	free: { opt: 100e9, cache: 100e9 },
	builds: [],
	buildBytes: {},
	begun: [],
	gdbPorts: {},
};

test("a host with everything", (t) => {
	t.deepEqual(hostFindings(facts), [
		{
			name: "acceleration",
			state: "ok",
			found: "auto is kvm: the host has /dev/kvm and the processor shows vmx",
			why: "guests run at the processor's speed",
		},
		{ name: "systemd", state: "ok", found: "runs", why: "who starts libvirtd and lttng-sessiond" },
		{ name: "AppArmor", state: "ok", found: "off", why: "it refuses emulators outside the known places" },
	]);
});

test("a host with nothing", (t) => {
	const nothing: HostFacts = { ...facts, virtualization: "", kvm: false, systemd: false, apparmor: true };
	t.deepEqual(hostFindings(nothing), [
		{
			name: "acceleration",
			state: "note",
			found: "auto is tcg: there is no /dev/kvm and the processor shows neither vmx nor svm",
			why: "guests are emulated: they work, some ten times slower",
		},
		{
			name: "systemd",
			state: "note",
			found: "does not run: daemons are started as themselves",
			why: "who starts libvirtd and lttng-sessiond",
		},
		{
			name: "AppArmor",
			state: "ok",
			found: "on: up lets libvirt run the lab's emulators",
			why: "it refuses emulators outside the known places",
		},
	]);
});

/** `./lab doctor` on a scratch host; its rows less the spaces that line them up, by what was looked at. */
async function examined(t: ExecutionContext, prepare: (lab: ScratchLab) => void) {
	const lab = await ScratchLab.for(t);
	lab.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor\n");
	lab.write("etc/os-release", 'ID=debian\nVERSION_ID="12"\n');
	lab.fake("apt-get", "");
	prepare(lab);
	const { code, stdout, stderr } = await lab.lab(["doctor"]);
	const rows = stdout.split("\n").map((line) => line.trim().split(/ {2,}/));
	const row = (name: string) => rows.find((cells) => cells.includes(name))?.slice(0, -1);
	return { code, stderr, row, last: stdout.split("\n").at(-1) };
}

test.serial("a new host lacks pulumi, and all else is for up to see to", async (t) => {
	const { code, stderr, row, last } = await examined(t, (lab) => {
		lab.fake("pulumi", "exit 127");
		lab.fake("virsh", "echo 'error: failed to connect to the hypervisor' >&2; exit 1");
	});
	t.is(stderr, "");
	t.is(code, 1);
	t.regex(String(last), /^missing: pulumi(, language host)?, pulumi plugins(, disk space)?$/);
	t.deepEqual(row("pulumi"), ["MISSING", "pulumi", "nothing: run scripts/setup"]);
	t.deepEqual(row("pulumi plugins"), [
		"MISSING",
		"pulumi plugins",
		"no command 1.2.1, terraform-provider 1.1.3: run scripts/setup",
	]);
	t.deepEqual(row("node"), ["ok", "node", process.version]);
	t.deepEqual(row("libvirtd"), ["note", "libvirtd", "does not answer: up starts it"]);
	t.deepEqual(row("lttng-sessiond"), ["note", "lttng-sessiond", "does not answer: up starts it"]);
	const others = hostPackages.length - 1;
	t.deepEqual(row("host packages"), [
		"note",
		"host packages",
		`not installed: ${hostPackages[0]} and ${others} more: up sees to it`,
	]);
	t.deepEqual(row("group tracing"), ["note", "group tracing", "no such group: up makes it"]);
});

test.serial("a host of a lab has all", async (t) => {
	const { stderr, row } = await examined(t, (lab) => {
		const plugins = [
			{ name: "command", version: "1.2.1" },
			{ name: "terraform-provider", version: "1.1.3" },
		];
		lab.fake("pulumi", `case $1 in version) echo v3.259.0 ;; *) echo '${JSON.stringify(plugins)}' ;; esac`);
		lab.fake("virsh", "");
		lab.fake("lttng", "");
		lab.fake("dpkg-query", `printf 'ii  %s\\n' ${hostPackages.join(" ")}; echo 'rc  removed'`);
		lab.write("etc/group", "root:x:0:\ntracing:x:107:me,libvirt-qemu\n");
		lab.write("opt/tracelab/kernel/0123456789abcdef/.tracelab-build", "");
	});
	t.is(stderr, "");
	// Whose they are depends on this project's set-up.
	const [state, , version = ""] = row("pulumi") ?? [];
	t.is(state, "ok");
	t.regex(version, /^v3\.259\.0( \(.*\))?$/);
	t.regex(row("pulumi plugins")?.join() ?? "", /^ok,pulumi plugins,command 1\.2\.1.*, terraform-provider 1\.1\.3/);
	t.deepEqual(row("libvirtd"), ["ok", "libvirtd", "answers"]);
	t.deepEqual(row("lttng-sessiond"), ["ok", "lttng-sessiond", "answers"]);
	t.deepEqual(row("host packages"), ["ok", "host packages", `all ${hostPackages.length} are installed`]);
	t.deepEqual(row("group tracing"), ["ok", "group tracing", "libvirt-qemu is in it"]);
	t.deepEqual(row("apt-get"), ["ok", "apt-get", "there, on debian 12"]);
});

test.serial("a distribution that nobody tried the lab on is said", async (t) => {
	const { row } = await examined(t, (lab) => {
		lab.fake("pulumi", "exit 127");
		lab.fake("virsh", "");
		lab.write("etc/os-release", "ID=arch\n");
	});
	const found = "there, on arch: Debian 12 is what the lab was tried on";
	t.deepEqual(row("apt-get"), ["note", "apt-get", found]);
});

test.serial("a package that was removed, or is installed in half, is not installed", async (t) => {
	const { row } = await examined(t, (lab) => {
		lab.fake("pulumi", "exit 127");
		lab.fake("virsh", "");
		const [first, second, ...others] = hostPackages;
		lab.fake("dpkg-query", `printf 'ii  %s\\n' ${others.join(" ")}; echo 'rc  ${first}'; echo 'iU  ${second}'`);
	});
	const [first] = hostPackages;
	t.is(row("host packages")?.[2], `not installed: ${first} and 1 more: up sees to it`);
});

test("whose a part of Pulumi is, is seen in it", async (t) => {
	const lab = await ScratchLab.for(t);
	t.is(originOf(`${lab.root}/nothing`), undefined);
	t.is(originOf(lab.write("official", "\0path\tgithub.com/pulumi/pulumi/pkg/v3/cmd/pulumi\n")), "Pulumi's own");
	const ours = lab.write("ours", "\0path\ttracelab/toolchain/pulumi/pulumi-language-nodejs\nmod");
	t.is(originOf(ours), "our own, built from toolchain/");
	symlinkSync(ours, `${lab.root}/linked`);
	t.is(originOf(`${lab.root}/linked`), `from PATH: ${realpathSync(lab.root)}`);
});

test("the name by which our own parts are known is that of their module", (t) => {
	const go = new URL("../../../toolchain/pulumi/go.mod", import.meta.url);
	t.regex(readFileSync(go, "utf8"), /^module tracelab\/toolchain\/pulumi$/m);
});

test.serial("a group without libvirt-qemu, and plugins of another version, are seen", async (t) => {
	const { row } = await examined(t, (lab) => {
		lab.fake("pulumi", `case $1 in version) echo v3 ;; *) echo '[{"name":"command","version":"0.1.0"}]' ;; esac`);
		lab.fake("virsh", "");
		lab.write("etc/group", "tracing:x:107:libvirt-qemu2\n");
	});
	t.deepEqual(row("group tracing"), ["note", "group tracing", "libvirt-qemu is not in it: up sees to it"]);
	t.is(row("pulumi plugins")?.[0], "MISSING");
});
