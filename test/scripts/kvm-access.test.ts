import { chmodSync, chownSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { asRoot, why } from "../as-root.ts";
import { ScratchHost } from "./run-step.ts";

// Only root may give a file to a group that it is not in.
const kvm = 12_345;

function host(t: ExecutionContext, mode = 0o600, group = 0): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.fake("getent", `[ "$*" = 'group kvm' ] && echo 'kvm:x:${kvm}:'`);
	chownSync(scratch.write("dev/kvm", ""), 0, group);
	chmodSync(join(scratch.root, "dev/kvm"), mode);
	return scratch;
}

function state(scratch: ScratchHost): string {
	const { mode, gid } = statSync(join(scratch.root, "dev/kvm"));
	return `${(mode & 0o777).toString(8)} ${gid}`;
}

asRoot(`a device that is root's alone is drift, is opened once, and goes back${why}`, async (t) => {
	const scratch = host(t);
	const before = scratch.hostTree();
	t.is(
		(await scratch.step("kvm-access", "probe")).stdout["drift"],
		"/dev/kvm is not open to the group kvm (root:root 600)",
	);
	t.is((await scratch.step("kvm-access", "apply")).stderr, "kvm-access: /dev/kvm opened to the group kvm");
	t.is(state(scratch), `660 ${kvm}`);
	const applied = scratch.tree();
	t.is((await scratch.step("kvm-access", "apply")).stderr, "kvm-access: /dev/kvm is open to the group kvm");
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step("kvm-access", "probe")).stdout["drift"], "");
	t.is((await scratch.step("kvm-access", "remove")).code, 0);
	t.deepEqual(scratch.hostTree(), before);
});

asRoot(`a device that udev opened is left alone and not claimed${why}`, async (t) => {
	const scratch = host(t, 0o660, kvm);
	t.is((await scratch.step("kvm-access", "probe")).stdout["drift"], "");
	t.is((await scratch.step("kvm-access", "apply")).stderr, "kvm-access: nothing to do, /dev/kvm is open already");
	await scratch.step("kvm-access", "remove");
	t.is(state(scratch), `660 ${kvm}`);
});

asRoot(`a device that is open to all is left alone${why}`, async (t) => {
	const scratch = host(t, 0o666);
	t.is((await scratch.step("kvm-access", "probe")).stdout["drift"], "");
});

asRoot(`a host without the device has nothing to do${why}`, async (t) => {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	mkdirSync(join(scratch.root, "dev"));
	t.is((await scratch.step("kvm-access", "probe")).stdout["drift"], "");
	t.is((await scratch.step("kvm-access", "apply")).stderr, "kvm-access: nothing to do, /dev/kvm is absent");
	t.is((await scratch.step("kvm-access", "remove")).code, 0);
});

asRoot(`the device stays open until the last stack has gone${why}`, async (t) => {
	const scratch = host(t);
	await scratch.step("kvm-access", "apply");
	await scratch.step("kvm-access", "apply", { stack: "other" });
	await scratch.step("kvm-access", "remove");
	t.is(state(scratch), `660 ${kvm}`);
	await scratch.step("kvm-access", "remove", { stack: "other" });
	t.is(state(scratch), "600 0");
});

for (const path of ["ledger", "ledger/kvm-access", "ledger/kvm-access/owners/quick"]) {
	asRoot(`where ${path} was deleted, that is drift, and the device goes back all the same${why}`, async (t) => {
		const scratch = host(t);
		await scratch.step("kvm-access", "apply");
		const applied = scratch.tree();
		const remove = () => scratch.bash(`rm -r '${scratch.root}/var/lib/tracelab/${path}'`);
		await remove();
		t.is((await scratch.step("kvm-access", "probe")).stdout["drift"], "the ledger entry kvm-access is missing");
		t.is((await scratch.step("kvm-access", "apply")).stderr, "kvm-access: /dev/kvm is open to the group kvm");
		t.deepEqual(scratch.tree(), applied);
		t.is((await scratch.step("kvm-access", "probe")).stdout["drift"], "");
		await remove();
		await scratch.step("kvm-access", "remove");
		t.is(state(scratch), "600 0");
	});
}

asRoot(`a stack whose owner's file was deleted keeps the device open when another one goes${why}`, async (t) => {
	const scratch = host(t);
	await scratch.step("kvm-access", "apply");
	await scratch.step("kvm-access", "apply", { stack: "other" });
	await scratch.bash(`rm '${scratch.root}/var/lib/tracelab/ledger/kvm-access/owners/other'`);
	await scratch.step("kvm-access", "remove");
	t.is(state(scratch), `660 ${kvm}`);
	await scratch.step("kvm-access", "remove", { stack: "other" });
	t.is(state(scratch), "600 0");
});

asRoot(`what somebody else changed since is not put back${why}`, async (t) => {
	const scratch = host(t);
	await scratch.step("kvm-access", "apply");
	chmodSync(join(scratch.root, "dev/kvm"), 0o666);
	const { stderr } = await scratch.step("kvm-access", "remove");
	t.is(stderr, "kvm-access: /dev/kvm was changed since and is left as it is");
	t.is(state(scratch), `666 ${kvm}`);
});

asRoot(`a missing group kvm is an error that names its package${why}`, async (t) => {
	const scratch = host(t);
	scratch.fake("getent", "exit 2");
	const { code, stderr } = await scratch.step("kvm-access", "apply");
	t.is(code, 1);
	t.is(
		stderr,
		"tracelab: kvm-access: there is no group kvm\n  what to do: install libvirt-daemon-system, which makes it",
	);
});
