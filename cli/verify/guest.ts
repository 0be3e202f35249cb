import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { sha256 } from "../../spec/content-hash.ts";
import { factNames } from "../../spec/hypervisor.ts";
import { type Domain, stackOption } from "../card.ts";
import { checkGdbstub, checkVmlinux, gdbArguments, letGo, readSymbols } from "../debug/debugger.ts";
import { buildIdIn } from "../debug/elf.ts";
import { LabError } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { runInGuest } from "../guest/process.ts";
import { onHost } from "../host.ts";
import { type Compiled, compileOnce } from "../probe/compile.ts";
import { HitReport } from "../probe/hit-report.ts";
import { checkFits, inGuest, unload } from "../probe/run.ts";
import { run } from "../program.ts";
import { up } from "./claim.ts";
import { lookFromInside, mustSee, notAsExpected, shownFact } from "./facts.ts";

// What a guest shows of its kernel: to the agent, to gdb, to SystemTap.

export async function buildId(domain: Domain): Promise<string> {
	const { vmlinux } = domain.kernel;
	const wanted = checkVmlinux(domain).buildId;
	const running = buildIdIn((await new GuestAgent(domain).exec(["cat", "/sys/kernel/notes"])).stdout);
	if (running !== undefined && running === wanted) return `build-id ${running} in both`;
	throw new LabError(
		`the guest's kernel has build-id ${running ?? "unknown"}, ${vmlinux} has ${wanted ?? "none"}`,
		`${up(domain)} starts it on its kernel`,
	);
}

export async function modules(domain: Domain): Promise<string> {
	const agent = new GuestAgent(domain);
	const seen: string[] = [];
	for (const [name, { file }] of Object.entries(domain.card.modules).sort()) {
		const where = await agent.exec(["modinfo", "-n", name]);
		if (where.code !== 0)
			throw new LabError(`module ${name} is not installed in the guest`, `${up(domain)} installs it`);
		const loaded = buildIdIn((await agent.exec(["cat", noteOf(name)])).stdout);
		if (loaded === undefined) throw new LabError(`module ${name} is not loaded`, `${up(domain)} loads it`);
		checkLoaded(domain, name, file, loaded);
		// What gdb and SystemTap read, and the next boot loads.
		const installed = where.stdout.toString().trim();
		const sum = (await agent.exec(["sha256sum", installed])).stdout.toString().split(" ")[0];
		if (sum !== sha256(readFileSync(onHost(file))))
			throw new LabError(`${installed} in the guest is not ${file}`, `${up(domain)} installs the one that is built`);
		seen.push(installed);
	}
	await checkOthers(domain, agent);
	return seen.join(", ");
}

function checkLoaded(domain: Domain, name: string, file: string, loaded: string | undefined): void {
	const built = readSymbols(file, domain).buildId;
	if (loaded === built) return;
	throw new LabError(
		`module ${name} is loaded with build-id ${loaded ?? "unknown"}, ${file} has ${built ?? "none"}`,
		`${up(domain)} loads the one that is built`,
	);
}

/** The lab's modules that are loaded as another one needs them, or, like LTTng's, by a program of the guest's. */
async function checkOthers(domain: Domain, agent: GuestAgent): Promise<void> {
	const { card, kernel } = domain;
	const folder = `/var/lib/tracelab/domains/${card.libvirtName}/root/lib/modules/${kernel.release}/extra`;
	const lines = (await agent.readAll("/proc/modules")).toString().split("\n");
	const loaded = new Set(lines.map((line) => line.split(" ", 1)[0]));
	const others = globSync(`${onHost(folder)}/*.ko`)
		.map((file) => basename(file, ".ko"))
		.filter((name) => loaded.has(toTheKernel(name)) && !Object.hasOwn(card.modules, name))
		.sort();
	if (others.length === 0) return;
	// One program for all of them: LTTng has many.
	const notes = (await agent.exec(["cat", ...others.map(noteOf)])).stdout;
	const length = notes.length / others.length;
	for (const [index, name] of others.entries()) {
		const id = buildIdIn(notes.subarray(index * length, (index + 1) * length));
		checkLoaded(domain, name, `${folder}/${name}.ko`, id);
	}
}

const toTheKernel = (name: string) => name.replaceAll("-", "_");
const noteOf = (name: string) => `/sys/module/${toTheKernel(name)}/notes/.note.gnu.build-id`;

/** A function that every guest's kernel comes by within a second: the tick. */
const ticking = "tick_do_update_jiffies64";

/** Seconds that gdb has for it: reading the symbols takes most of them. */
const gdbLimit = "60";

export async function breakpoint(domain: Domain): Promise<string> {
	const { name, stack } = domain;
	checkVmlinux(domain);
	await checkGdbstub(domain);
	const stop = ["-ex", `hbreak ${ticking}`, "-ex", "continue", "-ex", "bt 1", "-ex", "delete", "-ex", "detach"];
	const gdb = ["gdb", ...gdbArguments(domain, "not asked", ["--batch", ...stop])];
	const { code, stdout, stderr } = await run("timeout", [gdbLimit, ...gdb]);
	await letGo(domain, "running");
	const frame = stdout.split("\n").find((line) => line.startsWith("#0") && line.includes(ticking));
	const where = frame === undefined ? undefined : / at (\S+:\d+)$/.exec(frame)?.[1];
	if (where !== undefined) return `hbreak ${ticking}: stopped at ${where}`;
	if (code === 127) throw new LabError("there is no gdb on this machine", `${up(domain)} installs it`);
	const lab = `./lab${stackOption(stack)}`;
	if (code === 124) {
		throw new LabError(
			`gdb did not stop at ${ticking} within ${gdbLimit} s`,
			`see whether the guest still does anything: ${lab} console --log ${name}; then by hand: ${lab} gdb ${name}`,
		);
	}
	// Of gdb's errors, the first is the cause of the others.
	const said = stderr.split("\n").find((line) => line.trim() !== "" && !line.startsWith("warning:"));
	throw new LabError(
		frame === undefined
			? `gdb did not stop at ${ticking}: ${said ?? stdout.trim().split("\n").at(-1)}`
			: `gdb stopped at ${ticking} and has no source line of it: ${frame}`,
		`try it by hand: ${lab} gdb ${name}`,
	);
}

export async function hypervisor(domain: Domain): Promise<string> {
	const facts = await lookFromInside(domain);
	const expected = mustSee(domain);
	const [differing] = notAsExpected(facts, expected);
	if (differing === undefined) return factNames.map((fact) => `${fact} ${shownFact(fact, facts)}`).join(", ");
	throw new LabError(
		`${differing} is ${shownFact(differing, facts)}, and ${expected[differing]} is expected`,
		`mend hypervisor: or expect: of domain ${domain.name} in the stack file`,
	);
}

/** A function of the kernel's that every guest calls all the time. */
const always = 'kernel.function("vfs_read")';

/** Where a probe is meant to be, without its place in the source. */
const short = (point: string) => point.replace(/@[^"]*/, "");

export async function systemtap(domain: Domain): Promise<string> {
	const names = Object.keys(domain.card.modules).sort();
	const folder = mkdtempSync(join(tmpdir(), "tracelab-verify-"));
	const agent = new GuestAgent(domain);
	try {
		const script = join(folder, "verify.stp");
		writeFileSync(script, probeOf(names));
		const probe = { name: "verify", script, domain, built: undefined };
		const compiled = await compileOnce(probe).catch((error: unknown) => {
			if (!(error instanceof LabError)) throw error;
			// The script is nobody's, and its place soon gone.
			throw new LabError(error.message.replaceAll(`${folder}/`, ""), error.todo);
		});
		try {
			const points = compiled.points.filter(({ point }) => point.startsWith("module("));
			const plain = (name: string) => name.replaceAll("-", "_");
			for (const name of names) {
				if (points.some(({ point }) => plain(point).startsWith(`module("${plain(name)}")`))) continue;
				throw new LabError(
					`stap finds no function of module ${name} to probe`,
					`build it with debug information (CONFIG_DEBUG_INFO_DWARF5=y of its kernel), and ${up(domain)} installs it`,
				);
			}
			await checkFits(probe, compiled, agent);
			const [point = "", hits] = await fired(domain, compiled, names, agent);
			return `${points.length} points, such as ${short(points[0]?.point ?? "")}; in the guest ${hits} hits of ${short(point)}`;
		} finally {
			compiled.remove();
		}
	} finally {
		rmSync(folder, { recursive: true });
	}
}

/** stap leaves a point with an empty body out; a count for each processor keeps none waiting for another. */
function probeOf(modules: readonly string[]): string {
	const points = [...modules.map((name) => `module("${name}").function("*")`), always];
	return [
		"global calls",
		...points.map((point) => `probe ${point} { calls <<< 1 }`),
		"probe timer.s(2) { exit() }",
		"probe end { println(@count(calls)) }",
		"",
	].join("\n");
}

// What the example module has in /proc is read meanwhile, so that its own functions are called as well.
const runProbe = `probe=$1; shift
for i in $(seq 50); do for name; do [ ! -f "/proc/$name" ] || timeout 1 cat "/proc/$name"; done; sleep 0.2; done >/dev/null 2>&1 &
staprun "$probe"; code=$?
kill $!; exit $code`;

/** Runs a compiled probe in the guest; returns what of it fired and how often, a module's function before the kernel's. */
async function fired(
	{ name, stack }: Domain,
	{ module, points }: Compiled,
	modules: readonly string[],
	agent: GuestAgent,
): Promise<readonly [point: string, hits: number]> {
	const report = new HitReport();
	const errors: Buffer[] = [];
	const { code } = await runInGuest(agent, ["/bin/sh", "-c", runProbe, "sh", inGuest(module), ...modules], {
		timeout: 60,
		stdout: (bytes) => report.take(bytes),
		stderr: (bytes) => errors.push(bytes),
	});
	await unload(agent, module);
	const hits = report.hits() ?? new Map<string, number>();
	const hit = points.flatMap(({ point }) => {
		const count = /^(?:module\(|kernel\.)/.test(point) ? (hits.get(point) ?? 0) : 0;
		return count === 0 ? [] : [[point, count] as const];
	});
	const first = hit.find(([point]) => point.startsWith("module(")) ?? hit[0];
	if (first !== undefined) return first;
	const said = Buffer.concat(errors).toString().trim() || `staprun ended with ${code}`;
	throw new LabError(
		`the probe never fired in the guest, not even at ${always}: ${said}`,
		`see what the kernel says of it: ./lab${stackOption(stack)} exec ${name} -- dmesg`,
	);
}
