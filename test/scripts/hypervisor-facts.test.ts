import { existsSync } from "node:fs";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import { domain, fakeGuest, folder } from "./fake-guest.ts";
import { ScratchHost } from "./run-step.ts";

// One after the other: each starts a good many processes.
const test = anyTest.serial;

const step = "hypervisor-facts";
const record = `${folder}/hypervisor-facts`;
const inputs = { domain, uuid: "u", folder, expected: {} };
const boot = "guest/proc/sys/kernel/random/boot_id";
const clocksource = "guest/sys/devices/system/clocksource/clocksource0/current_clocksource";
const mend = "what to do: mend hypervisor: or expect: of domain vm in the stack file";
const sees =
	"hypervisor-facts: quick-vm sees: clocksource=tsc dmiProduct=Standard PC (i440FX + PIIX, 1996) a=b signature=TCGTCGTCGTCG";

/** What a guest's program prints. */
const says = (signature: string, clock = "tsc") =>
	`#!/bin/sh\necho look >>"$0.looks"\necho 'signature=${signature}'\necho 'dmiProduct=Standard PC (i440FX + PIIX, 1996) a=b'\necho 'clocksource=${clock}'\n`;

/** A running guest that sees an emulator. */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	fakeGuest(scratch);
	scratch.write("virt/state", "running\n");
	scratch.write(boot, "b1\n");
	scratch.write(clocksource, "tsc\n");
	scratch.write("guest/lab/bin/hypervisor-facts", says("TCGTCGTCGTCG"), 0o755);
	return scratch;
}

async function drift(scratch: ScratchHost, expected: Record<string, string> = {}): Promise<string | undefined> {
	return (await scratch.step(step, "probe", { ...inputs, expected })).stdout["drift"];
}

/** How often the guest's program was run. */
const looks = (scratch: ScratchHost): number =>
	scratch.read("guest/lab/bin/hypervisor-facts.looks").length / "look\n".length;

const facts = {
	clocksource: "tsc",
	dmiProduct: "Standard PC (i440FX + PIIX, 1996) a=b",
	signature: "TCGTCGTCGTCG",
};

test("a guest is looked at once, its facts are the outputs, and the record of it goes", async (t) => {
	const scratch = host(t);
	const before = scratch.hostTree();
	t.is(await drift(scratch), "what quick-vm can tell of its hypervisor was not looked at yet");
	const run = await scratch.step(step, "apply", inputs);
	t.is(run.code, 0, run.stderr);
	t.deepEqual(run.stdout, facts);
	t.is(run.stderr, sees);
	t.is(await drift(scratch, facts), "");
	t.is(looks(scratch), 1);
	const applied = scratch.tree();
	const again = await scratch.step(step, "apply", inputs);
	t.deepEqual(again.stdout, facts);
	await scratch.bash(`cd '${scratch.root}/guest/lab/bin' && echo look >hypervisor-facts.looks`);
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "remove", inputs)).code, 0);
	t.false(existsSync(join(scratch.root, record)));
	await scratch.bash(`rm '${scratch.root}/guest/lab/bin/hypervisor-facts.looks'`);
	t.deepEqual(scratch.hostTree(), before);
});

test("what is not as expected is an error with both, and nothing is recorded", async (t) => {
	const scratch = host(t);
	const expected = { signature: "KVMKVMKVM", detectVirt: "kvm", dmiProduct: facts.dmiProduct };
	const run = await scratch.step(step, "apply", { ...inputs, expected });
	t.is(run.code, 1);
	t.is(
		run.stderr,
		`${sees}\ntracelab: hypervisor-facts: detectVirt in quick-vm is none, and kvm is expected; signature in quick-vm is TCGTCGTCGTCG, and KVMKVMKVM is expected\n  ${mend}`,
	);
	t.false(existsSync(join(scratch.root, record)));
});

test("what comes to be expected and is not so is drift", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	t.is(await drift(scratch, { signature: "none" }), "signature in quick-vm is TCGTCGTCGTCG, and none is expected");
});

test("what the kernel's log does not say any more is not compared, which is said", async (t) => {
	const scratch = host(t);
	scratch.write("guest/lab/bin/hypervisor-facts", "#!/bin/sh\necho kernelDetects=unknown\n", 0o755);
	const expected = { kernelDetects: "none" };
	const run = await scratch.step(step, "apply", { ...inputs, expected });
	t.is(run.code, 0, run.stderr);
	t.is(
		run.stderr,
		[
			"hypervisor-facts: quick-vm sees: kernelDetects=unknown",
			"hypervisor-facts: kernelDetects is not compared: the start of the guest's dmesg was overwritten",
		].join("\n"),
	);
	t.is(await drift(scratch, expected), "");
	t.is(await drift(scratch, { detectVirt: "unknown" }), "detectVirt in quick-vm is none, and unknown is expected");
});

test("a clocksource that the kernel has left is drift, of a boot that was looked at", async (t) => {
	const scratch = host(t);
	const expected = { clocksource: "tsc" };
	await scratch.step(step, "apply", { ...inputs, expected });
	scratch.write(clocksource, "acpi_pm\n");
	t.is(await drift(scratch, expected), "clocksource in quick-vm is acpi_pm, and tsc is expected");
	t.is(await drift(scratch), "");
	t.is(looks(scratch), 1);
});

test("another boot is looked at anew", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write(boot, "b2\n");
	scratch.write("guest/lab/bin/hypervisor-facts", says("none"), 0o755);
	t.is(await drift(scratch, { signature: "none" }), "");
	t.is(
		await drift(scratch, { signature: "TCGTCGTCGTCG" }),
		"signature in quick-vm is none, and TCGTCGTCGTCG is expected",
	);
});

test("a clocksource is given the time to become what is expected", async (t) => {
	const scratch = host(t);
	const early = `[ -e "$0.late" ] || { touch "$0.late"; echo clocksource=tsc-early; exit 0; }\n`;
	scratch.write("guest/lab/bin/hypervisor-facts", `#!/bin/sh\n${early}echo clocksource=tsc\n`, 0o755);
	const run = await scratch.step(step, "apply", { ...inputs, expected: { clocksource: "tsc" } });
	t.is(run.code, 0, run.stderr);
	t.deepEqual(run.stdout, { clocksource: "tsc" });
});

test("a guest that its debugger holds is left for later", async (t) => {
	const scratch = host(t);
	scratch.write("virt/state", "paused\n");
	t.is(await drift(scratch), "");
	const run = await scratch.step(step, "apply", inputs);
	t.deepEqual(run.stdout, {});
	t.is(
		run.stderr,
		"hypervisor-facts: quick-vm is paused: what it can tell of its hypervisor is looked at by the first up after its boot",
	);
	scratch.write("virt/state", "running\n");
	t.is(await drift(scratch), "what quick-vm can tell of its hypervisor was not looked at yet");
});

test("a guest that is off is the guest step's to say", async (t) => {
	const scratch = host(t);
	scratch.write("virt/state", "shut off\n");
	t.is(await drift(scratch), "");
	const run = await scratch.step(step, "apply", inputs);
	t.is(run.code, 1);
	t.is(
		run.stderr,
		"tracelab: hypervisor-facts: the guest of quick-vm does not answer; libvirt calls it shut off\n  what to do: see the guest's console: sudo ./lab -s quick logs console-vm",
	);
});

const fails = anyTest.macro({
	title: (_, what: string) => `a guest ${what} is an error`,
	async exec(t, _what: string, program: string, stderr: string) {
		const scratch = host(t);
		if (program === "") await scratch.bash(`rm '${scratch.root}/guest/lab/bin/hypervisor-facts'`);
		else scratch.write("guest/lab/bin/hypervisor-facts", program, 0o755);
		const run = await scratch.step(step, "apply", inputs);
		t.is(run.code, 1);
		// Before it may stand what a shell has to say.
		t.true(run.stderr.endsWith(stderr), run.stderr);
	},
});

test(
	fails,
	"without the program",
	"",
	"tracelab: hypervisor-facts: quick-vm has no /lab/bin/hypervisor-facts\n  what to do: ./lab -s quick up builds it and shows it to the guest",
);
test(
	fails,
	"whose program fails",
	"#!/bin/sh\nexit 3\n",
	"tracelab: hypervisor-facts: /lab/bin/hypervisor-facts in quick-vm failed (exit 3)\n  what to do: see what it says: ./lab -s quick exec vm -- /lab/bin/hypervisor-facts",
);

test("a fact of any text is compared and told as it is, and no shell reads it", async (t) => {
	for (const text of ["$(touch canary);`touch canary`'\"<&>{%s}\\n", "x=", "a=b=", "-n", "*", "\\"]) {
		const scratch = host(t);
		const printed = text.replaceAll("'", "'\\''");
		scratch.write("guest/lab/bin/hypervisor-facts", `#!/bin/sh\nprintf '%s\\n' 'dmiProduct=${printed}'\n`, 0o755);
		const expected = { dmiProduct: text };
		const run = await scratch.step(step, "apply", { ...inputs, expected });
		t.is(run.code, 0, run.stderr);
		t.deepEqual(run.stdout, { dmiProduct: text });
		t.is(await drift(scratch, expected), "");
		t.is(await drift(scratch, { dmiProduct: "z" }), `dmiProduct in quick-vm is ${text}, and z is expected`);
		t.false(existsSync("canary"));
	}
});
