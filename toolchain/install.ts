/**
 * Puts the Pulumi CLI and its plugins below the project's .pulumi folder, for scripts/setup:
 *   node toolchain/install.ts PROJECT CACHE LOG
 * Each part comes from PATH, else from its official release, else from its pinned Go module.
 * Prints the files that it put there.
 */
import { existsSync } from "node:fs";
import { mkdir, rm, symlink } from "node:fs/promises";
import { setGlobalProxyFromEnv } from "node:http";
import { dirname, join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { place } from "./files.ts";
import { build, builtFile, findGo, isOurs, type Workshop } from "./go.ts";
import { DownloadError, officialFile, officialReachable } from "./official.ts";
import { pulumiOnPath } from "./on-path.ts";
import { cli, languageHost, libvirtProvider, type Part, parts, terraformBridge } from "./parts.ts";
import { run } from "./run.ts";
import { SetupError } from "./setup-error.ts";

async function install(project: string, workshop: Workshop): Promise<void> {
	const home = join(project, ".pulumi");
	const wanted = new Set<Part>(parts);
	const theirs = await pulumiOnPath(home, workshop.log);
	if (theirs !== undefined) {
		await linkTheirs(home, dirname(theirs));
		wanted.delete(cli);
		wanted.delete(languageHost);
		workshop.say(`Pulumi CLI and language host: ${dirname(theirs)}`);
	}
	if (heedsEnvironment(workshop) && (await officialReachable())) await installReleases(home, wanted, workshop);
	await installBuilds(home, wanted, workshop);
}

/** Has downloads go by https_proxy and SSL_CERT_FILE, as those of other programs do; NODE_EXTRA_CA_CERTS is Node's own. */
function heedsEnvironment(workshop: Workshop): boolean {
	setDefaultCACertificates([...getCACertificates(), ...getCACertificates("system")]);
	try {
		setGlobalProxyFromEnv();
		return true;
	} catch {
		workshop.say("https_proxy or http_proxy is no http://HOST:PORT: official releases are passed over");
		return false;
	}
}

async function linkTheirs(home: string, bin: string): Promise<void> {
	await mkdir(join(home, "bin"), { recursive: true });
	for (const part of [cli, languageHost]) {
		const path = join(home, part.path);
		await rm(path, { force: true });
		await symlink(join(bin, path.split("/").at(-1) ?? ""), path);
	}
}

/** Takes what has an official release out of the wanted parts. */
async function installReleases(home: string, wanted: Set<Part>, workshop: Workshop): Promise<void> {
	for (const part of [...wanted]) {
		const { release } = part;
		if (release === undefined) continue;
		try {
			await timed(`${part.name} ${part.version}: official release`, workshop, async () => {
				await place(await officialFile({ ...part, release }, workshop.cache, workshop.log), join(home, part.path));
			});
			wanted.delete(part);
		} catch (error) {
			if (!(error instanceof DownloadError)) throw error;
			workshop.say(`${error.message}; building it instead`);
		}
	}
	if (wanted.has(cli) || wanted.has(terraformBridge)) return;
	// The bridge fetches and checks the libvirt provider itself when it is first asked for it.
	const bridgeFetched = await run(
		[join(home, cli.path), "package", "get-schema", "terraform-provider@1.1.3", "dmacvicar/libvirt", "0.8.3"],
		{ env: { ...process.env, PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" }, log: workshop.log, advice: "" },
	).then(
		() => existsSync(join(home, libvirtProvider.path)),
		() => false,
	);
	if (bridgeFetched) wanted.delete(libvirtProvider);
}

async function installBuilds(home: string, wanted: ReadonlySet<Part>, workshop: Workshop): Promise<void> {
	let go: string | undefined;
	for (const part of wanted) {
		const cached = await builtFile(part, workshop);
		if (!existsSync(cached)) {
			go ??= await findGo(workshop);
			const compiler = go;
			const [doing, done] = isOurs(part)
				? [`building our own ${part.name} from toolchain/`, "our own, built from toolchain/"]
				: [`building the ${part.name} from its Go module`, "built from its Go module"];
			workshop.say(`${doing}…`);
			await timed(`${part.name} ${part.version}: ${done}`, workshop, () => build(part, compiler, workshop));
		}
		await place(cached, join(home, part.path));
	}
}

async function timed(what: string, workshop: Workshop, work: () => Promise<unknown>): Promise<void> {
	const start = Date.now();
	await work();
	workshop.say(`${what} (${Math.round((Date.now() - start) / 1000)} s)`);
}

const [project, cache, log] = process.argv.slice(2);
if (project === undefined || cache === undefined || log === undefined) {
	throw new Error("usage: node toolchain/install.ts PROJECT CACHE LOG");
}
const say = (line: string) => process.stderr.write(`setup: ${line}\n`);
try {
	await install(project, { cache, toolchain: join(project, "toolchain"), log, say });
	process.stdout.write(parts.map((part) => `.pulumi/${part.path}\n`).join(""));
} catch (error) {
	if (!(error instanceof SetupError)) throw error;
	say(error.message);
	if (error.advice !== "") say(error.advice);
	process.exitCode = 1;
}
