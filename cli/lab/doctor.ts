import { existsSync, lstatSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { decideAcceleration } from "../../spec/acceleration.ts";
import { firstUp } from "../../spec/disk-space.ts";
import type { HostFacts } from "../../spec/host-facts.ts";
import { hostPackages } from "../../spec/host-packages.ts";
import { LabError } from "../errors.ts";
import { onHost, project } from "../host.ts";
import { hostFacts } from "../host-facts.ts";
import { virsh } from "../libvirt.ts";
import { type Ran, run } from "../program.ts";
import { paint, print, size, table } from "../terminal.ts";
import { pulumi } from "./engine.ts";

/** One thing that was looked at. `missing` stops the lab; `note` is what `up` sees to, or what only costs. */
export interface Finding {
	name: string;
	state: "ok" | "note" | "missing";
	found: string;
	/** Why it matters. */
	why: string;
}

/** Shows what is there and what is not; returns 1 where something necessary is missing. */
export async function doctor(): Promise<number> {
	const findings = await examine();
	const signs = { ok: paint("green", "ok"), note: paint("yellow", "note"), missing: paint("red", "MISSING") };
	const rows = findings.map(({ name, state, found, why }) => [signs[state], name, found, why]);
	print(table(["", "WHAT", "FOUND", "WHY IT MATTERS"], rows));
	const missing = findings.filter(({ state }) => state === "missing");
	print(
		missing.length === 0
			? "\nnothing necessary is missing"
			: `\nmissing: ${missing.map(({ name }) => name).join(", ")}`,
	);
	return missing.length === 0 ? 0 : 1;
}

async function examine(): Promise<Finding[]> {
	const [facts, engine, plugins, root, packages, libvirtd, sessiond] = await Promise.all([
		hostFacts(),
		engineFinding(),
		pluginFinding(),
		rootFinding(),
		hostPackagesFinding(),
		daemonFinding("libvirtd", "runs the domains", () => virsh("list", "--name")),
		daemonFinding("lttng-sessiond", "root's: records the tracepoints of QEMU", () =>
			run("lttng", ["--no-sessiond", "list"]),
		),
	]);
	return [
		{ name: "node", state: "ok", found: process.version, why: "runs ./lab and the program of pulumi up" },
		engine,
		{
			name: "language host",
			state: existsSync(languageHost) ? "ok" : "missing",
			found: originOf(languageHost) ?? "nothing: run scripts/setup",
			why: "runs the lab's program in Node.js for pulumi",
		},
		plugins,
		root,
		await packagesFinding(facts),
		packages,
		diskSpace(
			Math.min(facts.free.opt, facts.free.cache),
			facts.builds.some((id) => id.startsWith("kernel/")),
		),
		...hostFindings(facts),
		libvirtd,
		sessiond,
		tracingFinding(),
	];
}

const pulumiHome = `${project}/.pulumi`;
const languageHost = `${pulumiHome}/bin/pulumi-language-nodejs`;

/** Of what Go's linker notes in a program, the package of our own two: toolchain/pulumi/go.mod. */
const ownPackage = "path\ttracelab/toolchain/";

/** Whose a part of Pulumi is; nothing where it is not there. */
export function originOf(file: string): string | undefined {
	if (!existsSync(file)) return undefined;
	if (lstatSync(file).isSymbolicLink()) return `from PATH: ${dirname(realpathSync(file))}`;
	return readFileSync(file).includes(ownPackage) ? "our own, built from toolchain/" : "Pulumi's own";
}

async function engineFinding(): Promise<Finding> {
	const why = "compares the host with the stack file and changes what differs";
	const { code, stdout } = await pulumi(["version"]);
	return code === 0
		? { name: "pulumi", state: "ok", found: withOrigin(stdout.trim(), `${pulumiHome}/bin/pulumi`), why }
		: { name: "pulumi", state: "missing", found: "nothing: run scripts/setup", why };
}

function withOrigin(version: string, file: string): string {
	const origin = originOf(file);
	return origin === undefined ? version : `${version} (${origin})`;
}

async function pluginFinding(): Promise<Finding> {
	const wanted = { command: "1.2.1", "terraform-provider": "1.1.3" };
	const why = "run the lab's steps, and speak to libvirt";
	const { stdout } = await pulumi(["plugin", "ls", "--json"]);
	const there = (stdout === "" ? [] : JSON.parse(stdout)) as { name: string; version: string }[];
	const has = (name: string, version: string) =>
		there.some((plugin) => plugin.name === name && plugin.version === version);
	const lacking = Object.entries(wanted).filter(([name, version]) => !has(name, version));
	const text = (plugins: [string, string][]) => plugins.map((plugin) => plugin.join(" ")).join(", ");
	const found = Object.entries(wanted).map(([name, version]) =>
		withOrigin(`${name} ${version}`, `${pulumiHome}/plugins/resource-${name}-v${version}/pulumi-resource-${name}`),
	);
	return lacking.length === 0
		? { name: "pulumi plugins", state: "ok", found: found.join(", "), why }
		: { name: "pulumi plugins", state: "missing", found: `no ${text(lacking)}: run scripts/setup`, why };
}

async function rootFinding(): Promise<Finding> {
	const why = "up installs packages, builds below /opt, and starts daemons";
	if (process.geteuid?.() === 0) return { name: "root", state: "ok", found: "root", why };
	const sudo = (await run("bash", ["-c", "command -v sudo"])).code === 0;
	return sudo
		? { name: "root", state: "ok", found: "not root; up goes through sudo", why }
		: { name: "root", state: "missing", found: "not root, and no sudo: use su", why };
}

async function packagesFinding({ os }: HostFacts): Promise<Finding> {
	const why = "up installs QEMU's and the kernel's build dependencies";
	const apt = (await run("bash", ["-c", "command -v apt-get"])).code === 0;
	const tried = os.id === "debian" && os.version === "12";
	const here = `on ${os.id} ${os.version}`.trimEnd();
	return {
		name: "apt-get",
		state: !apt ? "missing" : tried ? "ok" : "note",
		found: `${apt ? "there" : "not there"}, ${here}${tried ? "" : ": Debian 12 is what the lab was tried on"}`,
		why,
	};
}

async function hostPackagesFinding(): Promise<Finding> {
	const why = "compilers, libvirt, LTTng, gdb, SystemTap: what makes guests, and looks into them";
	// Where there is no dpkg, that there is no apt-get says what to do.
	const { stdout } = await run("dpkg-query", ["-W", "-f", "${db:Status-Abbrev} ${Package}\\n"]).catch(() => ({
		stdout: "",
	}));
	const installed = new Set([...stdout.matchAll(/^.i {2}(\S+)$/gm)].map(([, name]) => name));
	const [first = "", ...more] = hostPackages.filter((name) => !installed.has(name));
	const others = more.length === 0 ? "" : ` and ${more.length} more`;
	return first === ""
		? { name: "host packages", state: "ok", found: `all ${hostPackages.length} are installed`, why }
		: { name: "host packages", state: "note", found: `not installed: ${first}${others}: up sees to it`, why };
}

/** A lab that was built needs no room for a first build any more. */
export function diskSpace(free: number, built: boolean): Finding {
	const state = free >= firstUp ? "ok" : built ? "note" : "missing";
	const found = `${size(free)} free in /opt and /var/cache${state === "ok" ? "" : `, a first up needs ${size(firstUp)}`}`;
	return { name: "disk space", state, found, why: "sources, builds with debug information, and their caches" };
}

export function hostFindings(facts: HostFacts): Finding[] {
	const { kind, reason } = decideAcceleration("auto", facts);
	return [
		{
			name: "acceleration",
			state: kind === "kvm" ? "ok" : "note",
			found: `auto is ${kind}: ${reason}`,
			why:
				kind === "kvm"
					? "guests run at the processor's speed"
					: "guests are emulated: they work, some ten times slower",
		},
		{
			name: "systemd",
			state: facts.systemd ? "ok" : "note",
			found: facts.systemd ? "runs" : "does not run: daemons are started as themselves",
			why: "who starts libvirtd and lttng-sessiond",
		},
		{
			name: "AppArmor",
			state: "ok",
			found: facts.apparmor ? "on: up lets libvirt run the lab's emulators" : "off",
			why: "it refuses emulators outside the known places",
		},
	];
}

async function daemonFinding(name: string, why: string, ask: () => Promise<Ran>): Promise<Finding> {
	const answer = await ask().catch((error: unknown) => error);
	if (answer instanceof LabError) return { name, state: "note", found: "not installed: up installs it", why };
	const answers = (answer as Ran).code === 0;
	return {
		name,
		state: answers ? "ok" : "note",
		found: answers ? "answers" : "does not answer: up starts it",
		why,
	};
}

function tracingFinding(): Finding {
	const why = "LTTng lets root and the group tracing control root's session daemon, with which QEMU registers";
	const file = onHost("/etc/group");
	const lines = statSync(file, { throwIfNoEntry: false }) === undefined ? [] : readFileSync(file, "utf8").split("\n");
	const members = lines.map((line) => line.split(":")).find(([name]) => name === "tracing")?.[3];
	if (members === undefined) return { name: "group tracing", state: "note", found: "no such group: up makes it", why };
	const in_ = members.split(",").includes("libvirt-qemu");
	return {
		name: "group tracing",
		state: in_ ? "ok" : "note",
		found: in_ ? "libvirt-qemu is in it" : "libvirt-qemu is not in it: up sees to it",
		why,
	};
}
