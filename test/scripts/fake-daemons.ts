import type { ScratchHost } from "./run-step.ts";

/**
 * Daemons that really run, as a sleep by their name with a pid file below the scratch root, and the clients that
 * ask them. `sessions` below the root lists lttng's sessions.
 */
export function fakeDaemons(scratch: ScratchHost): void {
	const daemon = (pidFile: string) => `
		name=\${0##*/}
		mkdir -p "$own/$$" "\${root}/${pidFile.slice(0, pidFile.lastIndexOf("/"))}"
		cp "$(command -v sleep)" "$own/$$/$name"
		"$own/$$/$name" 600 </dev/null >/dev/null 2>&1 &
		until [ "$(cat /proc/$!/comm)" = "$name" ]; do sleep 0.01; done
		echo $! >"$root/${pidFile}"`;
	scratch.fake("libvirtd", daemon("run/libvirtd.pid"));
	scratch.fake("virtlogd", daemon("run/virtlogd.pid"));
	scratch.fake("lttng-sessiond", daemon("run/lttng/lttng-sessiond.pid"));
	scratch.fake("virsh", `kill -0 "$(cat "$root/run/libvirtd.pid")"`);
	scratch.fake(
		"lttng",
		`printf '<command><name>list</name><output><sessions>'
		sed 's,.*,<session><name>&</name></session>,' "$root/sessions" 2>/dev/null | tr -d '\\n'
		printf '</sessions></output></command>'`,
	);
}

/** The account tools, on etc/group below the root; `afterwards` runs once the membership is made. */
export function fakeAccounts(scratch: ScratchHost, afterwards = ""): void {
	const group = '"$root/etc/group"';
	scratch.fake("id", `grep -E '[:,]libvirt-qemu(,|$)' ${group} | cut -d: -f1 | paste -sd ' '`);
	scratch.fake("getent", `grep "^$2:" ${group}`);
	scratch.fake("groupadd", `echo "\${*: -1}:x:${process.getgid?.() ?? 0}:" >>${group}`);
	scratch.fake("groupdel", `sed -i "/^$1:/d" ${group}`);
	scratch.fake("usermod", `sed -i "s/^$3:.*:$/&$4/" ${group}; ${afterwards}`);
	scratch.fake("gpasswd", `sed -i "s/^\\($3:.*:\\)$2$/\\1/" ${group}`);
}
