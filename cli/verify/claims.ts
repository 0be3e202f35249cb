import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { factNames } from "../../spec/hypervisor.ts";
import { type Domain, stackOption } from "../card.ts";
import { measureClock } from "../clock/clock.ts";
import { gdbArguments } from "../debug/debugger.ts";
import { buildIdIn, readElf } from "../debug/elf.ts";
import { LabError, systemCode } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { onHost } from "../host.ts";
import { domainProcess } from "../libvirt.ts";
import { compileOnce } from "../probe/compile.ts";
import { run } from "../program.ts";
import { causality } from "../runs/merge.ts";
import { startClocks, startRecording, stopRecording } from "../trace/record.ts";
import { lookFromInside } from "./facts.ts";

/** Something that a lab is to be able to do, looked at on one domain. */
export interface Claim {
	readonly claim: string;
	/** One line of what was really seen. @throws LabError where it does not hold */
	readonly evidence: (domain: Domain) => Promise<string>;
	/** Does it need the guest to run, and not to wait for its debugger? */
	readonly guest: boolean;
}

/** All of them, in the order in which one depends on the other; each one only looks. */
export const claims: readonly Claim[] = [
	{ claim: "the process is this lab's QEMU", evidence: emulator, guest: false },
	{ claim: "pgrep finds it under its name", evidence: processName, guest: false },
	{ claim: "QEMU is built with LTTng-UST", evidence: builtWithUst, guest: false },
	{ claim: "LTTng sees its tracepoints under libvirt", evidence: tracepoints, guest: false },
	{ claim: "what listens, listens on 127.0.0.1", evidence: listeners, guest: false },
	{ claim: "the guest runs the kernel of gdb's vmlinux", evidence: buildId, guest: true },
	{ claim: "its modules are installed, and loaded as built", evidence: modules, guest: true },
	{ claim: "gdb stops the kernel at a source line", evidence: breakpoint, guest: true },
	{ claim: "it sees the hypervisor that is expected", evidence: hypervisor, guest: true },
	{ claim: "SystemTap resolves the installed modules", evidence: systemtap, guest: true },
	{ claim: "host and guest are on one clock", evidence: clock, guest: true },
	{ claim: "a trace has QEMU and the guest, causes first", evidence: trace, guest: true },
];

const up = ({ stack }: Domain) => `./lab${stackOption(stack)} up`;

function processOf(domain: Domain): { pid: number; program: string } {
	const process = domainProcess(domain);
	if (process !== undefined) return process;
	throw new LabError(`domain ${domain.name} has no process`, `${up(domain)} starts it`);
}

async function emulator(domain: Domain): Promise<string> {
	const { pid, program } = processOf(domain);
	if (program === domain.card.emulator) return `/proc/${pid}/exe -> ${program}`;
	throw new LabError(
		`/proc/${pid}/exe is ${program || "gone"}, not ${domain.card.emulator}`,
		`${up(domain)} starts it anew`,
	);
}

async function processName(domain: Domain): Promise<string> {
	const { processName } = domain.card;
	const { pid } = processOf(domain);
	const { stdout } = await run("pgrep", ["-x", processName]);
	if (stdout.split("\n").includes(String(pid))) return `pgrep -x ${processName}: ${pid}`;
	throw new LabError(
		`pgrep -x ${processName} finds ${stdout.replaceAll("\n", ", ") || "nothing"}, and not process ${pid}`,
		`${up(domain)} starts it anew, with set_process_name in /etc/libvirt/qemu.conf`,
	);
}

async function builtWithUst(domain: Domain): Promise<string> {
	const { emulator } = domain.card;
	const { stdout } = await run("readelf", ["-d", onHost(emulator)]);
	const needed = stdout.split("\n").find((line) => line.includes("liblttng-ust.so"));
	if (needed !== undefined) return needed.trim().replaceAll(/\s+/g, " ");
	throw new LabError(
		`${emulator} is not linked with liblttng-ust`,
		"write traceBackends: [ust] for it in the stack file",
	);
}

async function tracepoints(domain: Domain): Promise<string> {
	const { pid } = processOf(domain);
	const { code, stdout, stderr } = await run("lttng", ["--no-sessiond", "list", "--userspace"]);
	if (code !== 0) {
		throw new LabError(
			`lttng list failed: ${stderr.trim().split("\n").at(-1)}`,
			`${up(domain)} starts the session daemon`,
		);
	}
	const ours = stdout.split(/^PID: /m).find((part) => part.startsWith(`${pid} `)) ?? "";
	const listed = ours.match(/^ +qemu:\w+ /gm)?.length ?? 0;
	if (listed > 0) return `lttng list -u: ${listed} qemu:* tracepoints in process ${pid}`;
	throw new LabError(
		`lttng list -u shows no tracepoint of process ${pid}`,
		"is libvirt-qemu in the group tracing (id libvirt-qemu), and did QEMU start after the session daemon? " +
			`${up(domain)} mends the first; virsh destroy ${domain.card.libvirtName} and ${up(domain)} the second`,
	);
}

async function listeners(domain: Domain): Promise<string> {
	const { pid } = processOf(domain);
	const { stdout } = await run("ss", ["-Hlntup"]);
	const addresses = stdout
		.split("\n")
		.filter((line) => line.includes(`pid=${pid},`))
		.map((line) => line.trim().split(/\s+/)[4] ?? "");
	const open = addresses.filter((address) => !/^(127\.0\.0\.1|\[::1\]):/.test(address));
	if (open.length > 0)
		throw new LabError(`process ${pid} listens on ${open.join(", ")}`, `${up(domain)} starts it anew`);
	if (addresses.length === 0) throw new LabError(`process ${pid} has no gdbstub`, `${up(domain)} starts it anew`);
	return `ss -lntup: ${addresses.join(", ")}`;
}

async function buildId(domain: Domain): Promise<string> {
	const { vmlinux } = domain.kernel;
	const running = buildIdIn((await new GuestAgent(domain).exec(["cat", "/sys/kernel/notes"])).stdout);
	const wanted = readElf(onHost(vmlinux)).buildId;
	if (running !== undefined && running === wanted) return `build-id ${running} in both`;
	throw new LabError(
		`the guest's kernel has build-id ${running ?? "unknown"}, ${vmlinux} has ${wanted ?? "none"}`,
		`${up(domain)} starts it on its kernel`,
	);
}

async function modules(domain: Domain): Promise<string> {
	const agent = new GuestAgent(domain);
	const seen: string[] = [];
	for (const [name, { file }] of Object.entries(domain.card.modules)) {
		const where = await agent.exec(["modinfo", "-n", name]);
		if (where.code !== 0)
			throw new LabError(`module ${name} is not installed in the guest`, `${up(domain)} installs it`);
		const note = `/sys/module/${name.replaceAll("-", "_")}/notes/.note.gnu.build-id`;
		const loaded = buildIdIn((await agent.exec(["cat", note])).stdout);
		const built = readElf(onHost(file)).buildId;
		if (loaded === undefined) throw new LabError(`module ${name} is not loaded`, `${up(domain)} loads it`);
		if (loaded !== built) {
			throw new LabError(
				`module ${name} is loaded with build-id ${loaded}, ${file} has ${built ?? "none"}`,
				`${up(domain)} loads the one that is built`,
			);
		}
		seen.push(where.stdout.toString().trim());
	}
	return seen.length === 0 ? "it has none to load" : seen.join(", ");
}

/** A function that every guest's kernel comes by within a second: the tick. */
const ticking = "tick_do_update_jiffies64";

async function breakpoint(domain: Domain): Promise<string> {
	const stop = ["-ex", `hbreak ${ticking}`, "-ex", "continue", "-ex", "bt 1", "-ex", "delete", "-ex", "detach"];
	const { stdout, stderr } = await run("timeout", [
		"60",
		"gdb",
		...gdbArguments(domain, "not asked", ["--batch", ...stop]),
	]);
	const frame = stdout.split("\n").find((line) => line.startsWith("#0") && line.includes(ticking));
	const where = frame === undefined ? undefined : / at (\S+:\d+)$/.exec(frame)?.[1];
	if (where !== undefined) return `hbreak ${ticking}: stopped at ${where}`;
	throw new LabError(
		`gdb did not stop at ${ticking}: ${stderr.trim().split("\n").at(-1) || stdout.trim().split("\n").at(-1)}`,
		`try it by hand: ./lab${stackOption(domain.stack)} gdb ${domain.name}`,
	);
}

async function hypervisor(domain: Domain): Promise<string> {
	const facts = await lookFromInside(domain);
	const { expected } = domain.card.hypervisor;
	for (const fact of factNames) {
		if (expected[fact] === undefined || expected[fact] === facts[fact]) continue;
		throw new LabError(
			`${fact} is ${facts[fact] ?? "none"}, and ${expected[fact]} is expected`,
			"mend expect: of the domain in the stack file, or what hides its hypervisor",
		);
	}
	return factNames.map((fact) => `${fact} ${facts[fact] ?? "none"}`).join(", ");
}

async function systemtap(domain: Domain): Promise<string> {
	const names = Object.keys(domain.card.modules).sort();
	if (names.length === 0) return "it has no module to probe";
	const folder = mkdtempSync(join(tmpdir(), "tracelab-verify-"));
	try {
		const script = join(folder, "verify.stp");
		// stap leaves a point with an empty body out.
		writeFileSync(script, names.map((name) => `probe module("${name}").function("*") { println(pp()) }\n`).join(""));
		const { points, remove } = await compileOnce({ name: "verify", script, domain, built: undefined });
		remove();
		const first = points[0];
		if (first === undefined)
			throw new LabError("stap found no function to probe", `${up(domain)} installs the modules`);
		return `${points.length} points, such as ${first.point}`;
	} finally {
		rmSync(folder, { recursive: true });
	}
}

async function clock(domain: Domain): Promise<string> {
	const { clock, fallback, host, guest } = await measureClock(domain);
	if (fallback !== undefined) throw new LabError(`not in band: ${fallback}`, `${up(domain)} brings in what is missing`);
	return `± ${clock.bound} ns (${clock.method}, ${clock.pairs} pairs; host ${host.clocksource}, guest ${guest.clocksource})`;
}

/** Reads of the disk past every cache, so that each is a request that guest and QEMU see. */
const reads = ["dd", "if=/dev/vda", "of=/dev/null", "bs=4k", "count=32", "iflag=direct"];

async function trace(domain: Domain): Promise<string> {
	const options = { domains: [domain.name], name: `verify-${process.pid}` };
	const recording = await startRecording(domain.stack, "block-io", options);
	try {
		await startClocks(recording);
		await new GuestAgent(domain).exec(reads);
		await stopRecording(recording);
		const { checks } = await causality(recording.folder);
		const sum = (numbers: number[]) => numbers.reduce((all, one) => all + one, 0);
		const pairs = sum(checks.map((check) => check.pairs));
		const early = sum(checks.map((check) => check.violations));
		const layers = recording.run.layers.filter(({ total }) => total > 0);
		const lost = sum(layers.map(({ discarded, lostPackets }) => discarded + lostPackets));
		const seen = layers.map(({ layer, total }) => `${layer} ${total}`).join(", ");
		const evidence = `events: ${seen}; ${lost} lost; ${early} of ${pairs} effects before their causes`;
		if (early === 0 && pairs > 0) return evidence;
		throw new LabError(evidence, "see docs/clocks.md for what a wrong clock looks like");
	} finally {
		rmSync(recording.folder, { recursive: true, force: true });
		removeEmpty(dirname(recording.folder));
	}
}

/** Nothing of a look stays, and what somebody recorded does. */
function removeEmpty(folder: string): void {
	try {
		rmdirSync(folder);
		rmdirSync(dirname(folder));
	} catch (error) {
		if (systemCode(error) !== "ENOTEMPTY") throw error;
	}
}
