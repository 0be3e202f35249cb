import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, rmSync, utimesSync } from "node:fs";
import { hostname } from "node:os";
import test from "ava";
import { LabError } from "../../../cli/errors.ts";
import { project } from "../../../cli/host.ts";
import { readLocks, readState } from "../../../cli/lab/engine.ts";
import {
	breakStaleLock,
	clearPending,
	releaseUnknown,
	removeUnknownDomains,
	undoUnknown,
} from "../../../cli/lab/interruption.ts";
import { patient, ScratchLab } from "../scratch-lab.ts";

const lab = await ScratchLab.make();
lab.enter();

// Notes what it is asked; an export is what `exported` below the root says, an import is kept in `imported`.
const pulumi = `echo "$*" >>"$root/asked"
	case $1-$2 in
	stack-export) cat "$root/exported" ;;
	stack-import) cat >"$root/imported" ;;
	esac`;

test.beforeEach(() => {
	for (const path of ["state", "asked", "exported", "imported", "undone", "var", "opt"])
		rmSync(`${lab.root}/${path}`, { recursive: true, force: true });
	lab.write("asked", "");
	lab.runsLibvirtd();
	lab.fake("pulumi", pulumi);
	lab.fake("virsh", `echo "$*" >>"$root/asked"; exit 1`);
});

test.beforeEach(patient);

test.after.always(() => lab.clean());

const asked = () => lab.read("asked").split("\n").slice(0, -1);

function lock(name: string, pid: number, host = hostname()): void {
	const facts = { pid, username: "root", hostname: host, timestamp: "2026-08-01T10:20:30.123456789Z" };
	lab.write(`state/.pulumi/locks/organization/tracelab/quickstart/${name}.json`, JSON.stringify(facts));
}

/** The number of a process that has ended. */
async function gone(): Promise<number> {
	const child = spawn("true");
	await once(child, "close");
	return Number(child.pid);
}

test.serial("a stack that nobody holds is left alone", async (t) => {
	await breakStaleLock("quickstart");
	t.deepEqual(asked(), []);
	t.deepEqual(readLocks("quickstart"), []);
});

test.serial("the lock of a process that is gone is removed", async (t) => {
	lock("a", await gone());
	await breakStaleLock("quickstart");
	t.deepEqual(asked(), ["cancel --yes --stack quickstart"]);
});

test.serial("a process that took the number of one that is gone holds no lock", async (t) => {
	lock("a", process.pid);
	await breakStaleLock("quickstart");
	t.deepEqual(asked(), ["cancel --yes --stack quickstart"]);
});

test.serial("a lock that cannot be removed is an error with pulumi's own words", async (t) => {
	lock("a", await gone());
	lab.fake("pulumi", "echo 'error: no such stack' >&2; exit 255");
	const error = await t.throwsAsync(breakStaleLock("quickstart"), { instanceOf: LabError });
	t.is(error?.message, "pulumi cancel --yes --stack quickstart failed:\nerror: no such stack");
});

test.serial("the lock of a pulumi that lives is an error that says whose it is", async (t) => {
	mkdirSync(`${lab.root}/own`, { recursive: true });
	// A process by that name.
	copyFileSync("/bin/sleep", `${lab.root}/own/pulumi`);
	const living = spawn(`${lab.root}/own/pulumi`, ["60"]);
	t.teardown(() => living.kill());
	await once(living, "spawn");
	lock("a", await gone());
	lock("b", Number(living.pid));
	t.like(await t.throwsAsync(breakStaleLock("quickstart"), { instanceOf: LabError }), {
		message: `pulumi is at work on stack "quickstart" already: process ${living.pid} of root on ${hostname()}, since 2026-08-01T10:20:30Z`,
		todo: "wait until it has ended",
	});
	t.deepEqual(asked(), []);
});

test.serial("a lock from another machine is taken for a living one's", async (t) => {
	lock("a", await gone(), "elsewhere");
	const error = await t.throwsAsync(breakStaleLock("quickstart"), { instanceOf: LabError });
	t.regex(String(error?.message), /of root on elsewhere, since 2026-08-01T10:20:30Z$/);
	t.deepEqual(asked(), []);
});

test.serial("a lock that is half written is an error that names the file", async (t) => {
	const file = lab.write("state/.pulumi/locks/organization/tracelab/quickstart/a.json", '{"pid":');
	const error = await t.throwsAsync(breakStaleLock("quickstart"), { instanceOf: LabError });
	t.is(error?.message, `${file} is broken: it is no JSON`);
});

const urn = (name: string) => `urn:pulumi:quickstart::tracelab::some:type::${name}`;
const libvirt = (kind: "domain" | "volume" | "pool", inputs: Record<string, unknown>) => {
	const type = { domain: "Domain", volume: "Volume", pool: "Pool" }[kind];
	return { urn: urn(`vm-${kind}`), type: `libvirt:index/${kind}:${type}`, inputs };
};
const step = {
	urn: urn("qemu-main"),
	type: "command:local:Command",
	inputs: { delete: "bash -s -- remove", stdin: 'echo "$1" >"$root/undone"', interpreter: ["bash", "-c"] },
};

/** The engine's state with these operations pending, on disk and as it is exported. */
function pending(operations: readonly object[], resources: readonly object[] = []): void {
	const latest = { resources, pending_operations: operations };
	lab.write("state/.pulumi/stacks/tracelab/quickstart.json", JSON.stringify({ version: 3, checkpoint: { latest } }));
	lab.write("exported", JSON.stringify({ version: 3, deployment: { manifest: {}, ...latest } }));
}

const exported = "stack export --stack quickstart";
const imported = "stack import --stack quickstart";

test.serial("a stack without pending operations is left alone", async (t) => {
	await clearPending("quickstart");
	pending([]);
	await clearPending("quickstart");
	t.deepEqual(asked(), []);
});

test.serial("pending operations are taken out of the state, and nothing else is", async (t) => {
	const resources = [{ urn: urn("other"), type: "command:local:Command", outputs: { secret: "[x]" } }];
	pending([{ resource: step, type: "updating" }], resources);
	await clearPending("quickstart");
	t.deepEqual(asked(), [exported, imported]);
	t.deepEqual(JSON.parse(lab.read("imported")), { version: 3, deployment: { manifest: {}, resources } });
});

const removes = test.macro({
	title: (_, kind: "domain" | "volume" | "pool") => `a ${kind} that was just being made is removed`,
	async exec(t, kind: "domain" | "volume" | "pool", calls: readonly string[]) {
		pending([{ resource: libvirt(kind, { name: "quickstart-vm", pool: "quickstart" }), type: "creating" }]);
		await clearPending("quickstart");
		const virsh = calls.map((call) => `--quiet --connect qemu:///system ${call}`);
		t.deepEqual(asked(), [exported, ...virsh, imported]);
	},
});

test.serial(removes, "domain", ["destroy quickstart-vm", "undefine quickstart-vm"]);
test.serial(removes, "volume", ["vol-delete quickstart-vm --pool quickstart"]);
test.serial(removes, "pool", [
	"pool-destroy quickstart-vm",
	"pool-delete quickstart-vm",
	"pool-undefine quickstart-vm",
]);

test.serial("what was made last is removed first", async (t) => {
	const [pool, volume] = [libvirt("pool", { name: "p" }), libvirt("volume", { name: "v", pool: "p" })];
	pending([pool, volume].map((resource) => ({ resource, type: "creating" })));
	await clearPending("quickstart");
	t.deepEqual(
		asked()
			.slice(1, -1)
			.map((call) => call.split(" ").slice(3).join(" ")),
		["vol-delete v --pool p", "pool-destroy p", "pool-delete p", "pool-undefine p"],
	);
});

test.serial("a libvirtd that was killed as well is started before it is asked for anything", async (t) => {
	lab.fake("virsh", `shift 2; echo "virsh $*" >>"$root/asked"`);
	lab.fake("systemctl", `[ "$1" = start ] && echo "systemctl $*" >>"$root/asked"`);
	pending([{ resource: libvirt("domain", { name: "quickstart-vm" }), type: "creating" }]);
	await clearPending("quickstart");
	t.deepEqual(asked(), [
		"systemctl start libvirtd.socket",
		"virsh list --name",
		exported,
		"virsh qemu:///system destroy quickstart-vm",
		"virsh qemu:///system undefine quickstart-vm",
		imported,
	]);
});

test.serial("where it does not start, the up that may mend that goes on", async (t) => {
	lab.fake("systemctl", "exit 1");
	pending([{ resource: libvirt("domain", { name: "quickstart-vm" }), type: "creating" }]);
	await clearPending("quickstart");
	t.is(asked().at(-1), imported);
});

const keeps = test.macro({
	title: (_, what: string) => `nothing is removed: ${what}`,
	async exec(t, _what: string, type: string, resource: object, resources: readonly object[]) {
		begun("domain-vm-guest", 1, "exit 1");
		pending([{ resource, type }], resources);
		await clearPending("quickstart");
		t.deepEqual(asked(), [exported, imported]);
	},
});

const vm = libvirt("domain", { name: "quickstart-vm" });
test.serial(keeps, "a domain whose like is in the state under that name", "creating", vm, [vm]);
test.serial(keeps, "a domain without a name", "creating", libvirt("domain", {}), []);
test.serial(keeps, "a step before an up, which applies it again", "creating", step, []);

/** libvirt knows these, of the kind that it is asked for. */
const knows = (...names: string[]) =>
	lab.fake("virsh", `echo "$*" >>"$root/asked"; printf '%s\\n' ${names.join(" ") || "''"}`);

const inState = <T extends object>(resource: T, id: string) => ({ ...resource, id });

const resources = () => JSON.parse(lab.read("imported")).deployment.resources as unknown[];

const isDeleted = test.macro({
	title: (_, what: string) => `${what} that libvirt had deleted when the engine was killed is taken out of the state`,
	async exec(t, _what: string, resource: object, call: string) {
		knows("another");
		const [gone, other] = [inState(resource, "one"), { urn: urn("other"), type: "command:local:Command" }];
		pending([{ resource: gone, type: "deleting" }], [gone, other]);
		await clearPending("quickstart");
		t.true(asked().includes(`--quiet --connect qemu:///system ${call}`), asked().join("\n"));
		t.deepEqual(resources(), [other]);
	},
});

test.serial(isDeleted, "a domain", vm, "list --all --name");
test.serial(isDeleted, "a volume", libvirt("volume", { name: "v", pool: "p" }), "vol-list p");
test.serial(isDeleted, "a pool", libvirt("pool", { name: "p" }), "pool-list --all --name");

test.serial("a pool that was being deleted, and lost its folder alone, is removed", async (t) => {
	lab.fake(
		"virsh",
		`echo "$*" >>"$root/asked"
		case "$*" in *pool-undefine*) : >"$root/undefined" ;; *pool-list*) [ -e "$root/undefined" ] || echo p ;; esac`,
	);
	t.teardown(() => rmSync(`${lab.root}/undefined`));
	const pool = inState(libvirt("pool", { name: "p" }), "one");
	pending([{ resource: pool, type: "deleting" }], [pool]);
	await clearPending("quickstart");
	t.deepEqual(resources(), []);
});

test.serial("a domain that was being deleted, and is there still, stays in the state", async (t) => {
	const there = inState(vm, "one");
	begun("domain-vm-guest", 1, "exit 1");
	for (const answer of ["echo quickstart-vm", "echo 'error: failed to connect to the hypervisor' >&2; exit 1"]) {
		lab.fake("virsh", answer);
		pending([{ resource: there, type: "deleting" }], [there]);
		await clearPending("quickstart");
		t.deepEqual(resources(), [there]);
	}
});

test.serial(
	"where its deletion is not pending, since libvirt's answer was lost, it is looked for as well",
	async (t) => {
		knows("another");
		const gone = inState(vm, "one");
		pending([], [gone]);
		await clearPending("quickstart");
		t.deepEqual(resources(), []);
	},
);

test.serial("one whose guest's step is there is that step's to define again", async (t) => {
	knows("another");
	begun("domain-vm-guest", 1, "exit 1");
	pending([], [inState(vm, "one")]);
	await clearPending("quickstart");
	t.deepEqual(asked(), []);
});

test.serial("one that others refer to is to be replaced, as the engine would have it", async (t) => {
	knows();
	const gone = inState(vm, "one");
	const guest = { ...step, dependencies: [gone.urn] };
	pending([{ resource: gone, type: "deleting" }], [gone, guest]);
	await clearPending("quickstart");
	t.deepEqual(resources(), [{ ...gone, pendingReplacement: true }, guest]);
});

test.serial("what was being made in the place of one that is deleted is removed", async (t) => {
	const deleted = { ...inState(vm, "one"), pendingReplacement: true };
	pending([{ resource: vm, type: "creating" }], [deleted]);
	await clearPending("quickstart");
	t.true(asked().some((call) => call.endsWith("undefine quickstart-vm")));
	t.deepEqual(resources(), [deleted]);
	lab.write("asked", "");
	knows();
	for (const name of ["libvirt-daemon", "domain-vm-share"]) begun(name, 1, "exit 1");
	await removeUnknownDomains("quickstart");
	t.true(asked().some((call) => call.endsWith("undefine quickstart-vm")));
});

test.serial("of two by one name, the one before a replacement goes, and the new one stays", async (t) => {
	knows("another");
	const volume = libvirt("volume", { name: "v", pool: "p" });
	const [gone, replacement] = [{ ...inState(volume, "one"), delete: true }, inState(volume, "two")];
	const guest = { ...step, dependencies: [gone.urn] };
	pending([{ resource: gone, type: "deleting" }], [replacement, guest, gone]);
	await clearPending("quickstart");
	t.deepEqual(resources(), [replacement, guest]);
});

/** What a step leaves on the host before it is begun; the later it is, the larger is `order`. */
function begun(name: string, order: number, undo: string, from = project): void {
	const file = lab.write(`var/lib/tracelab/undo/quickstart/${name}`, `# from ${from}\n${undo}\n`);
	utimesSync(file, order, order);
}

test.serial("steps that were begun and are in no state are undone, the last first, and they alone", async (t) => {
	pending([], [{ urn: urn("known"), type: "command:local:Command" }]);
	for (const [order, name] of ["first", "last", "known"].entries())
		begun(name, order + 1, `echo ${name} "$@" >>'${lab.root}/undone'; rm "$0"`);
	begun("theirs", 5, "exit 1", "/somewhere/else");
	await undoUnknown("quickstart");
	t.is(lab.read("undone"), "last remove\nfirst remove\n");
	t.deepEqual(asked(), []);
});

test.serial("a step that cannot be undone is an error in its own words", async (t) => {
	begun("qemu-main", 1, "echo 'qemu-main: it is in use' >&2; exit 1");
	t.like(await t.throwsAsync(undoUnknown("quickstart"), { instanceOf: LabError }), {
		message: "qemu-main cannot be undone:\nqemu-main: it is in use",
		todo: "mend that, then: ./lab destroy",
	});
});

test.serial(
	"a domain that could not be started as it was created is in no state, and goes; no other does",
	async (t) => {
		lab.fake("virsh", `echo "$*" >>"$root/asked"`);
		pending([], [vm]);
		for (const [order, domain] of ["vm", "other"].entries()) begun(`domain-${domain}-share`, order + 1, "exit 1");
		await removeUnknownDomains("quickstart");
		t.deepEqual(asked(), [], "there is no libvirt of the lab's yet");
		begun("libvirt-daemon", 3, "exit 1");
		begun("domain-theirs-share", 3, "exit 1", "/somewhere/else");
		await removeUnknownDomains("quickstart");
		t.deepEqual(
			asked().map((call) => call.split(" ").slice(-2).join(" ")),
			["destroy quickstart-other", "undefine quickstart-other"],
		);
	},
);

test.serial("a build that a step had ended, and no state knows of, is let go; others stay", async (t) => {
	const [known, unknown] = ["module/0123456789abcdef", "module/fedcba9876543210"];
	const lose = () => {
		for (const build of [known, unknown]) {
			lab.write(`opt/tracelab/${build}/.tracelab-build`, "");
			lab.write(`var/lib/tracelab/builds/${build}/quickstart`, "");
		}
	};
	lose();
	// Its step may be known by what it made before.
	begun("module-hello-build", 1, `prefix='/opt/tracelab/${unknown}'`);
	// With no state at all, the lab is taken over.
	pending([]);
	await releaseUnknown("quickstart");
	t.true(existsSync(`${lab.root}/opt/tracelab/${unknown}`));
	pending([], [{ ...step, inputs: { stdin: `prefix='/opt/tracelab/${known}'` } }]);
	await releaseUnknown("quickstart");
	t.deepEqual(
		[known, unknown].map((build) => existsSync(`${lab.root}/opt/tracelab/${build}`)),
		[true, false],
	);
	t.true(existsSync(`${lab.root}/var/cache/tracelab/builds/${unknown}/.tracelab-build`));
	t.false(existsSync(`${lab.root}/var/lib/tracelab/builds/${unknown}`));
});

test.serial("a state is known only where it is in a folder", (t) => {
	pending([]);
	t.deepEqual(readState("quickstart"), { resources: [], pending_operations: [] });
	t.is(readState("other"), undefined);
	const url = process.env["PULUMI_BACKEND_URL"];
	for (const elsewhere of ["s3://bucket", "https://api.pulumi.com", "file://~"]) {
		process.env["PULUMI_BACKEND_URL"] = elsewhere;
		t.is(readState("quickstart"), undefined);
	}
	process.env["PULUMI_BACKEND_URL"] = url;
});

test.serial("a stack that was made and never brought up has an empty state", (t) => {
	lab.write("state/.pulumi/stacks/tracelab/quickstart.json", '{"version":3,"checkpoint":{"latest":null}}');
	t.deepEqual(readState("quickstart"), {});
});

test.serial("a broken state is an error that names the file", (t) => {
	const file = lab.write("state/.pulumi/stacks/tracelab/quickstart.json", "");
	t.like(
		t.throws(() => readState("quickstart"), { instanceOf: LabError }),
		{
			message: `${file} is broken: it is no JSON`,
			todo: "pulumi keeps older ones beside it: *.json.bak, backups/",
		},
	);
});
