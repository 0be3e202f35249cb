import { execFileSync } from "node:child_process";

/**
 * What a lab may change on the host and has to put back, as text that a test can compare: a line a fact.
 *
 * Of the home, /var/lib, /run and /dev/shm, which others use as well, what is there is told by its name.
 * Left out, because it stays on purpose or changes by itself: caches (/var/cache), logs (/var/log), locks (/run/tracelab/locks),
 * what commands that were killed left in /tmp, apt's and dpkg's own books, files of /etc that their owners rewrite whenever packages
 * come and go (see `volatile`), and whom libvirt makes the owner of a kernel that domains boot: of another lab beside the proof, the
 * last domain to start or to end decides. Disks are files below /var/lib/tracelab, so pools are told without their volumes.
 */
export function hostState(): string[] {
	return [
		...section(
			"file",
			`find /etc /opt $(ls -d /var/lib/tracelab /usr/lib/modules 2>/dev/null) -xdev ${volatile} -printf '%y %m %u %g %p %l\\n' | ${libvirtsOwn}`,
		),
		...section("name", "find ~ /var/lib /var/lib/libvirt -mindepth 1 -maxdepth 1 2>/dev/null || :"),
		...section("name", leftAtRunTime),
		...section("sum", `find /etc -xdev ${volatile} -type f -exec sha256sum {} +`),
		...section("group", "cat /etc/group"),
		...section("user", "cut -d: -f1,3,4,6,7 /etc/passwd"),
		...section("package", "dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n' | grep ' ii'"),
		...section("manual", "apt-mark showmanual"),
		...section("override", "dpkg-statoverride --list || :"),
		...section("device", "stat -c '%n %a %U %G' /dev/kvm 2>/dev/null || :"),
		...section("domain", "virsh -c qemu:///system list --all --name 2>/dev/null || :"),
		...section("pool", "virsh -c qemu:///system pool-list --all --name 2>/dev/null || :"),
		...section("network", "virsh -c qemu:///system net-list --all --name 2>/dev/null || :"),
		...section("daemon", daemons),
		...section("plugin", "ps -eo args= | grep -oE '^/[^ ]*/tracelab-project-[^/ ]+/[.]pulumi/[^ ]+' || :"),
		...section("listener", listeners),
	];
}

const libvirtsOwn =
	"sed -E 's,^(f 644) libvirt-qemu libvirt-qemu (/opt/tracelab/kernel/[^ /]+/bzImage),\\1 root root \\2,'";

/** While its package is there, such a thing is the package's own: whoever had that before the lab may not have used it yet. */
const leftAtRunTime = `exec 2>/dev/null
	[ -e /usr/bin/lttng-sessiond ] || ls -d /run/lttng*
	ls /usr/lib/*/liblttng-ust.so.* >/dev/null || ls -d /dev/shm/lttng-*
	[ -e /usr/sbin/libvirtd ] || ls -d /run/libvirt* /run/virtlogd*
	ls -d /run/tracelab/ftrace/* /sys/kernel/tracing/instances/tracelab-* || :`;

/** By their programs, as a QEMU has its domain's name. A consumer is its session daemon's, and stays until that ends. */
const daemons = `find /proc/[0-9]*/exe -maxdepth 0 -printf '%l\\n' 2>/dev/null |
	sed -nE 's,^.*/(libvirtd|virtlogd|lttng-(sessiond|consumerd|relayd)|dnsmasq|virtiofsd|qemu-system-[^/ ]+)( \\(deleted\\))?$,\\1,p' |
	awk '{there[$0]} END {for (one in there) if (one != "lttng-consumerd" || !("lttng-sessiond" in there)) print one}'`;

/** Of the lab's programs, as others of the host come and go. */
const listeners = `ss -Hltnp | while read -r _ _ _ address _ users; do
		for pid in $(grep -o 'pid=[0-9]*' <<<"$users" | cut -c 5-); do
			case "$(readlink /proc/$pid/exe || :) $(tr '\\0' ' ' 2>/dev/null </proc/$pid/cmdline || :)" in
			*/opt/tracelab/* | */tracelab-project-* | *qemu-system* | *libvirtd* | *virtlogd* | *lttng-* | *pulumi*) echo "$address" ;;
			esac
		done
	done | sort -u`;

const volatile = [
	"/etc/ld.so.cache",
	"/etc/mtab",
	"/etc/passwd-",
	"/etc/group-",
	"/etc/shadow-",
	"/etc/gshadow-",
	"/etc/subuid-",
	"/etc/subgid-",
	"/etc/.pwd.lock",
]
	.map((path) => `! -path ${path}`)
	.join(" ");

function section(name: string, command: string): string[] {
	const text = execFileSync("bash", ["-c", command], { encoding: "utf8", maxBuffer: 1 << 28 });
	return text
		.split("\n")
		.filter((line) => line !== "")
		.sort()
		.map((line) => `${name} ${line}`);
}

/** The lines that only one of two states has, `-` for the first and `+` for the second. */
export function difference(before: readonly string[], after: readonly string[]): string[] {
	const [first, second] = [new Set(before), new Set(after)];
	return [
		...before.filter((line) => !second.has(line)).map((line) => `- ${line}`),
		...after.filter((line) => !first.has(line)).map((line) => `+ ${line}`),
	];
}
