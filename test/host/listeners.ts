import test from "ava";
import { difference, hostState } from "./host-state.ts";
import { before, copy, family, host, libvirtName, pause, pidOf, stack } from "./proof.ts";

// Who may come in, as docs/host-layout.md has it.

/** Processes of the lab that listen, by name; LTTng's consumer is there while something is recorded. */
function processes(): { name: string; pid: string }[] {
	const daemons = ["libvirtd", "virtlogd", "lttng-sessiond", "lttng-consumerd"].flatMap((name) =>
		host(`pgrep -x ${name} || :`)
			.split("\n")
			.filter((pid) => pid !== "")
			.map((pid) => ({ name, pid })),
	);
	return [{ name: "QEMU", pid: pidOf() }, ...daemons];
}

/** What a process listens on: addresses of TCP and UDP, or paths of unix sockets. */
function listening(pid: string, kind: "-tu" | "-x"): string[] {
	const lines = host(`ss -Hlnp ${kind}`).split("\n");
	return lines.filter((line) => line.includes(`pid=${pid},`)).map((line) => line.trim().split(/\s+/)[4] ?? "");
}

/**
 * Modes and owners of unix sockets, where whoever may write to one may connect to it. libvirt makes QEMU's for their group as well,
 * and lets all read them, which is of no use.
 */
const sockets: readonly (readonly [path: RegExp, mode: RegExp])[] = [
	[
		/^\/var\/lib\/libvirt\/qemu\/.*\/(?:monitor\.sock|org\.qemu\.guest_agent\.0)$/,
		/^[0-7]{2}[0145] (?:root:root|libvirt-qemu:libvirt-qemu)$/,
	],
	[/^\/var\/lib\/tracelab\/domains\/[^/]+\/console\.sock$/, /^[0-7]{2}[0145] libvirt-qemu:libvirt-qemu$/],
	// Whom it lets in is polkit's to say.
	[/^\/run\/libvirt\/libvirt-sock(?:-ro)?$/, /^(?:777|666) root:root$/],
	[/^\/run\/libvirt\/(?:libvirt-admin|virtlogd|virtlogd-admin)-sock$/, /^(?:700|600) root:root$/],
	// Any program with tracepoints registers here.
	[/^\/run\/lttng\/lttng-ust-sock-\d+$/, /^666 root:root$/],
	[/^\/run\/lttng\/(?:client-lttng-sessiond|sessiond-notification|sessiond-health)$/, /^660 root:tracing$/],
	[/^\/run\/lttng\/(?:k|ust)consumerd(?:32|64)?\/error$/, /^660 root:root$/],
	[/^\/run\/lttng\/(?:k|ust)consumerd(?:32|64)?\/health$/, /^660 root:tracing$/],
	[/^\/run\/lttng\/(?:k|ust)consumerd(?:32|64)?\/command$/, /^[0-7]{2}[0145] root:root$/],
];

test("QEMU listens on 127.0.0.1, as LTTng's daemons do; libvirt's on no address: neither TCP nor UDP", (t) => {
	const all = processes().map(({ name, pid }) => ({ name, addresses: listening(pid, "-tu") }));
	t.log(all.map(({ name, addresses }) => `${name}: ${addresses.join(", ") || "nothing"}`).join("\n"));
	for (const daemon of ["libvirtd", "virtlogd", "lttng-sessiond"])
		t.true(
			all.some(({ name }) => name === daemon),
			daemon,
		);
	for (const { name, addresses } of all) {
		if (name === "QEMU") t.deepEqual(addresses, ["127.0.0.1:12340"]);
		else if (name.startsWith("lttng-")) for (const address of addresses) t.regex(address, /^127\.0\.0\.1:53[45]\d$/);
		else t.deepEqual(addresses, [], name);
	}
});

test("each unix socket of QEMU, libvirt's daemons and LTTng's is one that the docs name, with its mode", (t) => {
	const seen = new Set(
		processes().flatMap(({ pid }) => listening(pid, "-x").map((path) => path.replace(/^\/var\/run\//, "/run/"))),
	);
	const abstract = [...seen].filter((path) => !path.startsWith("/"));
	t.deepEqual(abstract, [], "anybody may connect to an abstract socket");
	const shown = [...seen].sort().map((path) => `${host(`stat -c '%a %U:%G' '${path}'`)} ${path}`);
	t.log(shown.join("\n"));
	for (const one of ["/run/libvirt/libvirt-sock", "/run/lttng/client-lttng-sessiond"]) t.true(seen.has(one), one);
	t.true([...seen].some((path) => path.endsWith(`/${libvirtName}/console.sock`)));
	for (const line of shown) {
		const [, mode = "", path = ""] = /^(\S+ \S+) (.*)$/.exec(line) ?? [];
		const [, wanted] = sockets.find(([of]) => of.test(path)) ?? [];
		if (wanted === undefined) t.fail(`nobody knows of ${line}`);
		else t.regex(mode, wanted, path);
	}
});

test("while up runs, Pulumi's engine and its plugins listen on 127.0.0.1, and on unix sockets that are root's", async (t) => {
	const running = copy.startLab("--stack", stack, "up");
	let going = true;
	const ended = running.finally(() => {
		going = false;
	});
	const seen = new Set<string>();
	for (; going; await pause(100)) {
		const lines = host("ss -Hlntxp").split("\n");
		const pids = new Set(family(running.pid ?? 0).map(({ pid }) => pid));
		for (const line of lines) {
			const [, , , , address = "*"] = line.trim().split(/\s+/);
			const holders = [...line.matchAll(/\("([^"]+)",pid=(\d+),/g)];
			const name = holders.find(([, , pid]) => pids.has(Number(pid)))?.[1];
			// A socket may be bound to nothing.
			if (name === undefined || address === "*") continue;
			if (!address.startsWith("/")) seen.add(`${name} ${address}`);
			else {
				const mode = host(`stat -c '%a %U:%G' '${address}' 2>/dev/null || :`);
				// One that went meanwhile has none.
				if (mode !== "") seen.add(`${name} ${address} ${mode}`);
			}
		}
	}
	const { exitCode, all } = await ended;
	t.is(exitCode, 0, all);
	const shown = [...seen].sort();
	t.log(shown.join("\n"));
	for (const program of ["pulumi ", "pulumi-resource ", "pulumi-language "])
		t.true(
			shown.some((line) => line.startsWith(program)),
			program,
		);
	for (const line of shown) t.regex(line, /^\S+ (?:(?:127\.0\.0\.1|\[::1\]):\d+|\/\S+ [0-7]{2}[0145] root:root)$/);
});

test("an account in none of libvirt's groups gets nothing done through libvirt's socket, which is open to all", async (t) => {
	const nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp";
	const { code, stdout } = await copy.bash(`${nobody} virsh -c qemu:///system list --all --name`);
	t.not(code, 0);
	t.is(stdout.trim(), "");
});

test("what came with the lab listens on loopback alone, and none of its files is writable for all", (t) => {
	const came = difference(before, hostState()).filter((line) => line.startsWith("+ listener "));
	t.true(came.length > 0);
	for (const line of came) t.regex(line, /^\+ listener 127\.0\.0\.1:\d+$/);
	const writable = (folders: string) => host(`find ${folders} -xdev -perm -o+w ! -type l | sort`).split("\n");
	const ours = ["opt", "var/lib", "var/cache", "var/log", "run"].map((place) => `/${place}/tracelab`).join(" ");
	t.deepEqual(writable(`${ours} ${copy.folder}/.state`), [""]);
	const [ust, ...others] = writable("/run/lttng");
	t.regex(ust ?? "", /^\/run\/lttng\/lttng-ust-sock-\d+$/);
	t.deepEqual(others, []);
	t.deepEqual(writable("/run/libvirt"), ["/run/libvirt/libvirt-sock", "/run/libvirt/libvirt-sock-ro"]);
});
