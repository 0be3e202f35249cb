import { existsSync, readFileSync } from "node:fs";
import type { Domain } from "../card.ts";
import { LabError } from "../errors.ts";
import { onHost } from "../host.ts";
import { libvirtFault, virsh } from "../libvirt.ts";
import { run } from "../program.ts";
import { noSessionDaemon } from "../trace/causes.ts";
import { up } from "./claim.ts";

// What the host does for a domain.

export async function services(domain: Domain): Promise<string> {
	const { code, stderr } = await virsh("list", "--name");
	if (code !== 0)
		throw libvirtFault(stderr) ?? new LabError(`virsh list: ${stderr.trim()}`, "./lab doctor says more of this host");
	const cause = await noSessionDaemon(domain);
	if (cause !== undefined) throw new LabError(cause.why, cause.todo);
	const [libvirtd, sessiond] = Object.values(pidFiles).map((file) => pidIn(file) || "unknown");
	return `virsh is answered by process ${libvirtd}, lttng by process ${sessiond}`;
}

/** Where the daemons write their process's number. */
const pidFiles = { libvirtd: "/run/libvirtd.pid", "lttng-sessiond": "/run/lttng/lttng-sessiond.pid" } as const;

export async function daemons(domain: Domain): Promise<string> {
	const systemd = existsSync(onHost("/run/systemd/system"));
	const seen = Object.entries(pidFiles).map(([name, file]) => {
		const pid = pidIn(file);
		const runs = text(`/proc/${pid}/comm`);
		if (runs !== name) {
			throw new LabError(
				`${file} names process ${pid || "none"}, which is ${runs || "none"} and not ${name}`,
				`end the ${name} that answers, and ${up(domain)} starts it`,
			);
		}
		const unit = /[^/\n]+\.service(?=\/|$)/m.exec(text(`/proc/${pid}/cgroup`))?.[0];
		if (systemd && unit !== `${name}.service`) {
			throw new LabError(
				`systemd runs, and ${name} (process ${pid}) is of ${unit ?? "none of its units"}`,
				`end it: kill ${pid}; then ${up(domain)} has systemd start it`,
			);
		}
		return `${systemd ? unit : name} is process ${pid}`;
	});
	return `systemd ${systemd ? "runs" : "does not run"}; ${seen.join(", ")}`;
}

/**
 * The number in a daemon's file. lttng-sessiond writes over what one that was killed left and cuts nothing off, so
 * the end of a longer number may follow on a line of its own (seen with 2.13: 997 over 30912).
 */
const pidIn = (file: string): string => text(file).split("\n", 1)[0] ?? "";

/** What is in a file, without the end of its last line; nothing where it cannot be read. */
function text(file: string): string {
	try {
		return readFileSync(onHost(file), "utf8").trim();
	} catch {
		return "";
	}
}

/** As whom libvirt runs QEMU. */
const user = "libvirt-qemu";

/** The daemon looks the group up once, when it starts, and gives it its folder. */
const daemonsFolder = "/run/lttng";

export async function tracingGroup(domain: Domain): Promise<string> {
	const groups = (await run("id", ["-nG", user])).stdout.trim();
	if (!groups.split(" ").includes("tracing")) {
		throw new LabError(
			`${user} is not in group tracing, so it may not control root's session daemon`,
			`${up(domain)} puts it in`,
		);
	}
	const owner = (await run("stat", ["-c", "%G", onHost(daemonsFolder)])).stdout.trim();
	if (owner === "tracing") return `id -nG ${user}: ${groups}; ${daemonsFolder} is of ${owner}`;
	throw new LabError(
		`${daemonsFolder} is of ${owner || "nobody"}: root's session daemon was started before there was a group tracing`,
		`${up(domain)} starts it again`,
	);
}
