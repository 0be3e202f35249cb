import { symlinkSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { card, ScratchLab } from "../scratch-lab.ts";

async function there(t: ExecutionContext): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	lab.up();
	lab.fake("virsh", "case $5 in *-vm) echo running ;; *) echo paused ;; esac");
	lab.write("run/libvirt/qemu/quickstart-vm.pid", "4242");
	lab.write("proc/4242/comm", "");
	return lab;
}

const emulator = "/opt/tracelab/qemu/0123456789abcdef/bin/qemu-system-x86_64";

test.serial("the domains of a lab, in order, with what runs them", async (t) => {
	const lab = await there(t);
	symlinkSync(emulator, `${lab.root}/proc/4242/exe`);
	const { code, stdout, stderr } = await lab.lab(["ls"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	t.deepEqual(stdout.split("\n"), [
		"DOMAIN  STATE    PROCESS               QEMU  ACCEL  KERNEL  GDB             MODULES",
		"held    paused   quickstart-held       main  tcg    main    127.0.0.1:1235  none",
		"vm      running  quickstart-vm (4242)  main  tcg    main    127.0.0.1:1234  first, second",
		"acceleration of held, vm is tcg: there is no /dev/kvm",
	]);
});

test.serial("a QEMU that is not the lab's is named", async (t) => {
	const lab = await there(t);
	symlinkSync("/usr/bin/qemu-system-x86_64", `${lab.root}/proc/4242/exe`);
	const { stdout } = await lab.lab(["ls"]);
	t.is(/\(4242\) {2}(.*?) {2}tcg/.exec(stdout)?.[1], `/usr/bin/qemu-system-x86_64, not ${emulator}`);
});

test.serial("as JSON, each domain is its card with its state", async (t) => {
	const lab = await there(t);
	const { code, stdout, stderr } = await lab.lab(["ls", "--json"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	const { vm, held } = card.domains;
	t.deepEqual(JSON.parse(stdout), [
		{
			name: "held",
			state: "paused",
			pid: null,
			...held,
			gdb: { address: "127.0.0.1:1235", port: 1235, paused: true },
			modules: [],
		},
		{
			name: "vm",
			state: "running",
			pid: 4242,
			...vm,
			gdb: { address: "127.0.0.1:1234", port: 1234, paused: false },
			modules: ["first", "second"],
		},
	]);
});

test.serial("a lab without domains is an empty list", async (t) => {
	const lab = await there(t);
	lab.up({ ...card, domains: {} });
	t.deepEqual(await lab.lab(["ls", "--json"]), { code: 0, stdout: "[]", stderr: "" });
});

test.serial("a domain that libvirt does not know is undefined", async (t) => {
	const lab = await there(t);
	lab.fake("virsh", `echo "error: failed to get domain '$5'" >&2; exit 1`);
	const { stdout } = await lab.lab(["ls", "--json"]);
	t.deepEqual(
		(JSON.parse(stdout) as { state: string }[]).map(({ state }) => state),
		["undefined", "undefined"],
	);
});

test.serial("a lab that is not up is an error, in JSON as well", async (t) => {
	const lab = await ScratchLab.for(t);
	t.deepEqual(await lab.lab(["ls", "--json"]), {
		code: 1,
		stdout: "",
		stderr: 'lab: the lab of stack "quickstart" is not up\n  what to do: bring it up: ./lab up',
	});
});
