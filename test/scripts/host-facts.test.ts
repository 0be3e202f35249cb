import { mkdirSync, symlinkSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { scriptText } from "../../components/step-program.ts";
import { hostFactsSchema } from "../../spec/host-facts.ts";
import { ScratchHost } from "./run-step.ts";

function host(t: ExecutionContext, flags: string): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	const processor = (n: number) => `processor\t: ${n}\nmodel name\t: Test: CPU\nflags\t\t: fpu ${flags} sse\n\n`;
	scratch.write("proc/cpuinfo", processor(0) + processor(1));
	scratch.write("etc/os-release", `PRETTY_NAME="Debian"\nVERSION_ID="12"\nID=debian\nHOME_URL="https://a/?b=c"\n`);
	return scratch;
}

async function facts(scratch: ScratchHost, gdbPorts = "") {
	return hostFactsSchema.parse((await scratch.bash(`gdb_ports='${gdbPorts}'\n${scriptText("host-facts")}`)).stdout);
}

test("a bare host has its facts said, and nothing is changed", async (t) => {
	const scratch = host(t, "hypervisor");
	scratch.fake("stat", "echo 10 4096");
	const before = scratch.tree();
	t.deepEqual(await facts(scratch), {
		os: { id: "debian", version: "12" },
		virtualization: "",
		hypervisor: true,
		kvm: false,
		systemd: false,
		apparmor: false,
		free: { opt: 40_960, cache: 40_960 },
		builds: [],
		buildBytes: {},
		begun: [],
		gdbPorts: {},
	});
	t.deepEqual(scratch.tree(), before);
});

test("a host with everything has it said", async (t) => {
	const scratch = host(t, "vmx");
	scratch.write("dev/kvm", "");
	scratch.write("sys/module/apparmor/parameters/enabled", "Y\n");
	mkdirSync(join(scratch.root, "run/systemd/system"), { recursive: true });
	const { virtualization, hypervisor, kvm, systemd, apparmor } = await facts(scratch);
	t.deepEqual([virtualization, hypervisor, kvm, systemd, apparmor], ["vmx", false, true, true, true]);
});

test("AppArmor that is built in and turned off is off", async (t) => {
	const scratch = host(t, "svm");
	scratch.write("sys/module/apparmor/parameters/enabled", "N\n");
	t.false((await facts(scratch)).apparmor);
	t.is((await facts(scratch)).virtualization, "svm");
});

test("a flag that only contains svm is not svm", async (t) => {
	t.is((await facts(host(t, "svm_lock"))).virtualization, "");
});

test("finished builds are said, for a lab or in the cache, and what they took", async (t) => {
	const scratch = host(t, "vmx");
	scratch.write("opt/tracelab/kernel/0123/.tracelab-build", "");
	scratch.write("opt/tracelab/kernel/4567.work/prefix/vmlinux", "");
	scratch.write("opt/tracelab/module/0123/.tracelab-build", "");
	scratch.write("var/cache/tracelab/builds/image/89ab/.tracelab-build", "");
	scratch.write("var/cache/tracelab/durations/kernel/0123.bytes", "2600000000\n");
	scratch.write("var/cache/tracelab/durations/kernel/last.bytes", "2700000000\n");
	scratch.write("var/cache/tracelab/durations/kernel/last.built", "7\n");
	const { builds, buildBytes } = await facts(scratch);
	t.deepEqual(builds, ["kernel/0123", "image/89ab"]);
	t.deepEqual(buildBytes, { "kernel/0123": 2.6e9, "kernel/last": 2.7e9 });
});

test("the domains and trace sessions that stacks have are said", async (t) => {
	const scratch = host(t, "vmx");
	for (const step of [
		"a-b/domain-c-share",
		"a-b/domain-c-guest",
		"a/domain-b-gdb-port",
		"a-b/trace-d-session",
		"e/packages",
	])
		scratch.write(`var/lib/tracelab/undo/${step}`, "");
	t.deepEqual((await facts(scratch)).begun, ["a-b/domain-c-share", "a/domain-b-gdb-port", "a-b/trace-d-session"]);
});

/** A process that listens on a port, as /proc has it. */
function listens(scratch: ScratchHost, pid: number, name: string, inode: number): void {
	scratch.write(`proc/${pid}/comm`, `${name}\n`);
	mkdirSync(join(scratch.root, `proc/${pid}/fd`));
	symlinkSync(`socket:[${inode}]`, join(scratch.root, `proc/${pid}/fd/3`));
}

test("who has the gdb ports that are asked for is said, without ss", async (t) => {
	const scratch = host(t, "vmx");
	scratch.fake("ss", "exit 127");
	const line = (port: number, state: string, inode: number, address = "0100007F") =>
		`   0: ${address}:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1\n`;
	const connected = line(4006, "01", 16);
	scratch.write("proc/net/tcp", `  sl  local_address\n${connected}${line(4000, "0A", 10)}${line(4001, "0A", 11)}`);
	scratch.write("proc/net/tcp6", `  sl  local_address\n${line(4002, "0A", 12, "0".repeat(32))}`);
	listens(scratch, 77, "my server", 10);
	listens(scratch, 78, "vm", 12);
	scratch.write("run/libvirt/qemu/quick-vm.pid", "78");
	scratch.write("run/libvirt/qemu/quick-two.pid", "7");
	scratch.write("var/lib/tracelab/ports/4002", "quick-vm given\n");
	scratch.write("var/lib/tracelab/ports/4003", "other-vm\n");
	const before = scratch.tree();
	t.deepEqual((await facts(scratch, "4000 4001 4002 4003 4004 4006")).gdbPorts, {
		"4000": { reserved: "", given: false, listener: "my server, process 77", qemuOf: "" },
		"4001": { reserved: "", given: false, listener: "an unknown process", qemuOf: "" },
		"4002": { reserved: "quick-vm", given: true, listener: "vm, process 78", qemuOf: "quick-vm" },
		"4003": { reserved: "other-vm", given: false, listener: "", qemuOf: "" },
	});
	t.deepEqual((await facts(scratch)).gdbPorts, {});
	t.deepEqual(scratch.tree(), before);
});

test("who really listens on a port of this host is named", async (t) => {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => server.close());
	const { port } = server.address() as AddressInfo;
	const { stdout } = await execa("bash", ["-s"], {
		input: `gdb_ports='${port}'\n${scriptText("host-facts")}`,
	});
	const { listener } = hostFactsSchema.parse(JSON.parse(stdout)).gdbPorts[port] ?? {};
	t.true(listener?.endsWith(`, process ${process.pid}`), listener);
});
