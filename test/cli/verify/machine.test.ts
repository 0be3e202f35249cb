import { rmSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { askedFor } from "../../../spec/acceleration.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import { enter, evidenceOf, fails, notRunning } from "./claim-fails.ts";
import { hasProcessor, wholeLab } from "./whole-lab.ts";

// Each failure that a claim on a domain's machine can come to.

const accelerated = "it is accelerated as the lab card says";
const network = "it has no network card";
const again = (what: string) => `a domain that is started again ${what}: ./lab exec vm -- poweroff, then ./lab up`;

/** Has the card say so of `vm`. */
function says(lab: ScratchLab, acceleration: { kind: "kvm" | "tcg"; reason: string }): void {
	const { vm } = card.domains;
	if (vm !== undefined) lab.up({ ...card, domains: { vm: { ...vm, acceleration } } });
}

for (const claim of [accelerated, network]) {
	test.serial(fails, claim, ...notRunning);
	test.serial(
		fails,
		claim,
		"where libvirtd is down",
		(lab) => lab.fake("virsh", "echo 'error: failed to connect to the hypervisor' >&2; exit 1"),
		"libvirtd does not answer",
		"./lab up starts it; ./lab doctor says more",
	);
}

test.serial(
	fails,
	accelerated,
	"where it is emulated instead",
	(lab) => says(lab, { kind: "kvm", reason: askedFor }),
	"info kvm: kvm support: disabled, and the lab card says kvm: the stack file asks for it",
	again("runs as it is defined"),
);
test.serial(
	fails,
	accelerated,
	"where it has KVM instead",
	(_, guest) => guest.monitor.set("info kvm", "kvm support: enabled\r"),
	"info kvm: kvm support: enabled, and the lab card says tcg: there is no /dev/kvm",
	again("runs as it is defined"),
);
test.serial(
	fails,
	accelerated,
	"where the host has another reason now",
	(lab) => hasProcessor(lab, "fpu"),
	"the lab card says tcg: there is no /dev/kvm; it would be tcg now: there is no /dev/kvm and the processor shows neither vmx nor svm",
	"./lab up decides it again",
);
test.serial(
	fails,
	accelerated,
	"where the host could do better now",
	(lab) => lab.write("dev/kvm", ""),
	"the lab card says tcg: there is no /dev/kvm; it would be kvm now: the host has /dev/kvm and the processor shows vmx",
	"./lab up decides it again",
);

const refusal = "kvm where it cannot work would be an error";
test.serial(
	fails,
	refusal,
	"where the stack file asks for it all the same",
	(lab) => says(lab, { kind: "kvm", reason: askedFor }),
	"acceleration: kvm cannot work on this host: there is no /dev/kvm",
	"load the module (modprobe kvm_intel), or write acceleration: auto",
);
test.serial("kvm is no error where it can work", async (t) => {
	const { lab } = await wholeLab(t);
	enter(t, lab);
	lab.write("dev/kvm", "");
	t.is(await evidenceOf(refusal), "acceleration: kvm can work on this host: the processor shows vmx");
});

for (const claim of [accelerated, refusal]) {
	test.serial(
		fails,
		claim,
		"where this host cannot be looked at",
		({ root }) => rmSync(join(root, "proc/cpuinfo")),
		"scripts/host-facts.sh failed: host-facts.sh: line N: ROOT/proc/cpuinfo: No such file or directory",
		"run it by hand: cd scripts && bash host-facts.sh",
	);
}
for (const claim of [accelerated, network]) {
	test.serial(
		fails,
		claim,
		"where QEMU's monitor does not answer",
		(lab) =>
			lab.fake("virsh", "echo 'error: Timed out during operation: cannot acquire state change lock' >&2; exit 1"),
		"virsh qemu-monitor-command quickstart-vm: error: Timed out during operation: cannot acquire state change lock",
		"see whether it runs: ./lab status",
	);
}

test.serial("an acceleration that the stack file asks for is no decision of the host's", async (t) => {
	const { lab } = await wholeLab(t);
	enter(t, lab);
	says(lab, { kind: "tcg", reason: askedFor });
	t.is(await evidenceOf(accelerated), "info kvm: kvm support: disabled; tcg: the stack file asks for it");
});

test.serial(
	fails,
	network,
	"where one was plugged in",
	(_, guest) =>
		guest.monitor.set(
			"info network",
			"net0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\r\n \\ stray: index=0,type=user,net=10.0.2.0,restrict=off\r\n",
		),
	"info network: net0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56; \\ stray: index=0,type=user,net=10.0.2.0,restrict=off",
	again("has none"),
);
