import { once } from "node:events";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { stepProgram } from "../../components/step-program.ts";
import { hostPackages, hostPackageTable } from "../../spec/host-packages.ts";
import { fakeDaemons } from "./fake-daemons.ts";
import { runs, ScratchHost } from "./run-step.ts";

const step = "host-packages";
const inputs = { packages: ["gdb", "jq", "lttng-tools"] };
const untouched = "ii  bash\nii  jq\n";

/**
 * A host with bash and jq, whose packages each need lib-PACKAGE; `var/lib/dpkg` below the root lists what is
 * installed, `needs` what depends on ours ("mytool lib-gdb").
 */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("var/lib/dpkg", untouched);
	scratch.write("needs", "");
	scratch.write("etc/passwd", "root:x:0:0::/root:\n");
	scratch.write("etc/group", "root:x:0:\n");
	scratch.fake(
		"dpkg-query",
		`case $1 in
		--control-path) [ ! -e "$root/postinst/$2" ] || echo "$root/postinst/$2" ;;
		-L) ! [ -e "$root/sysusers.d/$2.conf" ] || echo "$root/sysusers.d/$2.conf" ;;
		*) cat "$root/var/lib/dpkg" ;;
		esac`,
	);
	scratch.fake("dpkg", "");
	scratch.fake("dpkg-statoverride", "");
	scratch.fake(
		"apt-cache",
		`while [ "$1" != depends ]; do shift; done
		for n; do [[ $n == -* ]] || { echo "$n"; sed -n "s/^$n \\(.*\\)/  Depends: \\1\\n\\1/p" "$root/needs"; }; done`,
	);
	scratch.fake("userdel", `sed -i "/^$1:/d" "$root/etc/passwd"`);
	scratch.fake("groupdel", `sed -i "/^$1:/d" "$root/etc/group"`);
	fakeApt(scratch);
	return scratch;
}

/** `duringInstall` runs when half of it is installed. */
function fakeApt(scratch: ScratchHost, duringInstall = "", duringDownload = ""): void {
	scratch.fake(
		"apt-get",
		`db=$root/var/lib/dpkg mode=real verb='' names=()
		while [ $# -gt 0 ]; do
			case $1 in
			-o) shift ;;
			-s) mode=simulated ;;
			--download-only) mode=download ;;
			--print-uris) mode=listed ;;
			-*) ;;
			*) if [ -z "$verb" ]; then verb=$1; else names+=("$1"); fi ;;
			esac
			shift
		done
		[ $mode = listed ] || echo "$mode $verb \${names[*]}" >>"$root/apt"
		[ ! -e "$root/offline" ] || [ "$mode" != download ] || exit 100
		[ ! -e "$root/no-lists" ] || [ "$verb" != install ] || { echo 'E: Unable to locate package' >&2; exit 100; }
		case $mode-$verb in
		real-update) rm -f "$root/no-lists" ;;
		download-install) ${duringDownload || ":"} ;;
		simulated-install) for n in "\${names[@]}"; do grep -qxF "ii  $n" "$db" || printf 'Inst lib-%s (1.0 Debian [amd64])\\nInst %s:amd64 (1.0 Debian)\\n' "$n" "$n"; done; echo 'Inst bash [1] (2 Debian)' ;;
		real-install)
			for n in "\${names[@]}"; do grep -qxF "ii  lib-$n" "$db" || echo "ii  lib-$n" >>"$db"; done
			echo 'tracing:x:107:' >>"$root/etc/group"
			${duringInstall}
			for n in "\${names[@]}"; do grep -qxF "ii  $n" "$db" || echo "ii  $n" >>"$db"; done
			echo 'tracer:x:64055:107::/:' >>"$root/etc/passwd"
			mkdir -p "$root/var/lib/libvirt/images" "$root/var/log/libvirt"
			;;
		simulated-purge)
			printf 'Purg %s [1]\\n' "\${names[@]}"
			while read -r outside needed; do [[ " \${names[*]} " != *" $needed "* ]] || echo "Remv $outside [1]"; done <"$root/needs"
			;;
		real-purge) for n in "\${names[@]}"; do sed -i "/ $n$/d" "$db"; done ;;
		esac`,
	);
}

function did(scratch: ScratchHost): string[] {
	const calls = scratch.read("apt").trimEnd().split("\n");
	scratch.write("apt", "");
	return calls;
}

test("missing packages are named, installed once, and purged with all they brought", async (t) => {
	const scratch = host(t);
	scratch.write("apt", "");
	const before = scratch.hostTree();
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "packages not installed: gdb lttng-tools");
	const first = await scratch.step(step, "apply", inputs);
	t.is(first.stderr, "host-packages: installing 5 packages");
	t.deepEqual(did(scratch), [
		"simulated install gdb lttng-tools",
		"download install gdb lttng-tools",
		"simulated install gdb lttng-tools",
		"real install gdb lttng-tools",
	]);
	t.is(scratch.read("var/lib/tracelab/ledger/packages/planned"), "gdb\nlib-gdb\nlib-lttng-tools\nlttng-tools\n");
	const applied = scratch.tree();
	t.is((await scratch.step(step, "apply", inputs)).stderr, "host-packages: all packages are installed");
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
	const { stderr } = await scratch.step(step, "remove", inputs);
	t.is(stderr, "host-packages: purging 4 packages");
	scratch.write("apt", "");
	t.deepEqual(scratch.hostTree(), before);
});

test("an override of dpkg's goes before the account that it names", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.fake(
		"dpkg-statoverride",
		`[ "$1" = --list ] || exit 0
		printf '%s\\n' 'root tracing 4754 /usr/bin/staprun' 'tracer root 600 /usr/bin/t' 'root ssl-cert 710 /etc/ssl/private'`,
	);
	const { calls } = await scratch.step(step, "remove", inputs);
	t.deepEqual(
		calls.filter((call) => /statoverride --quiet|^(user|group)del/.test(call)),
		[
			"dpkg-statoverride --quiet --remove /usr/bin/t",
			"userdel tracer",
			"dpkg-statoverride --quiet --remove /usr/bin/staprun",
			"groupdel tracing",
		],
	);
});

test("packages that were there are neither installed nor purged", async (t) => {
	const scratch = host(t);
	const { stderr, calls } = await scratch.step(step, "apply", { packages: ["jq"] });
	t.is(stderr, "host-packages: all packages are installed");
	t.deepEqual(calls, [
		"dpkg-query -W -f ${db:Status-Abbrev} ${Package}\\n",
		"dpkg-query -W -f ${db:Status-Abbrev} ${Package}\\n",
	]);
	await scratch.step(step, "remove", { packages: ["jq"] });
	t.is(scratch.read("var/lib/dpkg"), untouched);
});

test("package lists are read only where the installation cannot be planned without", async (t) => {
	const scratch = host(t);
	scratch.write("no-lists", "");
	const { stderr } = await scratch.step(step, "apply", inputs);
	t.is(stderr, "host-packages: reading the package lists\nhost-packages: installing 5 packages");
	t.is(did(scratch)[1], "real update ");
});

/** A host on which the installation was killed, and a check that it is as it was before that. */
async function killedHalfWay(t: ExecutionContext) {
	const scratch = host(t);
	scratch.write("apt", "");
	const before = scratch.hostTree();
	fakeApt(scratch, "kill -9 $PPID; exit 1");
	t.not((await scratch.step(step, "apply", inputs)).code, 0);
	const isAsBefore = () => {
		scratch.write("apt", "");
		t.deepEqual(scratch.hostTree(), before);
	};
	return { scratch, isAsBefore };
}

test("an installation that is killed half way loses nothing of what it did", async (t) => {
	const { scratch, isAsBefore } = await killedHalfWay(t);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "packages not installed: gdb lttng-tools");
	await scratch.step(step, "remove", inputs);
	isAsBefore();
});

test("an installation that is killed half way is finished by the next run, and wholly undone later", async (t) => {
	const { scratch, isAsBefore } = await killedHalfWay(t);
	fakeApt(scratch);
	await scratch.step(step, "apply", inputs);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
	await scratch.step(step, "remove", inputs);
	isAsBefore();
});

test("an installation that is killed in a package's files is finished, or undone, whole", async (t) => {
	const { scratch, isAsBefore } = await killedHalfWay(t);
	const cutOff = () => {
		scratch.write(
			"var/lib/dpkg",
			scratch.read("var/lib/dpkg").replace("ii  lib-gdb\n", "iHR lib-gdb\npH  lib-lttng-tools\n"),
		);
		scratch.fake("dpkg", '[ "$2" != --remove ] || sed -i "/^pH  $3$/d" "$root/var/lib/dpkg"');
		fakeApt(scratch, `[ "\${names[*]}" != lib-gdb ] || { sed -i "s/^iHR/ii /; /lib-lib-/d" "$db"; exit; }`);
		scratch.write("apt", "");
	};
	const said = "host-packages: finishing what dpkg was at when it was interrupted";
	const mended = ["real install ", "real install lib-gdb"];
	cutOff();
	const applied = await scratch.step(step, "apply", inputs);
	t.is(applied.stderr, `${said}\nhost-packages: installing 5 packages`);
	t.deepEqual(did(scratch).slice(0, 3), [...mended, "simulated install gdb lttng-tools"]);
	t.deepEqual(
		applied.calls.filter((call) => /^dpkg /.test(call)),
		["dpkg --configure -a --force-confdef --force-confold", "dpkg --force-depends --remove lib-lttng-tools"],
	);
	cutOff();
	t.is((await scratch.step(step, "remove", inputs)).stderr, `${said}\nhost-packages: purging 4 packages`);
	t.deepEqual(did(scratch).slice(0, 2), mended);
	isAsBefore();
});

test("a removal that is killed once the packages are gone is finished by the next one", async (t) => {
	const scratch = host(t);
	scratch.write("apt", "");
	const before = scratch.hostTree();
	await scratch.step(step, "apply", inputs);
	scratch.fake("rm", '[[ $* != *log/libvirt ]] || kill -9 $PPID; exec /bin/rm "$@"');
	t.not((await scratch.step(step, "remove", inputs)).code, 0);
	t.is(scratch.read("var/lib/dpkg"), untouched);
	scratch.fake("rm", 'exec /bin/rm "$@"');
	t.is((await scratch.step(step, "remove", inputs)).stderr, "");
	scratch.write("apt", "");
	t.deepEqual(scratch.hostTree(), before);
});

test("what others make while an installation waits for a network is theirs", async (t) => {
	const scratch = host(t);
	scratch.write("offline", "");
	t.is((await scratch.step(step, "apply", inputs)).code, 1);
	for (const [file, line] of [
		["etc/passwd", "bob:x:1000:1000::/home/bob:\nadmin-daemon:x:105:105::/:\n"],
		["etc/group", "bob:x:1000:\nadmin-daemon:x:105:\n"],
		["var/lib/dpkg", "ii  lttng-tools\nii  lib-lttng-tools\n"],
	] as const)
		scratch.write(file, scratch.read(file) + line);
	await scratch.bash(`rm '${scratch.root}/offline' '${scratch.root}/apt'`);
	const before = scratch.hostTree();
	t.is((await scratch.step(step, "apply", inputs)).stderr, "host-packages: installing 3 packages");
	t.is((await scratch.step(step, "remove", inputs)).stderr, "host-packages: purging 2 packages");
	await scratch.bash(`rm '${scratch.root}/apt'`);
	t.deepEqual(scratch.hostTree(), before);
});

test("an account that a person gets while an installation is cut short stays", async (t) => {
	const scratch = host(t);
	fakeApt(scratch, "kill -9 $PPID; exit 1");
	await scratch.step(step, "apply", inputs);
	scratch.write("etc/passwd", `${scratch.read("etc/passwd")}bob:x:1000:1000::/home/bob:\n`);
	scratch.write("etc/group", `${scratch.read("etc/group")}bob:x:1000:\n`);
	fakeApt(scratch);
	await scratch.step(step, "apply", inputs);
	await scratch.step(step, "remove", inputs);
	t.regex(scratch.read("etc/passwd"), /^root:.*\nbob:.*\n$/);
	t.regex(scratch.read("etc/group"), /^root:.*\nbob:.*\n$/);
});

test("what something else has come to need is kept, with all that it made, and that is said", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write("needs", "mytool lttng-tools\n");
	scratch.write("var/lib/dpkg", `${scratch.read("var/lib/dpkg")}ii  mytool\n`);
	scratch.write("postinst/lttng-tools", "addgroup --system tracing\n");
	scratch.write("sysusers.d/lttng-tools.conf", 'u tracer - "" /\n');
	scratch.write("run/lttng/lttng-sessiond.pid", "");
	const { stderr } = await scratch.step(step, "remove", inputs);
	t.deepEqual(stderr.split("\n"), [
		"host-packages: kept, because mytool needs it: lttng-tools",
		"host-packages: purging 3 packages",
		"host-packages: kept with its package: /run/lttng",
		"host-packages: kept with its package: the user tracer",
		"host-packages: kept with its package: the group tracing",
	]);
	t.is(scratch.read("var/lib/dpkg"), `${untouched}ii  lttng-tools\nii  mytool\n`);
	t.regex(scratch.read("etc/passwd"), /^tracer:/m);
	t.regex(scratch.read("etc/group"), /^tracing:/m);
	t.true("run/lttng" in scratch.tree());
	t.false("var/log/libvirt" in scratch.tree());
});

test("a package that is kept keeps nothing that others made", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write("needs", "mytool lib-gdb\n");
	scratch.write("var/lib/dpkg", `${scratch.read("var/lib/dpkg")}ii  mytool\n`);
	scratch.write("postinst/lib-gdb", "addgroup --system tracing-not\n");
	const { stderr } = await scratch.step(step, "remove", inputs);
	t.is(stderr, "host-packages: kept, because mytool needs it: lib-gdb\nhost-packages: purging 3 packages");
	t.is(scratch.read("var/lib/dpkg"), `${untouched}ii  lib-gdb\nii  mytool\n`);
	t.is(scratch.read("etc/passwd"), "root:x:0:0::/root:\n");
	t.is(scratch.read("etc/group"), "root:x:0:\n");
	t.false("var/log/libvirt" in scratch.tree());
});

test("what somebody installs while packages are downloaded is theirs", async (t) => {
	const scratch = host(t);
	fakeApt(scratch, "", 'echo "ii  gdb" >>"$db"; echo "ii  lib-gdb" >>"$db"');
	await scratch.step(step, "apply", inputs);
	t.is((await scratch.step(step, "remove", inputs)).stderr, "host-packages: purging 2 packages");
	t.is(scratch.read("var/lib/dpkg"), `${untouched}ii  gdb\nii  lib-gdb\n`);
});

test("a file that somebody put into a folder of a purged package is kept, and that is said", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	scratch.write("var/lib/libvirt/images/mine.qcow2", "");
	const { stderr } = await scratch.step(step, "remove", inputs);
	t.is(stderr, "host-packages: purging 4 packages\nhost-packages: kept, because it holds files: /var/lib/libvirt");
});

/** Shared memory in which programs with tracepoints wait for a session daemon. */
const sharedMemory = ["lttng-ust-wait-8", "lttng-ust-wait-8-0", "lttng-ust-wait-8-64055"].map(
	(name) => `dev/shm/${name}`,
);

test("shared memory that LTTng's library makes goes with it, but for what was there before", async (t) => {
	const scratch = host(t);
	const theirs = ["dev/shm/lttng-ust-wait-8-0", "dev/shm/lttng-ust-wait-8-1000"];
	for (const file of theirs) scratch.write(file, "");
	await scratch.step(step, "apply", { packages: ["liblttng-ust1"] });
	for (const file of sharedMemory) scratch.write(file, "");
	const { stderr } = await scratch.step(step, "remove", { packages: ["liblttng-ust1"] });
	t.is(stderr, "host-packages: purging 2 packages");
	t.deepEqual(
		Object.keys(scratch.tree()).filter((path) => path.startsWith("dev/shm/")),
		theirs,
	);
});

test("shared memory of LTTng's library stays while something else needs that, and that is said", async (t) => {
	const scratch = host(t);
	const given = { packages: ["liblttng-ust1", "lttng-tools"] };
	await scratch.step(step, "apply", given);
	for (const file of sharedMemory) scratch.write(file, "");
	scratch.write("needs", "mytool liblttng-ust1\n");
	scratch.write("var/lib/dpkg", `${scratch.read("var/lib/dpkg")}ii  mytool\n`);
	const { stderr } = await scratch.step(step, "remove", given);
	t.deepEqual(stderr.split("\n"), [
		"host-packages: kept, because mytool needs it: liblttng-ust1",
		"host-packages: purging 3 packages",
		...sharedMemory.map((file) => `host-packages: kept with its package: /${file}`),
	]);
	for (const file of sharedMemory) t.true(file in scratch.tree(), file);
});

for (const path of ["ledger", "ledger/packages", "ledger/packages/owners/quick"]) {
	test(`where ${path} was taken away, that is drift, and the packages go all the same`, async (t) => {
		const scratch = host(t);
		scratch.write("apt", "");
		const before = scratch.hostTree();
		await scratch.step(step, "apply", inputs);
		const applied = scratch.tree();
		const take = () => scratch.bash(`rm -r '${scratch.root}/var/lib/tracelab/${path}'`);
		await take();
		t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "the ledger entry packages is missing");
		await scratch.step(step, "apply", inputs);
		t.deepEqual(scratch.tree(), applied);
		t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
		await take();
		t.is((await scratch.step(step, "remove", inputs)).stderr, "host-packages: purging 4 packages");
		scratch.write("apt", "");
		t.deepEqual(scratch.hostTree(), before);
	});
}

test("where the ledger and its copy were taken away, the packages that are there by then stay", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	const applied = scratch.hostTree();
	await scratch.bash(`rm -r '${scratch.root}/var/lib/tracelab/ledger'*`);
	await scratch.step(step, "apply", inputs);
	t.is((await scratch.step(step, "probe", inputs)).stdout["drift"], "");
	await scratch.step(step, "remove", inputs);
	t.deepEqual(scratch.hostTree(), applied);
});

test("who holds dpkg's lock is waited for, and named", async (t) => {
	const scratch = host(t);
	const held = `echo 77 apt-get "$root/var/lib/dpkg/lock-frontend"`;
	scratch.fake("lslocks", `[ -e "$own/again" ] || { touch "$own/again"; ${held}; }`);
	const waited = await scratch.step(step, "apply", inputs);
	t.is(
		waited.stderr,
		"host-packages: waiting for process 77 (apt-get), which holds dpkg's lock\nhost-packages: installing 5 packages",
	);
	await scratch.step(step, "remove", inputs);
	scratch.fake("lslocks", held);
	const program = stepProgram(step, { stack: "quick", step, generation: "g", ...inputs });
	const { code, stderr } = await scratch.bash(program.replace("\nlock_wait=600\n", "\nlock_wait=0\n"), "apply");
	t.is(code, 1);
	t.regex(stderr, /process 77 \(apt-get\) has held dpkg's lock for 0 s\n {2}what to do: let it end/);
});

/** Holds a lock as apt does. */
const hold =
	'open F, "+>>", $ARGV[0]; $l = pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $l) or die; $| = 1; print "held\\n"; sleep';

for (const [which, path, after] of [
	["the lock of apt's lists", "var/lib/apt/lists/lock", 1],
	["the lock of /var/cache/tracelab/apt/archives", "var/cache/tracelab/apt/archives/lock", 2],
] as const) {
	test(`who holds ${which} is waited for, and named`, async (t) => {
		const scratch = host(t);
		scratch.write("no-lists", "");
		const holder = execa("perl", ["-MFcntl", "-e", hold, scratch.write(path, "")], { reject: false });
		t.teardown(() => holder.kill());
		await once(holder.stdout, "data");
		scratch.fake("sleep", `kill ${holder.pid}; exec /bin/sleep 0.1`);
		const { code, stderr } = await scratch.step(step, "apply", inputs);
		t.is(code, 0);
		const said = ["host-packages: reading the package lists", "host-packages: installing 5 packages"];
		said.splice(
			after,
			0,
			`host-packages: waiting for process ${holder.pid} (perl), which holds ${which.replace("/", `${scratch.root}/`)}`,
		);
		t.is(stderr, said.join("\n"));
	});
}

test("what a build needs of Debian's archive of all versions is installed once, and purged with the rest", async (t) => {
	const scratch = host(t);
	scratch.write("apt", "");
	const before = scratch.hostTree();
	await scratch.step(step, "apply", inputs);
	did(scratch);
	scratch.fake("dpkg", "echo amd64");
	scratch.fake("debsnap", `mkdir "\${*: -3:1}"; echo kmod >"\${*: -3:1}/kmod_30-1_amd64.deb"`);
	const take = () => scratch.library("debian-gone", 'debian_gone deb "$cache_dir/got" kmod=1:30-1');
	const taking = "test: taking from Debian's archive of all versions, since its mirrors have moved on: kmod=1:30-1";
	t.is((await take()).stderr, `test: installing 3 packages\n${taking}`);
	t.deepEqual(
		did(scratch),
		["simulated", "download", "simulated", "real"].map((mode) => `${mode} install devscripts`),
	);
	t.is(scratch.read("var/cache/tracelab/got/kmod_1%3a30-1_amd64.deb"), "kmod\n");
	t.is((await take()).stderr, taking);
	t.is(scratch.read("apt"), "");
	scratch.fake("dpkg", "");
	t.is((await scratch.step(step, "remove", inputs)).stderr, "host-packages: purging 6 packages");
	scratch.write("apt", "");
	t.deepEqual(scratch.hostTree(), before);
});

test("packages stay until the last stack has gone", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", inputs);
	await scratch.step(step, "apply", { ...inputs, stack: "other" });
	const { stderr } = await scratch.step(step, "remove", inputs);
	t.is(stderr, "host-packages: packages are kept: another stack uses them");
	t.is((await scratch.step(step, "probe", { ...inputs, stack: "other" })).stdout["drift"], "");
	await scratch.step(step, "remove", { ...inputs, stack: "other" });
	t.is(scratch.read("var/lib/dpkg"), untouched);
});

test("daemons that came with the packages are stopped before those go", async (t) => {
	const scratch = host(t);
	fakeDaemons(scratch);
	await scratch.step(step, "apply", inputs);
	await scratch.bash(`setsid "$(command -v lttng-sessiond)" --daemonize </dev/null >/dev/null 2>&1`);
	const pid = scratch.read("run/lttng/lttng-sessiond.pid");
	t.true(runs(pid));
	await scratch.step(step, "remove", inputs);
	t.false(runs(pid));
});

test("packages whose daemons serve somebody stay, and all that these need", async (t) => {
	const scratch = host(t);
	fakeDaemons(scratch);
	const given = { packages: ["gdb", "libvirt-daemon-system", "lttng-tools"] };
	await scratch.step(step, "apply", given);
	await scratch.bash(`for d in libvirtd lttng-sessiond; do setsid "$(command -v $d)" </dev/null >/dev/null 2>&1; done`);
	const pids = ["run/libvirtd.pid", "run/lttng/lttng-sessiond.pid"].map((file) => scratch.read(file));
	scratch.write("run/libvirt/qemu/someones.xml", "");
	scratch.write("run/libvirt/qemu/someones.pid", pids[0] ?? "");
	scratch.write("sessions", "mine\nauto-1\n");
	scratch.write("needs", "libvirt-daemon-system lib-libvirt-daemon-system\nlttng-tools lib-lttng-tools\n");
	const { stderr } = await scratch.step(step, "remove", given);
	t.deepEqual(stderr.split("\n"), [
		"host-packages: libvirt stays: domains are running: someones",
		"host-packages: LTTng stays: root's session daemon has sessions: mine auto-1",
		"host-packages: kept, because libvirt-daemon-system lttng-tools needs it: lib-libvirt-daemon-system lib-lttng-tools libvirt-daemon-system lttng-tools",
		"host-packages: purging 2 packages",
		"host-packages: kept with its package: /run/libvirt",
		"host-packages: kept with its package: /run/libvirtd.pid",
		"host-packages: kept with its package: /run/lttng",
		"host-packages: kept with its package: /var/lib/libvirt",
		"host-packages: kept with its package: /var/log/libvirt",
	]);
	t.deepEqual(pids.map(runs), [true, true]);
	t.true("run/libvirt/qemu/someones.pid" in scratch.tree());
	t.true("run/lttng" in scratch.tree());
});

test("each host package says why it is needed", (t) => {
	t.deepEqual(hostPackages, Object.keys(hostPackageTable).sort());
	for (const [name, why] of Object.entries(hostPackageTable)) t.true(why.length > 0, name);
});
