import { copyFileSync, createWriteStream, existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { finished } from "node:stream/promises";
import { sha256 } from "../../spec/content-hash.ts";
import { quote } from "../../spec/quote.ts";
import { readCard, stackOption } from "../card.ts";
import { buildIdIn } from "../debug/elf.ts";
import { inOrder } from "../ending.ts";
import { LabError } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { runInGuest } from "../guest/process.ts";
import { onHost } from "../host.ts";
import { mustRun } from "../libvirt.ts";
import { recorder } from "../runs/recorder.ts";
import { makeRunFolder } from "../runs/run-folder.ts";
import { duration, say } from "../terminal.ts";
import { type Compiled, compileOnce } from "./compile.ts";
import { countHits, HitReport } from "./hit-report.ts";
import { compiledFor, compiledPoints, findProbe, isEdited, type Probe, probesFolder } from "./probe.ts";

export interface ProbeRunOptions {
	/** Seconds after which the run is ended; 0 is never. */
	timeout: number;
	/** The domain of a script that the stack file does not name. */
	domain?: string;
}

/**
 * Runs a probe in its guest until its script, its time or Ctrl-C ends it: its output is ours and is kept in a file,
 * and its hits are counted. Returns the exit status; a probe that never fired is an error.
 */
export async function runProbe(stack: string, what: string, { timeout, domain }: ProbeRunOptions): Promise<number> {
	const probe = findProbe(stack, what, domain);
	await mustRun(probe.domain, "not paused");
	const agent = new GuestAgent(probe.domain);
	const compiled = await compiledProbe(probe);
	try {
		await check(probe, compiled, agent);
		return await run(probe, compiled, agent, timeout);
	} finally {
		compiled.remove();
	}
}

/** Where the guest sees a compiled probe. */
export const inGuest = (module: string): string => `/lab/probes/${module}.ko`;

/** What is there in the guest while a module is loaded. */
const loaded = (module: string): string => `/sys/module/${module}`;

async function compiledProbe(probe: Probe): Promise<Compiled> {
	const { built, script } = probe;
	if (built === undefined) return compileOnce(probe);
	const compiled = whatUpCompiled(probe, built);
	if (!isEdited(built)) return compiled;
	say(`lab: ${script} was edited since up: it is compiled for this run`);
	return compileOnce(probe);
}

/** @throws LabError where that is gone, or is another */
export function whatUpCompiled({ name, domain }: Probe, { prefix, module }: NonNullable<Probe["built"]>): Compiled {
	const points = compiledPoints({ prefix });
	const kernel = compiledFor({ prefix });
	const [built, installed] = [onHost(`${prefix}/${module}.ko`), `${probesFolder(domain)}/${module}.ko`];
	const todo = `./lab${stackOption(domain.stack)} up compiles it`;
	if (points === undefined || kernel === undefined || !existsSync(built) || !existsSync(installed))
		throw new LabError(`probe ${quote(name)} is not compiled`, todo);
	if (!readFileSync(built).equals(readFileSync(installed)))
		throw new LabError(`${installed} is not the ${module}.ko that was compiled`, todo);
	return { module, points, kernel, remove: () => {} };
}

/** Looks at all that would end in an error of the kernel's that says little. @throws LabError where it cannot run */
async function check(probe: Probe, compiled: Compiled, agent: GuestAgent): Promise<void> {
	await checkFits(probe, compiled, agent);
	const { name, domain } = probe;
	const { module } = compiled;
	if ((await agent.shell('[ ! -e "$1" ] || echo running', loaded(module))) === "") return;
	throw new LabError(
		`probe ${quote(name)} runs in ${quote(domain.name)} already`,
		`end that run; where it was killed: ./lab${stackOption(domain.stack)} exec ${domain.name} -- staprun -d ${module}`,
	);
}

/** @throws LabError where it is for another kernel than the guest's, or the guest sees none or another, or has nothing to run it */
export async function checkFits(
	{ name, domain }: Probe,
	{ module, kernel }: Compiled,
	agent: GuestAgent,
): Promise<void> {
	const lab = `./lab${stackOption(domain.stack)}`;
	const running = buildIdIn((await agent.exec(["cat", "/sys/kernel/notes"])).stdout);
	if (running !== kernel) {
		throw new LabError(
			`probe ${quote(name)} is for a kernel with build-id ${kernel}, and ${quote(domain.name)} runs one with ${running ?? "none"}`,
			`${lab} up starts ${domain.name} on the kernel that belongs to it`,
		);
	}
	const file = `${probesFolder(domain)}/${module}.ko`;
	const bytes = readFileSync(file);
	const vermagic = /vermagic=(\S+)/.exec(bytes.toString("latin1"))?.[1];
	if (vermagic !== domain.kernel.release) {
		throw new LabError(
			`${file} has vermagic ${vermagic ?? "none"}, and the kernel of ${quote(domain.name)} is ${domain.kernel.release}`,
			`${lab} up compiles it again`,
		);
	}
	const looked =
		'if [ -e "$1" ]; then sha256sum <"$1"; else echo absent; fi; command -v staprun >/dev/null || echo unrunnable';
	const found = await agent.shell(looked, inGuest(module));
	const anew = `a guest that is started anew has it: virsh destroy ${domain.card.libvirtName}, then ${lab} up`;
	if (found.includes("absent")) {
		throw new LabError(
			`${quote(domain.name)} does not see ${inGuest(module)}`,
			`its share with this host is not there; ${anew}`,
		);
	}
	if (found.includes("unrunnable")) {
		throw new LabError(
			`${quote(domain.name)} has no staprun`,
			"the image has it, by its package systemtap-runtime: put back what was taken from the guest's /usr/bin",
		);
	}
	if (found.split(" ")[0] === sha256(bytes)) return;
	throw new LabError(
		`${inGuest(module)} in ${quote(domain.name)} is not ${file}`,
		`something else is there than its share with this host; ${anew}`,
	);
}

async function run(probe: Probe, compiled: Compiled, agent: GuestAgent, timeout: number): Promise<number> {
	const { name, domain } = probe;
	const { module, points } = compiled;
	const file = await outputFile(probe, compiled);
	const kept = createWriteStream(file);
	// Where it finds no room, the run ends in order, as by a Ctrl-C.
	const lost = new AbortController();
	kept.once("error", () => lost.abort());
	const report = new HitReport();
	const show = (bytes: Buffer) => {
		process.stdout.write(bytes);
		kept.write(bytes);
	};
	say(`lab: ${name} probes ${domain.name}${timeout === 0 ? "; Ctrl-C ends it" : ` for ${duration(timeout)}`}`);
	const { code, ended } = await inOrder(async (signal) => {
		const { code, timedOut } = await runInGuest(agent, ["staprun", inGuest(module)], {
			timeout,
			signal: AbortSignal.any([signal, lost.signal]),
			stdout: (bytes) => show(report.take(bytes)),
			stderr: (bytes) => process.stderr.write(bytes),
		}).finally(async () => {
			// Of a guest that crashed or panicked, that is all there is.
			show(report.rest());
			kept.end();
			await finished(kept).catch(() => {});
			say(`lab: the output of ${name} is kept in ${file}`);
		});
		await unload(agent, module);
		await finished(kept);
		return { code, ended: timedOut || signal.aborted };
	});
	if (code !== 0 && !ended) {
		throw new LabError(
			`staprun ended with ${code}: probe ${quote(name)} did not run to its end`,
			`its words are above; the kernel's: ./lab${stackOption(domain.stack)} exec ${domain.name} -- dmesg`,
		);
	}
	return sayHits(probe, countHits(points, hitsIn(report, probe)), agent);
}

/** A module that staprun had no time to unload would stand in the way of the next run. */
export async function unload(agent: GuestAgent, module: string): Promise<void> {
	await agent.shell('[ ! -e "$1" ] || staprun -d "$2"', loaded(module), module);
}

/**
 * The file `output` in a folder of its own for each run, /var/lib/tracelab/runs/STACK/probe-NAME-TIME/. Beside it are the script and
 * `probe.json`: what ran on what.
 */
async function outputFile({ name, domain, script }: Probe, { kernel }: Compiled): Promise<string> {
	const { stack } = domain;
	const plain = name.slice(name.lastIndexOf("/") + 1).replace(/\.stp$/, "");
	const { run, folder } = makeRunFolder(stack, `probe-${plain}`);
	const started = new Date().toISOString();
	const what = { stack, run, probe: name, domain: domain.name, started, kernel, lab: readCard(stack).hashes };
	copyFileSync(script, `${folder}/${basename(script)}`);
	writeFileSync(`${folder}/probe.json`, `${JSON.stringify({ ...what, ...(await recorder()) }, null, "\t")}\n`);
	return `${folder}/output`;
}

function hitsIn(report: HitReport, { name, domain }: Probe): ReadonlyMap<string, number> {
	const hits = report.hits();
	if (hits !== undefined) return hits;
	throw new LabError(
		`probe ${quote(name)} gave no account of its hits: the end of its output is lost`,
		`see what the kernel says of it: ./lab${stackOption(domain.stack)} exec ${domain.name} -- dmesg`,
	);
}

/** Lines of hits that are shown one by one. */
const shown = 10;

async function sayHits({ name, domain }: Probe, counts: readonly [string, number][], agent: GuestAgent) {
	const hit = counts.filter(([, n]) => n > 0);
	const never = counts.filter(([, n]) => n === 0).map(([own]) => own);
	for (const [own, n] of hit.slice(0, shown)) say(`lab: ${n} ${n === 1 ? "hit" : "hits"} of ${own}`);
	if (hit.length > shown) {
		const others = hit.slice(shown);
		say(`lab: ${others.reduce((sum, [, n]) => sum + n, 0)} hits of ${others.length} other points`);
	}
	if (never.length === 0) return 0;
	const more = never.length > shown ? ` and ${never.length - shown} others` : "";
	const list = `${never.slice(0, shown).join(", ")}${more}`;
	if (hit.length > 0) {
		say(`lab: never hit: ${list}`);
		return 0;
	}
	const idle = await notLoaded(never, agent);
	const lab = `./lab${stackOption(domain.stack)}`;
	throw new LabError(
		`probe ${quote(name)} never fired: no hit of ${list}`,
		idle === undefined
			? `have the guest call it while the probe runs, from another terminal: ${lab} exec ${domain.name} -- COMMAND`
			: `module ${idle} is not loaded in ${domain.name}: ${lab} exec ${domain.name} -- modprobe ${idle}`,
	);
}

/** The first of the modules in the points that the guest has not loaded. */
async function notLoaded(points: readonly string[], agent: GuestAgent): Promise<string | undefined> {
	const names = points.flatMap((point) => /^module\("([^"]+)"\)/.exec(point)?.[1] ?? []);
	const folders = [...new Set(names)].map((name) => loaded(name.replaceAll("-", "_")));
	const first = await agent.shell('for f; do [ -e "$f" ] || { printf %s "${f##*/}"; break; }; done', ...folders);
	return first || undefined;
}
