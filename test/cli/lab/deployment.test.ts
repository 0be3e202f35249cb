import { mkdirSync, readdirSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { asRoot, why } from "../../as-root.ts";
import { card, ScratchLab } from "../scratch-lab.ts";
import { lines, planned } from "./event-log.ts";

// Up, preview and destroy with a fake pulumi, which notes its arguments and what it should have been given.

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

asRoot(`up makes an unknown stack known, brings it up, and says what to try next${why}`, async (t) => {
	const lab = await there(t, false);
	lab.up({ ...card, hashes: { ...card.hashes, lock: "6f".repeat(32) } });
	const { code, stdout, stderr } = await lab.lab(["up", "--", "--diff"]);
	t.is(code, 0);
	t.deepEqual(asked(lab), ["stack select --create quickstart", `${up} --diff --suppress-progress`]);
	t.regex(stderr, /^where the time went: \d+\.\d s in all$/);
	t.deepEqual(stdout.split("\n"), [
		"what to try next:",
		"  ./lab gdb held                                           its kernel, which waits for gdb to let it go",
		"  ./lab verify                                             all that the lab claims to be, looked at now",
		"  ./lab trace run block-io -d vm -- sh -c 'touch /; sync'  a write, in the guest and in QEMU",
		"  ./lab --help                                             all else",
	]);
});

asRoot(`what the set-up before an up took is in where the time went${why}`, async (t) => {
	const lab = await there(t, true);
	lab.up();
	const { stderr } = await lab.lab(["up"], { TRACELAB_SETUP_SECONDS: "61" });
	t.regex(stderr, /^where the time went: 1 min 0[1-9] s in all\n {2}set-up {2}done {2}1 min 01 s$/);
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

asRoot(`a stack that pulumi cannot make is an error with its words${why}`, async (t) => {
	const lab = await there(t, false, "echo 'error: no passphrase' >&2; exit 255");
	t.deepEqual(await lab.lab(["preview"]), {
		code: 1,
		stdout: "",
		stderr: 'lab: pulumi cannot make the stack "quickstart":\nerror: no passphrase\n  what to do: see ./lab doctor',
	});
});

asRoot(`a preview passes on what is pulumi's, and says what an up would take${why}`, async (t) => {
	const prefix = "/opt/tracelab/kernel/0123456789abcdef";
	const events = lines([
		planned("update", "kernel-main-build", { made: prefix }),
		planned("update", "quickstart-card"),
	]);
	const lab = await there(
		t,
		true,
		`while [ "$1" != --event-log ]; do shift; done; cat >"$2" <<'EVENTS'\n${events}EVENTS`,
	);
	lab.write("var/cache/tracelab/durations/kernel/0123456789abcdef.built", "61\n");
	t.deepEqual(await lab.lab(["preview", "--", "--diff"]), {
		code: 0,
		stdout: "",
		stderr: [
			"what up would do:",
			"  kernel-main-build: builds kernel main again (1 min 01 s last time)",
			"  and in a moment: quickstart-card",
		].join("\n"),
	});
	t.deepEqual(asked(lab), ["preview --stack quickstart --event-log EVENTS --diff --suppress-progress"]);
});

asRoot(`a preview that fails says nothing more than pulumi${why}`, async (t) => {
	const failed = { timestamp: 1, diagnosticEvent: { message: "no such key", severity: "error" } };
	const events = lines([planned("update", "quickstart-card"), failed]);
	const lab = await there(
		t,
		true,
		`while [ "$1" != --event-log ]; do shift; done; cat >"$2" <<'EVENTS'\n${events}EVENTS\nexit 255`,
	);
	t.deepEqual(await lab.lab(["preview"]), { code: 255, stdout: "", stderr: "" });
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

test.serial(
	"destroy of a lab that is up, and of which this project has no state, says whose it is to do",
	async (t) => {
		const lab = await there(t, false);
		lab.up();
		t.deepEqual(await lab.lab(["destroy", "-y"]), {
			code: 1,
			stdout: "",
			stderr: `lab: the lab of stack "quickstart" is up, and this project has no state of it
  what to do: destroy it from the project that brought it up; where that is gone, ./lab up takes it over, then destroy`,
		});
		t.deepEqual(asked(lab), []);
	},
);

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

asRoot(`destroy ends the session of a measurement of clocks that was killed${why}`, async (t) => {
	const lab = await there(t, true);
	const xml = "<session><name>tracelab-clock-4343</name><enabled>true</enabled></session>";
	lab.fake("lttng", `echo "lttng $*" >>"$root/asked"; case $* in *list) echo '${xml}' ;; esac`);
	t.deepEqual(await lab.lab(["destroy", "-y"]), { code: 0, stdout: "", stderr: "" });
	t.deepEqual(asked(lab), [
		"lttng --no-sessiond --mi xml list",
		"lttng --no-sessiond destroy tracelab-clock-4343",
		"destroy --yes --skip-preview --stack quickstart --suppress-progress",
	]);
});

const foreign = test.macro({
	title: (_, command: string, ..._options: string[]) =>
		`${command} of a lab that is up from another project is refused, and nothing of it is touched${why}`,
	async exec(t, command: string, ...options: string[]) {
		const lab = await there(t, true);
		const latest = {
			resources: [{ urn: "urn:pulumi:quickstart::tracelab::some:type::known", type: "some:type" }],
			pending_operations: [
				{ resource: { urn: "u::vm", type: "libvirt:index/domain:Domain", inputs: { name: "vm" } }, type: "creating" },
			],
		};
		lab.write("state/.pulumi/stacks/tracelab/quickstart.json", JSON.stringify({ checkpoint: { latest } }));
		lab.fake("virsh", 'echo "virsh $*" >>"$root/asked"');
		lab.write("other/Pulumi.yaml", "");
		lab.write("var/lib/tracelab/undo/quickstart/card", `# from ${lab.root}/other\n`);
		const build = "kernel/0123456789abcdef";
		lab.write(`opt/tracelab/${build}/.tracelab-build`, "");
		lab.write(`var/lib/tracelab/builds/${build}/quickstart`, "");
		const before = lab.tree();
		t.deepEqual(await lab.lab([command, ...options]), {
			code: 1,
			stdout: "",
			stderr: [
				`lab: the lab of stack "quickstart" is up from another project: ${lab.root}/other`,
				'  what to do: work with it there; or have one beside it: a file stacks/NAME.yaml with "extends: quickstart", and a processName of its own for each domain',
			].join("\n"),
		});
		t.deepEqual(asked(lab), []);
		t.deepEqual(lab.tree(), before);
	},
});

asRoot(foreign, "up");
asRoot(foreign, "destroy", "-y");
