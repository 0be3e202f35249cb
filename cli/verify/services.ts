import { readFileSync } from "node:fs";
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
	if (code !== 0) throw libvirtFault(stderr) ?? new LabError(`virsh list: ${stderr.trim()}`);
	const cause = await noSessionDaemon(domain);
	if (cause !== undefined) throw new LabError(cause.why, cause.todo);
	const [libvirtd, sessiond] = ["/run/libvirtd.pid", "/run/lttng/lttng-sessiond.pid"].map(pidIn);
	return `virsh is answered by process ${libvirtd}, lttng by process ${sessiond}`;
}

function pidIn(file: string): string {
	try {
		return readFileSync(onHost(file), "utf8").trim();
	} catch {
		return "unknown";
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
