import { lstatSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { ScratchHost } from "./run-step.ts";

const step = "guest-image";
const prefix = "/opt/tracelab/image/0123456789abcdef";
const inputs = { prefix, suite: "bookworm", packages: ["kmod", "systemd-sysv"] };
const kept = "var/cache/tracelab/apt-image/bookworm";

/** A host whose mmdebstrap makes a small tree, runs its hooks, and whose mke2fs keeps a list of what it was given. */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("etc/apt/sources.list", "deb http://mirror.test/debian bookworm main\n");
	scratch.fake(
		"mmdebstrap",
		`tree=\${*: -2:1}; mkdir -p "$tree"/etc/systemd/system/multi-user.target.wants "$tree"/usr/lib
		for a; do case $a in --setup-hook=*) sh -c "\${a#*=}" sh "$tree" ;; esac; done
		mkdir -p "$tree"/var/lib/dpkg/info "$tree"/usr/bin; echo kmod >"$tree/usr/bin/kmod"
		printf '%s\n' /. /usr /usr/bin /usr/bin/kmod /usr/share/doc/kmod/changelog.gz >"$tree/var/lib/dpkg/info/kmod.list"
		touch -d @1675000000 "$tree/usr/bin/kmod"; touch -d @1000000000 "$tree/usr/lib"
		ls "$tree/var/cache/apt/archives" >"$root/had"
		[ ! -e "$root/offline" ] || { echo 'E: apt-get update failed'; exit 1; }
		: >"$tree/var/cache/apt/archives/kmod_1_amd64.deb"
		for a; do case $a in --customize-hook=*) sh -c "\${a#*=}" sh "$tree" ;; esac; done
		echo 'root:*:1::::::' >"$tree/etc/shadow"; echo 0123 >"$tree/etc/machine-id"; echo me >"$tree/etc/hostname"
		ln -s x "$tree/etc/systemd/system/multi-user.target.wants/lttng-sessiond.service"`,
	);
	scratch.fake("dpkg-query", "echo 'kmod 30-1'");
	scratch.fake(
		"mke2fs",
		`tree=\${*: -2:1}; rm -rf "$root/packed"; cp -a "$tree" "$root/packed"; echo "$*" >"$root/mke2fs"`,
	);
	scratch.fake("dumpe2fs", "echo 'Inode count: 100'; echo 'Free inodes: 88'");
	scratch.fake("debugfs", 'cp "$3" "$root/times"');
	scratch.fake("qemu-img", `echo qcow2 >"\${*: -1}"`);
	return scratch;
}

test("an image is made once, with the files that make it a guest of the lab", async (t) => {
	const scratch = host(t);
	const first = await scratch.step(step, "apply", inputs);
	t.regex(first.stderr, /^the guest image built in \d+ s$/);
	t.is(scratch.read(`${prefix}/packages`), "kmod 30-1\n");
	t.is(scratch.read(`${prefix}/image.qcow2`), "qcow2\n");
	const packed = Object.keys(scratch.tree()).filter((path) => path.startsWith("packed/"));
	for (const path of [
		"packed/usr/local/sbin/tracelab-agent",
		"packed/etc/systemd/system/sysinit.target.wants/tracelab-agent.service",
		"packed/etc/systemd/system/sysinit.target.wants/tracelab-modules.service",
		"packed/etc/systemd/system/multi-user.target.wants/tracelab-console.service",
		"packed/usr/lib/modules",
	])
		t.true(packed.includes(path), path);
	t.is(
		scratch.read("packed/etc/fstab"),
		"lab /lab 9p trans=virtio,version=9p2000.L,msize=512000,ro 0 0\n/lab/lib/modules /usr/lib/modules none bind 0 0\n",
	);
	t.is(scratch.read("packed/etc/shadow"), "root::1::::::\n");
	t.is(scratch.read("packed/etc/machine-id"), "");
	t.false(packed.includes("packed/etc/hostname"));
	t.false(packed.includes("packed/etc/systemd/system/multi-user.target.wants/lttng-sessiond.service"));
	t.is(scratch.tree()["packed/etc/systemd/system/systemd-logind.service"], "link /dev/null");
	// Whatever the day, the same packages make the same file system.
	const times = packed.map((path) => lstatSync(`${scratch.root}/${path}`).mtimeMs / 1000);
	t.is(Math.max(...times), 1_675_000_000);
	t.is(lstatSync(`${scratch.root}/packed/usr/lib`).mtimeMs / 1000, 1_675_000_000);
	t.deepEqual(
		scratch.read("times").trimEnd().split("\n"),
		[2, 11, 12].flatMap((inode) => ["atime", "ctime"].map((time) => `set_inode_field <${inode}> ${time} @1675000000`)),
	);
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", inputs);
	t.is(second.stderr, "the guest image is up to date");
	t.deepEqual(second.calls, []);
	t.deepEqual(scratch.tree(), applied);
});

test("mmdebstrap is told the suite, the packages and the host's mirror", async (t) => {
	const scratch = host(t);
	const { calls } = await scratch.step(step, "apply", inputs);
	const call = calls.find((line) => line.startsWith("mmdebstrap")) ?? "";
	const work = `${scratch.root}${prefix}.work`;
	t.true(call.startsWith("mmdebstrap --variant=minbase --format=directory --include=kmod,systemd-sysv "), call);
	t.true(calls.join("\n").includes(` bookworm ${work}/tree ${work}/sources.list`));
	t.regex(scratch.read("mke2fs"), /^-q -t ext4 -L tracelab -U 7ea1ab00-0000-4000-8000-000000000000 /);
});

test("packages that were downloaded once are given to the next image", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	t.is(scratch.read("had"), "");
	t.true(`${kept}/kmod_1_amd64.deb` in scratch.tree());
	await scratch.step(step, "apply", { ...inputs, prefix: "/opt/tracelab/image/1111111111111111" });
	t.is(scratch.read("had"), "kmod_1_amd64.deb\n");
});

test("an image that cannot be made leaves the packages that were kept, and no image", async (t) => {
	const scratch = host(t);
	scratch.write(`${kept}/old_1_all.deb`, "");
	scratch.write("offline", "");
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.regex(
		stderr,
		/^tracelab: guest-image: installing the guest's packages failed \(exit 1\); .*\n {2}\| E: apt-get update failed\n/,
	);
	t.true(`${kept}/old_1_all.deb` in scratch.tree());
	t.false(prefix.slice(1) in scratch.tree());
});

test("the guest's agent is started on the port of its name, whatever its number", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write("ports/vport1p1/name", "com.example.other\n");
	scratch.write("ports/vport2p1/name", "org.qemu.guest_agent.0\n");
	scratch.fake("qemu-ga", 'echo "{\\"said\\":\\"$*\\"}"');
	const agent = scratch
		.read("packed/usr/local/sbin/tracelab-agent")
		.replace("/sys/class/virtio-ports", `${scratch.root}/ports`);
	const { stdout } = await scratch.bash(agent);
	t.is(stdout["said"], "--method=virtio-serial --path=/dev/vport2p1 --statedir=/run");
});

/** An apt of our own that would install kmod in that version. */
function offers(scratch: ScratchHost, version: string): void {
	scratch.write("etc/os-release", "VERSION_CODENAME=bookworm\n");
	scratch.fake(
		"apt-get",
		`case "$*" in *" update") ;; *--simulate*) printf '%s\n' 'Inst kmod (${version} Debian:12/stable [amd64])' 'Conf kmod (${version})' ;; esac`,
	);
}

test("an image's packages are recorded, and where the lock pins other ones nothing is installed", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	const packages = "kmod 30-1";
	t.is(scratch.read(`${prefix}/.tracelab-build-record/packages`), `${packages}\n`);
	await scratch.step(step, "remove", inputs);
	await scratch.bash(`rm -r '${scratch.root}/var/cache/tracelab/builds'`);
	offers(scratch, "31-1");
	const { code, stderr, calls } = await scratch.step(step, "apply", { ...inputs, pin: { packages } });
	t.is(code, 1);
	t.deepEqual(stderr.split("\n"), [
		"tracelab: guest-image: the lock pins packages kmod 30-1, and here it is kmod 31-1",
		"  what to do: go back to what the lock pins, or: ./lab lock --update guest-image -s quick",
	]);
	t.false(calls.some((call) => call.startsWith("mmdebstrap")));
	offers(scratch, "30-1");
	t.is((await scratch.step(step, "apply", { ...inputs, pin: { packages } })).code, 0);
});
