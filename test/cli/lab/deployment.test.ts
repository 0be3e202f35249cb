import { mkdirSync, readdirSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { ScratchLab } from "../scratch-lab.ts";

// Up, preview and destroy with a fake pulumi, which notes its arguments and what it should have been given.

const root = process.geteuid?.() === 0;
const up = "up --yes --skip-preview --stack quickstart --suppress-outputs --event-log EVENTS";

/** `known`: was the stack brought up before? `body` runs in place of pulumi's up. */
async function there(t: ExecutionContext, known: boolean, body = ""): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	if (known) lab.write("state/.pulumi/stacks/tracelab/quickstart.json", '{"checkpoint":{"latest":null}}');
	lab.write("asked", "");
	lab.fake(
		"pulumi",
		`echo "$*" | sed 's,/tmp/[^ ]*/events,EVENTS,' >>"$root/asked"
		${body}`,
	);
	// Where the tests are not root's, root is only played.
	lab.fake("sudo", 'echo "$*" >>"$root/sudo"');
	return lab;
}

const asked = (lab: ScratchLab) => lab.read("asked").split("\n").slice(0, -1);
const asRoot = root ? test.serial : test.serial.skip;
const why = root ? "" : " (skipped: needs root)";

asRoot(`up makes an unknown stack known, brings it up, and says what to try next${why}`, async (t) => {
	const lab = await there(t, false);
	lab.up();
	const { code, stdout, stderr } = await lab.lab(["up", "--", "--diff"]);
	t.is(code, 0);
	t.deepEqual(asked(lab), ["stack select --create quickstart", `${up} --diff --suppress-progress`]);
	t.regex(stderr, /^where the time went: \d+\.\d s in all$/);
	t.deepEqual(stdout.split("\n"), [
		"what to try next:",
		"  ./lab ls                     the domains of this lab",
		"  ./lab exec held -- uname -a  a command in the guest",
		"  ./lab gdb held               its kernel, in gdb",
		"  ./lab console held           its serial console",
		"  lttng list -u                the tracepoints in QEMU (as root)",
	]);
});

asRoot(`an up that fails has pulumi's exit status, and says only where the time went${why}`, async (t) => {
	const lab = await there(t, true, "exit 255");
	mkdirSync(`${lab.root}/tmp`);
	const { code, stdout, stderr } = await lab.lab(["up"], { TMPDIR: `${lab.root}/tmp` });
	t.deepEqual({ code, stdout }, { code: 255, stdout: "" });
	t.regex(stderr, /^where the time went: \d+\.\d s in all$/);
	t.deepEqual(asked(lab), [`${up} --suppress-progress`]);
	t.deepEqual(readdirSync(`${lab.root}/tmp`), []);
});

test.serial("a stack that pulumi cannot make is an error with its words", async (t) => {
	const lab = await there(t, false, "echo 'error: no passphrase' >&2; exit 255");
	t.deepEqual(await lab.lab(["preview"]), {
		code: 1,
		stdout: "",
		stderr: 'lab: pulumi cannot make the stack "quickstart":\nerror: no passphrase\n  what to do: see ./lab doctor',
	});
});

test.serial("a preview passes on what is pulumi's", async (t) => {
	const lab = await there(t, true);
	t.deepEqual(await lab.lab(["preview", "--", "--diff"]), { code: 0, stdout: "", stderr: "" });
	t.deepEqual(asked(lab), ["preview --stack quickstart --diff --suppress-progress"]);
});

const unknown = test.macro({
	title: (_, command: string) => `${command} of a stack that there is not asks pulumi nothing`,
	async exec(t, command: string) {
		const lab = await there(t, false);
		t.deepEqual(await lab.lab(["-s", "quikstart", command]), {
			code: 2,
			stdout: "",
			stderr:
				'lab: there is no stack "quikstart" (did you mean "quickstart"?)\n  what to do: the stacks there are: debug, probes, quickstart, versions',
		});
		t.deepEqual(asked(lab), []);
	},
});

for (const command of ["up", "preview"]) test.serial(unknown, command);

test.serial("destroy of a stack that there is not asks pulumi nothing", async (t) => {
	const lab = await there(t, false);
	const { code, stderr } = await lab.lab(["-s", "quikstart", "destroy", "-y"]);
	t.is(code, 2);
	t.regex(stderr, /^lab: there is no stack "quikstart" /);
	t.deepEqual(asked(lab), []);
});

test.serial("destroy of a stack that was never brought up has nothing to do", async (t) => {
	const lab = await there(t, false);
	t.deepEqual(await lab.lab(["destroy"]), {
		code: 0,
		stdout: "",
		stderr: 'lab: stack "quickstart" was never brought up: nothing to destroy',
	});
	t.deepEqual(asked(lab), []);
});

asRoot(`destroy of a stack whose state is elsewhere is for pulumi to judge${why}`, async (t) => {
	const lab = await there(t, false, "echo 'error: no stack named' >&2; exit 255");
	const elsewhere = { PULUMI_BACKEND_URL: "s3://bucket" };
	const expected = { code: 255, stdout: "", stderr: "error: no stack named" };
	t.deepEqual(await lab.lab(["destroy", "-y"], elsewhere), expected);
});

test.serial("destroy asks first, and where nobody can answer, names the command that does not", async (t) => {
	const lab = await there(t, true);
	lab.write("state/.pulumi/stacks/tracelab/debug.json", "{}");
	t.deepEqual(await lab.lab(["destroy", "-s", "debug"]), {
		code: 2,
		stdout: "",
		stderr:
			"lab: destroy asks first, and nobody can answer here\n  what to do: say it is meant: ./lab -s debug destroy -y",
	});
	t.deepEqual(asked(lab), []);
});

asRoot(`destroy that is meant is pulumi's${why}`, async (t) => {
	const lab = await there(t, true);
	t.deepEqual(await lab.lab(["destroy", "-y", "--", "--debug"]), { code: 0, stdout: "", stderr: "" });
	t.deepEqual(asked(lab), ["destroy --yes --skip-preview --stack quickstart --debug --suppress-progress"]);
});
