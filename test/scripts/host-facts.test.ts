import { mkdirSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
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

async function facts(scratch: ScratchHost) {
	return hostFactsSchema.parse((await scratch.bash(scriptText("host-facts"))).stdout);
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
	for (const step of ["a-b/domain-c-share", "a-b/domain-c-guest", "a-b/trace-d-session", "e/packages"])
		scratch.write(`var/lib/tracelab/undo/${step}`, "");
	t.deepEqual((await facts(scratch)).begun, ["a-b/domain-c-share", "a-b/trace-d-session"]);
});
