import { symlinkSync } from "node:fs";
import test from "ava";
import { type Domain, findDomain } from "../../cli/card.ts";
import { letGo } from "../../cli/debug/debugger.ts";
import { LabError, MissingProgramError } from "../../cli/errors.ts";
import { reset } from "../../cli/guest/reset.ts";
import { domainProcess, domainState, libvirtFault, monitor, mustRun } from "../../cli/libvirt.ts";
import { patient, ScratchLab } from "./scratch-lab.ts";

const lab = await ScratchLab.make();
lab.enter();
lab.up();
const [vm, held] = [findDomain("quickstart", "vm"), findDomain("quickstart", "held")];

test.after.always(() => lab.clean());

const runs = test.macro({
	title: (_, state: string, paused: "paused is fine" | "not paused") => `${state} will do where it is ${paused}`,
	async exec(t, state: string, paused: "paused is fine" | "not paused") {
		lab.fake("virsh", `echo "$*" >"$root/asked"; echo '${state}'`);
		t.is(await mustRun(vm, paused), state as "running" | "paused");
		t.is(lab.read("asked"), "--quiet --connect qemu:///system domstate quickstart-vm\n");
	},
});

test.serial(runs, "running", "not paused");
test.serial(runs, "running", "paused is fine");
test.serial(runs, "paused", "paused is fine");

const refuses = test.macro({
	title: (_, virsh: string) => `virsh: ${virsh}`,
	async exec(t, virsh: string, message: string, todo: string, domain: Domain = vm) {
		lab.fake("virsh", virsh);
		t.like(await t.throwsAsync(mustRun(domain, "not paused"), { instanceOf: LabError }), { message, todo });
	},
});

test.serial(refuses, "echo 'shut off'", 'domain "vm" is shut off', "start it: ./lab up");
test.serial(refuses, "echo crashed", 'domain "vm" is crashed', "start it: ./lab up");
test.serial(
	refuses,
	"echo 'shut off (crashed)' | cut -d ' ' -f 1-$(($# == 6 ? 3 : 2))",
	'domain "vm" crashed',
	"see the last words of its QEMU: sudo tail /var/log/libvirt/qemu/quickstart-vm.log; then start it: ./lab up",
);
test.serial(
	refuses,
	`echo "error: failed to get domain 'quickstart-vm'" >&2; exit 1`,
	'domain "vm" is not known to libvirt',
	"start it: ./lab up",
);
test.serial(
	refuses,
	"echo paused",
	'domain "vm" is paused',
	"let it go on from its debugger (./lab gdb vm, then continue) or by: virsh resume quickstart-vm",
);
test.serial(
	refuses,
	"echo 'paused'",
	'domain "held" is paused, as its stack file asks',
	"let it go on from its debugger (./lab gdb held, then continue) or by: virsh resume quickstart-held",
	held,
);
test.serial(
	refuses,
	"echo 'error: failed to connect to the hypervisor' >&2; exit 1",
	"libvirtd does not answer",
	"./lab up starts it; ./lab doctor says more",
);
test.serial(
	refuses,
	"echo 'error: authentication unavailable: no polkit agent available' >&2; exit 1",
	"libvirt lets root only in, or its group",
	"put sudo before the command, or join the group libvirt",
);
test.serial(
	refuses,
	"echo 'error: internal error: Unable to get system bus connection: Could not connect' >&2; exit 1",
	"libvirt lets root only in, or its group",
	"put sudo before the command, or join the group libvirt",
);
test.serial(refuses, "echo 'error: disk on fire' >&2; exit 1", "virsh domstate quickstart-vm: error: disk on fire", "");

test.serial("a machine without virsh is told where it comes from", async (t) => {
	const path = process.env["PATH"];
	process.env["PATH"] = "/nowhere";
	const error = await t.throwsAsync(domainState(vm), { instanceOf: MissingProgramError });
	process.env["PATH"] = path;
	t.like(error, {
		message: "there is no virsh on this machine",
		todo: "./lab up installs it, or: apt install libvirt-clients",
	});
});

test("what is about the domain itself is no fault of libvirt's", (t) => {
	t.is(libvirtFault("error: failed to get domain 'quickstart-vm'"), undefined);
});

test.serial("the process of a domain is that of its pid file, and its program that of /proc", (t) => {
	t.is(domainProcess(vm), undefined);
	lab.write("run/libvirt/qemu/quickstart-vm.pid", "4242");
	t.deepEqual(domainProcess(vm), { pid: 4242, program: "" });
	lab.write("proc/4242/comm", "");
	symlinkSync("/opt/qemu", `${lab.root}/proc/4242/exe`);
	t.deepEqual(domainProcess(vm), { pid: 4242, program: "/opt/qemu" });
});

test.serial(
	"a QEMU whose monitor does not answer is not waited for: by what reads it, resets it, lets it go on",
	async (t) => {
		patient(t);
		lab.write("run/libvirt/qemu/quickstart-held.pid", "4243");
		lab.fake(
			"virsh",
			`case "$*" in
		*"domstate quickstart-held") echo paused ;;
		*domstate*) echo running ;;
		*qemu-agent-command*) echo 'error: Guest agent is not responding' >&2; exit 1 ;;
		*) exec sleep 100 ;;
		esac`,
		);
		const asks = [monitor(vm, "info kvm"), reset(vm), letGo(held, "running")].map((ask) =>
			t.throwsAsync(ask, { instanceOf: LabError }),
		);
		const message = (name: string) =>
			`the monitor of "${name}" did not answer within 20 s: its QEMU itself stands still`;
		const todo = (pid: number, name: string) =>
			`sudo gdb -p ${pid} shows where; virsh destroy ${name} ends it, and ./lab up starts it again`;
		const [read, wasReset, went] = await Promise.all(asks);
		t.like(read, { message: message("vm"), todo: todo(4242, "quickstart-vm") });
		t.like(wasReset, { message: message("vm"), todo: todo(4242, "quickstart-vm") });
		t.like(went, { message: message("held"), todo: todo(4243, "quickstart-held") });
	},
);
