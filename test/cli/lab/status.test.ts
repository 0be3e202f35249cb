import { hostname } from "node:os";
import test, { type ExecutionContext } from "ava";
import { citation } from "../../../spec/lab-hashes.ts";
import { asRoot, why } from "../../as-root.ts";
import { card, ScratchLab } from "../scratch-lab.ts";
import { drifted, lines, planned } from "./event-log.ts";

const prefix = "/opt/tracelab/kernel/0123456789abcdef";

/** A lab that is up, on a host where each folder takes a megabyte; a preview finds these events, and ends as `body` does. */
async function there(t: ExecutionContext, events: readonly object[] = [], body = ""): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	const session = "tracelab-quickstart-flight";
	lab.up({
		...card,
		traces: { flight: { domains: ["vm"], profile: "block-io", budget: { rate: 4, events: 50000 }, session } },
	});
	lab.up(card, "theirs");
	lab.write(
		"state/.pulumi/stacks/tracelab/quickstart.json",
		JSON.stringify({ checkpoint: { latest: { resources: [{ urn: "a", type: "b" }] } } }),
	);
	lab.write("asked", "");
	lab.fake(
		"pulumi",
		`echo "$*" | sed 's,/tmp/[^ ]*/events,EVENTS,' >>"$root/asked"
		while [ "$1" != --event-log ]; do shift; done
		cat >"$2" <<'EVENTS'\n${lines(events)}EVENTS\n${body}`,
	);
	lab.fake("virsh", "case $5 in *-vm) echo running ;; *) echo paused ;; esac");
	lab.fake(
		"lttng",
		`echo '<sessions><session><name>${session}</name><path></path><enabled>true</enabled></session></sessions>'`,
	);
	lab.fake(
		"du",
		'while [ "$1" != -- ]; do shift; done; shift; for path; do [ ! -e "$path" ] || printf "1000000\\t%s\\n" "$path"; done',
	);
	lab.write(`${prefix}/.tracelab-build`, "");
	lab.write(`${prefix}/release`, "6.1.192\n");
	lab.write("var/cache/tracelab/builds/kernel/ffffffffffffffff/.tracelab-build", "");
	lab.write("var/cache/tracelab/ccache/0/0/object", "");
	lab.write("var/log/tracelab/quickstart/card.log", "");
	return lab;
}

const rows = (stdout: string) => stdout.split("\n").map((line) => line.replaceAll(/ {2,}/g, " | "));

asRoot(`a lab that is as declared is told with all that it takes, and that is success${why}`, async (t) => {
	const lab = await there(t, [planned("same", "quickstart-card")]);
	const { code, stdout, stderr } = await lab.lab(["status"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	t.deepEqual(rows(stdout), [
		'the lab of stack "quickstart" is up; up beside it: theirs',
		`to cite: ${citation("quickstart", card.hashes)}`,
		"",
		"DOMAIN | STATE | PROCESS | QEMU | ACCEL | KERNEL | GDB | MODULES",
		"held | paused | quickstart-held | main | tcg | main | 127.0.0.1:1235 | none",
		"vm | running | quickstart-vm | main | tcg | main | 127.0.0.1:1234 | first, second",
		"acceleration of held, vm is tcg: there is no /dev/kvm",
		"",
		"TRACE | KIND | PROFILE | DOMAINS | STATE",
		"flight | flight recorder | block-io | vm | active",
		"",
		"all is as declared",
		"",
		"BUILD IN USE | WHAT | SIZE | BY",
		"kernel/0123456789abcdef | 6.1.192 | 1.0 MB | lab quickstart, lab theirs",
		"",
		"ON DISK | SIZE | UNUSED",
		"builds kernel | 2.0 MB | 1.0 MB",
		"cache ccache | 1.0 MB",
		"logs | 1.0 MB",
		"in all | 4.0 MB | 1.0 MB",
		"./lab gc removes builds that were not used for a while",
	]);
	t.is(lab.read("asked"), "preview --stack quickstart --event-log EVENTS\n");
});

asRoot(`what drifted is told in the words of the steps, and that is exit status 1${why}`, async (t) => {
	const sentence = "libvirt-qemu is not in group tracing";
	const lab = await there(t, [
		drifted("tracing-group-member", sentence),
		planned("update", "tracing-group-member"),
		planned("update", "domain-vm-module-load"),
	]);
	const { code, stdout, stderr } = await lab.lab(["status"]);
	t.deepEqual({ code, stderr }, { code: 1, stderr: "" });
	const lines = stdout.split("\n");
	t.deepEqual(lines.slice(lines.indexOf("drift:"), lines.indexOf("drift:") + 6), [
		"drift:",
		`  tracing-group-member: ${sentence}`,
		"",
		"what up would do:",
		"  domain-vm-module-load: loads the modules of vm; its guest goes on",
		"  and in a moment: tracing-group-member",
	]);
	t.true(lines.includes("bring it there: ./lab up"));
});

asRoot(`as JSON, all of it is there for a machine${why}`, async (t) => {
	const lab = await there(t, [
		planned("update", "kernel-main-build", { made: prefix, before: prefix }),
		drifted("kernel-main-build", "x"),
	]);
	const { code, stdout, stderr } = await lab.lab(["status", "--json"]);
	t.deepEqual({ code, stderr }, { code: 1, stderr: "" });
	const { domains, builds, ...rest } = JSON.parse(stdout);
	t.deepEqual(
		domains.map(({ name, state }: { name: string; state: string }) => [name, state]),
		[
			["held", "paused"],
			["vm", "running"],
		],
	);
	t.like(builds[0], { id: "kernel/0123456789abcdef", users: ["lab quickstart", "lab theirs"], whole: true });
	t.deepEqual(rest, {
		stack: "quickstart",
		cite: citation("quickstart", card.hashes),
		hashes: card.hashes,
		asDeclared: false,
		sessions: [{ name: "flight", kind: "flight recorder", profile: "block-io", domains: ["vm"], state: "active" }],
		changes: [
			{
				name: "kernel-main-build",
				type: "command:local:Command",
				what: "update",
				drift: "x",
				prefix,
				previous: prefix,
			},
		],
		errors: [],
		labs: ["quickstart", "theirs"],
		kept: [
			{ what: "builds kernel", bytes: 2_000_000, unused: 1_000_000 },
			{ what: "cache ccache", bytes: 1_000_000 },
			{ what: "logs", bytes: 1_000_000 },
		],
	});
});

asRoot(`a lab with a build of an older tracelab has no hash${why}`, async (t) => {
	const lab = await there(t);
	const builds = { ...card.hashes.builds, "kernel-main": null };
	lab.up({ ...card, hashes: { ...card.hashes, builds } });
	const { stdout } = await lab.lab(["status"]);
	t.is(stdout.split("\n")[1], "it has no hash to cite: an older tracelab built kernel-main");
});

asRoot(`a flight recorder that LTTng does not know is absent${why}`, async (t) => {
	const lab = await there(t);
	lab.fake("lttng", "echo 'Error: No session daemon is available' >&2; exit 1");
	const { stdout } = await lab.lab(["status"]);
	t.regex(stdout, /^flight +flight recorder +block-io +vm +absent$/m);
});

asRoot(`a libvirtd that does not answer is told, and what drifted is as well${why}`, async (t) => {
	const lab = await there(t, [
		drifted("libvirt-daemon", "libvirtd is not running"),
		planned("update", "libvirt-daemon"),
	]);
	lab.fake("virsh", "echo 'error: failed to connect to the hypervisor' >&2; exit 1");
	const { code, stdout } = await lab.lab(["status"]);
	t.is(code, 1);
	t.regex(stdout, /^libvirtd does not answer$/m);
	t.regex(stdout, /^ {2}libvirt-daemon: libvirtd is not running$/m);
});

asRoot(`a stack file that cannot be read is no lab that is as declared${why}`, async (t) => {
	const error = {
		timestamp: 1,
		diagnosticEvent: { message: "stacks/quickstart.yaml:3:1: no such key\n", severity: "error" },
	};
	const lab = await there(t, [error], "exit 255");
	const { code, stdout } = await lab.lab(["status"]);
	t.is(code, 1);
	t.regex(
		stdout,
		/^what is declared cannot be compared with what is there:\nstacks\/quickstart\.yaml:3:1: no such key$/m,
	);
});

asRoot(`a pulumi that fails before all else is told in its words${why}`, async (t) => {
	const lab = await there(t, [], "echo 'error: no passphrase' >&2; exit 255");
	const { code, stdout } = await lab.lab(["status"]);
	t.is(code, 1);
	t.regex(stdout, /^what is declared cannot be compared with what is there:\nerror: no passphrase$/m);
});

asRoot(`a lab that is not up is not as declared, and no preview is asked${why}`, async (t) => {
	const lab = await there(t);
	const { code, stdout } = await lab.lab(["status", "-s", "debug"]);
	t.is(code, 1);
	t.deepEqual(stdout.split("\n").slice(0, 3), [
		'the lab of stack "debug" is not up; up beside it: quickstart, theirs',
		"",
		"whether it is as declared is not known: this project has not brought it up",
	]);
	t.is(lab.read("asked"), "");
});

asRoot(`while pulumi is at work on a lab, nobody knows what it will be${why}`, async (t) => {
	const lab = await there(t);
	const lock = { pid: 1, username: "me", hostname: `not-${hostname()}`, timestamp: "2026-08-01T10:20:30.123Z" };
	lab.write("state/.pulumi/locks/organization/tracelab/quickstart/a.json", JSON.stringify(lock));
	const { code, stdout } = await lab.lab(["status"]);
	t.is(code, 1);
	t.true(
		stdout.includes(
			`whether it is as declared is not known: pulumi is at work on it: process 1 of me on not-${hostname()}, since 2026-08-01T10:20:30Z`,
		),
	);
	t.is(lab.read("asked"), "");
});

test.serial("a stack that there is not has no status", async (t) => {
	const lab = await there(t);
	const { code, stdout, stderr } = await lab.lab(["status", "-s", "quikstart"]);
	t.deepEqual({ code, stdout }, { code: 2, stdout: "" });
	t.regex(stderr, /^lab: there is no stack "quikstart" \(did you mean "quickstart"\?\)/);
});
