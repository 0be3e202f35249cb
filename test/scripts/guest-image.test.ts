import { createHash } from "node:crypto";
import { lstatSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { fakeDebsnap } from "./fake-debsnap.ts";
import { ScratchHost, type StepRun } from "./run-step.ts";

const step = "guest-image";
const prefix = "/opt/tracelab/image/0123456789abcdef";
const inputs = { prefix, suite: "bookworm", packages: ["kmod", "systemd-sysv"] };
const kept = "var/cache/tracelab/apt-image/bookworm";

/** A package as it is recorded, of which the .deb is its version. */
const packaged = (version: string): string => {
	const sum = createHash("sha256").update(`${version}\n`).digest("hex");
	return `kmod ${version} ${sum}`;
};

/** An apt of our own that has kmod, in that version alone. */
function offers(scratch: ScratchHost, version: string): void {
	scratch.write("installed", `kmod ${version}\n`);
	const file = `kmod_${version.replace(":", "%3a")}_amd64.deb`;
	const listed = `echo "'http://mirror.test/pool/${file}' ${file} 5 SHA256:${packaged(version).split(" ")[2]}"`;
	scratch.fake(
		"apt-get",
		`[ ! -e "$root/offline" ] || { echo 'Temporary failure resolving'; exit 100; }
		case "$*" in
		*" update") ;;
		*" --print-uris "*" install "*) ${listed} ;;
		*" --print-uris download kmod=${version}") ${listed} ;;
		*"download kmod=${version}") echo ${version} >'${file}' ;;
		*) exit 97 ;;
		esac`,
	);
}

/** A host whose mmdebstrap makes a small tree, and whose mke2fs keeps a list of what it was given. */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("etc/apt/sources.list", "deb http://mirror.test/debian bookworm main\n");
	scratch.fake(
		"mmdebstrap",
		`tree=\${*: -2:1}; mkdir -p "$tree"/etc/systemd/system/multi-user.target.wants "$tree"/usr/lib
		mkdir -p "$tree"/var/lib/dpkg/info "$tree"/usr/bin; echo kmod >"$tree/usr/bin/kmod"
		printf '%s\n' /. /usr /usr/bin /usr/bin/kmod /usr/share/doc/kmod/changelog.gz >"$tree/var/lib/dpkg/info/kmod.list"
		touch -d @1675000000 "$tree/usr/bin/kmod"; touch -d @1000000000 "$tree/usr/lib"
		mkdir "$tree/etc/apt"; echo "\${*: -1}" >"$tree/etc/apt/sources.list"
		echo 'root:*:1::::::' >"$tree/etc/shadow"; echo 0123 >"$tree/etc/machine-id"; echo me >"$tree/etc/hostname"
		ln -s x "$tree/etc/systemd/system/multi-user.target.wants/lttng-sessiond.service"`,
	);
	offers(scratch, "30-1");
	scratch.fake("dpkg-query", `cat "$root/installed"`);
	scratch.fake("dpkg-scanpackages", 'for deb in *.deb; do echo "Package: ${deb%%_*}"; done');
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
	t.regex(first.stderr, /^guest-image: downloading 1 of the guest's packages\nthe guest image built in \d+ s$/);
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
	t.false(packed.includes("packed/etc/apt/sources.list"));
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

test("mmdebstrap is told the packages, from a repository of these alone", async (t) => {
	const scratch = host(t);
	const { calls } = await scratch.step(step, "apply", inputs);
	const call = calls.find((line) => line.startsWith("mmdebstrap")) ?? "";
	const work = `${scratch.root}${prefix}.work`;
	t.true(call.startsWith("mmdebstrap --variant=essential --format=directory --include=kmod "), call);
	t.true(call.endsWith(`  ${work}/tree deb [trusted=yes] copy:${work}/repository ./`), call);
	t.regex(scratch.read("mke2fs"), /^-q -t ext4 -L tracelab -U 7ea1ab00-0000-4000-8000-000000000000 /);
});

/** The image once more, as after `./lab gc`, and which of the commands that need a network were called for it. */
async function again(scratch: ScratchHost, pin?: { packages: string }): Promise<StepRun & { asked: string[] }> {
	await scratch.step(step, "remove", inputs);
	await scratch.bash(`rm -rf '${scratch.root}/var/cache/tracelab/builds'`);
	const run = await scratch.step(step, "apply", pin === undefined ? inputs : { ...inputs, pin });
	const asked = run.calls.filter((call) => call.startsWith("apt")).map((call) => call.replace(/.* (?=\S+ \S+$)/, ""));
	return { ...run, asked };
}

test("packages that were downloaded once are kept, and with a lock nobody is asked for them", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	t.is(scratch.read(`${kept}/kmod_30-1_amd64.deb`), "30-1\n");
	t.false((await again(scratch)).calls.some((call) => call.includes(" download ")));
	t.deepEqual((await scratch.step(step, "sources", inputs)).stdout, {
		files: "apt-image/bookworm/kmod_30-1_amd64.deb",
	});
	scratch.write("offline", "");
	const { code, stderr, asked } = await again(scratch, { packages: packaged("30-1") });
	t.is(code, 0, stderr);
	t.deepEqual(asked, []);
});

test("an image that cannot be made leaves the packages that were kept, and no image", async (t) => {
	const scratch = host(t);
	scratch.write(`${kept}/old_1_all.deb`, "");
	scratch.write("offline", "");
	const { code, stderr } = await scratch.step(step, "apply", inputs);
	t.is(code, 1);
	t.regex(
		stderr,
		/^tracelab: guest-image: reading Debian's package lists for bookworm failed \(exit 100\); .*\n {2}\| Temporary failure resolving\n/,
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

test("an image's packages are recorded, and those that the lock pins are installed, from Debian's archive where mirrors dropped them", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	const packages = packaged("30-1");
	t.is(scratch.read(`${prefix}/.tracelab-build-record/packages`), `${packages}\n`);
	offers(scratch, "1:31-1");
	await scratch.bash(`rm -r '${scratch.root}/${kept}'`);
	fakeDebsnap(scratch);
	scratch.fake("dpkg-query", `echo 'ii  devscripts'; cat "$root/installed"`);
	const taking = (version: string) =>
		`guest-image: taking from Debian's archive of all versions, since its mirrors have moved on: kmod=${version}`;
	const { code, stderr, calls } = await again(scratch, { packages });
	t.is(code, 1);
	t.deepEqual(stderr.split("\n"), [
		taking("30-1"),
		"tracelab: guest-image: neither Debian's bookworm nor Debian's archive of all versions has kmod=30-1 with the sha256 that the lock pins",
		`  what to do: see the end of ${scratch.root}/var/log/tracelab/quick/guest-image.log; if that archive was not reached, run up again, or else take what there is now: ./lab lock --update guest-image -s quick`,
	]);
	t.false(calls.some((call) => call.startsWith("mmdebstrap")));
	scratch.write("archive/kmod=30-1/kmod_30-1_amd64.deb", "30-1\n");
	const archived = await again(scratch, { packages });
	t.is(archived.code, 0);
	t.is(archived.stderr.split("\n")[0], taking("30-1"));
	t.is(scratch.read(`${kept}/kmod_30-1_amd64.deb`), "30-1\n");
	t.is((await again(scratch, { packages: packaged("1:31-1") })).code, 0);
	t.is(scratch.read(`${kept}/kmod_1%3a31-1_amd64.deb`), "1:31-1\n");
	// The archive's names have no epoch.
	scratch.write("archive/kmod=1:29-1/kmod_29-1_amd64.deb", "1:29-1\n");
	t.is((await again(scratch, { packages: packaged("1:29-1") })).code, 0);
	t.is(scratch.read(`${kept}/kmod_1%3a29-1_amd64.deb`), "1:29-1\n");
});
