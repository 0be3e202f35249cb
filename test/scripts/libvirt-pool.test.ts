import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ScratchHost, type StepRun } from "./run-step.ts";

const step = "libvirt-pool";
const folder = "/var/lib/tracelab/pools/quick";
const uuid = "0d000000-0000-0000-0000-000000000001";
const inputs = { pool: "tracelab-quick", uuid, folder };

/** A libvirt with one pool: `virt/uuid` and `virt/path` where it is defined, `virt/state`; `virt/off` where it is down. */
const virsh = `
v=$root/virt
[ ! -e "$v/off" ] || { echo 'error: failed to connect to the hypervisor' >&2; exit 1; }
[ "$1 $2 $3" = '--quiet --connect qemu:///system' ] || exit 96
shift 3
if [[ $1 == *';'* ]]; then
	IFS=';' read -ra commands <<<"$1"
	for command in "\${commands[@]}"; do eval "$0 --quiet --connect qemu:///system $command" && code=0 || code=$?; done
	exit $code
fi
[ "$1" = uri ] || [ "$1" = pool-define ] || [ "$2" = tracelab-quick ] || exit 95
known() { [ -e "$v/uuid" ] || { echo "error: failed to get pool 'tracelab-quick'" >&2; exit 1; }; }
case $1 in
uri) echo qemu:///system ;;
pool-info) known
	printf '%-15s %s\\n' Name: tracelab-quick UUID: "$(cat "$v/uuid")" State: "$(cat "$v/state")" Persistent: yes ;;
pool-dumpxml) known; printf '<pool>\\n  <target>\\n    <path>%s</path>\\n  </target>\\n</pool>\\n' "$(cat "$v/path")" ;;
pool-define)
	[ ! -e "$v/uuid" ] || { echo "error: pool 'tracelab-quick' is already defined" >&2; exit 1; }
	sed -n 's,.*<uuid>\\(.*\\)</uuid>.*,\\1,p' "$2" >"$v/uuid"
	sed -n 's,.*<path>\\(.*\\)</path>.*,\\1,p' "$2" >"$v/path"
	echo inactive >"$v/state" ;;
pool-autostart) known ;;
pool-start) known
	[ "$(cat "$v/state")" = inactive ] || { echo 'error: pool is already active' >&2; exit 1; }
	[ -d "$root$(cat "$v/path")" ] || { echo 'error: cannot open directory' >&2; exit 1; }
	echo running >"$v/state" ;;
pool-destroy) known
	[ "$(cat "$v/state")" = running ] || { echo 'error: pool is not active' >&2; exit 1; }
	echo inactive >"$v/state" ;;
pool-undefine) known
	[ "$(cat "$v/state")" = inactive ] || { echo 'error: pool is still active' >&2; exit 1; }
	rm "$v/uuid" "$v/path" "$v/state" ;;
pool-refresh) known; [ -d "$root$(cat "$v/path")" ] ;;
*) exit 97 ;;
esac`;

/** The pool as @pulumi/libvirt has just made it. */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.fake("virsh", virsh);
	scratch.write("virt/uuid", `${uuid}\n`);
	scratch.write("virt/path", `${folder}\n`);
	scratch.write("virt/state", "running\n");
	mkdirSync(join(scratch.root, folder), { recursive: true, mode: 0o711 });
	return scratch;
}

const drift = async (scratch: ScratchHost) => (await scratch.step(step, "probe", inputs)).stdout["drift"];

/** What libvirt was told that changes a pool. */
function told({ calls }: StepRun): string[] {
	return calls
		.map((call) => call.replace("virsh --quiet --connect qemu:///system ", ""))
		.filter((call) => /^pool-(define|autostart|start|destroy|undefine|refresh|build|delete)/.test(call))
		.map((call) => call.replace(/^pool-define .*/, "pool-define FILE"));
}

test("a pool as it was made is looked at in one call, and left alone", async (t) => {
	const scratch = host(t);
	const looked = await scratch.step(step, "probe", inputs);
	t.is(looked.stdout["drift"], "");
	t.deepEqual(
		looked.calls[0],
		"virsh --quiet --connect qemu:///system uri; pool-info tracelab-quick; pool-dumpxml tracelab-quick",
	);
	const first = await scratch.step(step, "apply", inputs);
	t.is(first.stderr, "libvirt-pool: pool tracelab-quick is up to date");
	t.deepEqual(told(first), []);
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", inputs);
	t.is(second.stderr, first.stderr);
	t.deepEqual(scratch.tree(), applied);
});

interface Repair {
	byHand: (scratch: ScratchHost) => unknown;
	drift: string;
	words: string[];
	commands: string[];
}

const repaired = test.macro({
	exec: async (t, { byHand, drift: sentence, words, commands }: Repair) => {
		const scratch = host(t);
		const before = scratch.tree();
		await byHand(scratch);
		t.is(await drift(scratch), sentence);
		const run = await scratch.step(step, "apply", inputs);
		t.is(run.code, 0, run.stderr);
		t.deepEqual(
			run.stderr.split("\n"),
			words.map((text) => `libvirt-pool: ${text}`),
		);
		t.deepEqual(told(run), commands);
		t.is(await drift(scratch), "");
		const again = await scratch.step(step, "apply", inputs);
		t.deepEqual(told(again), []);
		t.is(again.stderr, "libvirt-pool: pool tracelab-quick is up to date");
		await scratch.bash(`rm -r '${scratch.root}'/run '${scratch.root}'/var/lib/tracelab/{steps,printed,undo}`);
		t.deepEqual(scratch.tree(), before);
	},
	title: (title = "") => `${title} is drift, and one apply mends it`,
});

const shell = (command: string) => (scratch: ScratchHost) => scratch.bash(`cd '${scratch.root}'; ${command}`);
const asked = (command: string) => `virsh --quiet --connect qemu:///system ${command} tracelab-quick`;

test("a stopped pool", repaired, {
	byHand: shell(asked("pool-destroy")),
	drift: "pool tracelab-quick is inactive",
	words: ["started pool tracelab-quick"],
	commands: ["pool-start tracelab-quick"],
});

test("an undefined pool", repaired, {
	byHand: shell(`${asked("pool-destroy")}; ${asked("pool-undefine")}`),
	drift: "pool tracelab-quick is not defined",
	words: ["defined pool tracelab-quick as it was", "started pool tracelab-quick"],
	commands: ["pool-define FILE", "pool-autostart tracelab-quick", "pool-start tracelab-quick"],
});

test("a folder that is gone below an active pool", repaired, {
	byHand: shell(`rm -r .${folder}`),
	drift: `the folder ${folder} of pool tracelab-quick is gone`,
	words: [`made the folder ${folder} again: what was in it is lost`],
	commands: ["pool-refresh tracelab-quick"],
});

test("a stopped pool whose folder is gone", repaired, {
	byHand: shell(`${asked("pool-destroy")}; rm -r .${folder}`),
	drift: `pool tracelab-quick is inactive; the folder ${folder} of pool tracelab-quick is gone`,
	words: [`made the folder ${folder} again: what was in it is lost`, "started pool tracelab-quick"],
	commands: ["pool-start tracelab-quick"],
});

const forgotten = ["pool-destroy tracelab-quick", "pool-undefine tracelab-quick"];
const another = {
	drift: "pool tracelab-quick is another one than this lab made",
	words: ["defined pool tracelab-quick as it was", "started pool tracelab-quick"],
	commands: [...forgotten, "pool-define FILE", "pool-autostart tracelab-quick", "pool-start tracelab-quick"],
};

test("a pool of that name with another UUID", repaired, {
	...another,
	byHand: (scratch) => scratch.write("virt/uuid", "0d000000-0000-0000-0000-000000000002\n"),
});

test("a pool over another folder", repaired, {
	...another,
	byHand: (scratch) => scratch.write("virt/path", `${folder}-elsewhere\n`),
});

test("the folder that comes back has the mode that libvirt gives one", async (t) => {
	const scratch = host(t);
	rmSync(join(scratch.root, folder), { recursive: true });
	await scratch.step(step, "apply", inputs);
	t.is(statSync(join(scratch.root, folder)).mode & 0o777, 0o711);
});

test("a libvirtd that is down is not this step's to say", async (t) => {
	const scratch = host(t);
	scratch.write("virt/off", "");
	t.is(await drift(scratch), "");
});

test("a pool that cannot be started is an error with libvirt's own words", async (t) => {
	const scratch = host(t);
	scratch.write("virt/state", "degraded\n");
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.regex(stderr, /^tracelab: libvirt-pool: starting pool tracelab-quick failed \(exit 1\)/);
	t.regex(stderr, /^ {2}\| error: pool is already active$/m);
});

test("a remove leaves the pool and its folder to @pulumi/libvirt", async (t) => {
	const scratch = host(t);
	const before = scratch.tree();
	await scratch.step(step, "apply", inputs);
	const removed = await scratch.step(step, "remove", inputs);
	t.deepEqual(told(removed), []);
	const { run: _, ...left } = scratch.tree();
	t.deepEqual(left, before);
});

test("what was undefined or deleted is there again for @pulumi/libvirt to remove, and no disk of the stack's is left", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write(`${folder}/quick-vm-0123456789abcdef.qcow2`, "disk");
	scratch.write(`${folder}/somebodys.iso`, "");
	await shell(`${asked("pool-destroy")}; ${asked("pool-undefine")}`)(scratch);
	const removed = await scratch.step(step, "remove", inputs);
	t.is(removed.code, 0, removed.stderr);
	t.is(scratch.read("virt/uuid"), `${uuid}\n`);
	t.false(existsSync(join(scratch.root, folder, "quick-vm-0123456789abcdef.qcow2")));
	t.true(existsSync(join(scratch.root, folder, "somebodys.iso")));
	rmSync(join(scratch.root, folder), { recursive: true });
	await scratch.step(step, "remove", inputs);
	t.true(existsSync(join(scratch.root, folder)));
});
