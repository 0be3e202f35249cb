import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { quote } from "../spec/quote.ts";
import { watchOutput } from "./ending.ts";
import { errorText, exitCodeOf, UsageError } from "./errors.ts";
import { project } from "./host.ts";
import { handOver } from "./program.ts";

// Each command's own file is loaded when it is called, so that `--help` is there at once.

// Set but empty, as in `TRACELAB_STACK= ./lab ls`, is as good as not set.
if (process.env["TRACELAB_STACK"] === "") delete process.env["TRACELAB_STACK"];

// What root makes is for others to read: a guest its probes, a person their runs.
if (process.geteuid?.() === 0) process.umask(0o022);

const { version } = JSON.parse(readFileSync(`${project}/package.json`, "utf8")) as { version: string };
const program = new Command("lab")
	.description("A kernel, QEMU and tracing lab: brings it up, and works with what came up.")
	.version(version)
	.addOption(
		new Option("-s, --stack <name>", "stack file, stacks/NAME.yaml").env("TRACELAB_STACK").default("quickstart"),
	)
	.addHelpText("after", "\nCommands that change the host or trace call sudo themselves.")
	.enablePositionalOptions()
	.showHelpAfterError("(./lab --help shows the commands)")
	.exitOverride();

/** The stack that was asked for, before the command or after it. */
const stack = (): string => {
	let { stack } = program.opts<{ stack: string }>();
	let command: Command | undefined = program;
	while (command !== undefined) {
		const name: string | undefined = command.args[0];
		command = command.commands.find((one) => one.name() === name);
		stack = command?.opts<{ stack?: string }>().stack ?? stack;
	}
	return stack;
};

/** What a command returns becomes the exit status. */
async function end(status: unknown): Promise<void> {
	const code = await status;
	process.exitCode = typeof code === "number" ? code : 0;
}

/** The same of a command that needs root: where this is not, the exit status is that of the same command line under sudo. */
async function endAsRoot(command: () => Promise<unknown>): Promise<void> {
	const { asRoot } = await import("./privilege.ts");
	await end((await asRoot()) ?? command());
}

/** Commander leaves the `--` in where options are passed through. */
const passedThrough = (args: readonly string[]): readonly string[] => (args[0] === "--" ? args.slice(1) : args);

program
	.command("env")
	.description('prints the exports for plain pulumi: eval "$(./lab env)"')
	.action(() => end(handOver(`${project}/scripts/pulumi-env.sh`, [])));

program
	.command("doctor")
	.description("shows what is there, what is missing, and why it matters")
	.action(async () => end((await import("./lab/doctor.ts")).doctor()));

program
	.command("up")
	.description("brings the lab up, or changes what differs from the stack file")
	.argument("[args...]", "after --: pulumi's own, such as --diff")
	.action(async (args: string[]) => end((await import("./lab/deployment.ts")).up(stack(), args)));

program
	.command("preview")
	.description("shows what up would build, restart and change, and how long that took the last time")
	.argument("[args...]", "after --: pulumi's own")
	.action(async (args: string[]) => end((await import("./lab/deployment.ts")).preview(stack(), args)));

program
	.command("destroy")
	.description("removes the lab and puts the host back as it was; builds stay in the cache")
	.option("-y, --yes", "do not ask")
	.argument("[args...]", "after --: pulumi's own")
	.action(async (args: string[], { yes = false }: { yes?: boolean }) =>
		end((await import("./lab/deployment.ts")).destroy(stack(), args, yes)),
	);

program
	.command("ls")
	.description("lists the domains of the lab")
	.option("--json", "as JSON")
	.action(async (options: { json?: boolean }) => end((await import("./lab/domain-list.ts")).list(stack(), options)));

program
	.command("status")
	.description(
		"shows what is up, what drifted, and what builds and caches take of the disk; exit status 0 if all is as the stack file declares it, else 1",
	)
	.option("--json", "as JSON")
	.action(async (options: { json?: boolean }) => end((await import("./lab/status.ts")).status(stack(), options)));

program
	.command("verify")
	.description("looks at all that the lab claims to be, and shows what was seen; exit status 1 if something fails")
	.option("--json", "as JSON")
	.action((options: { json?: boolean }) =>
		endAsRoot(async () => (await import("./verify/verify.ts")).verify(stack(), options)),
	);

program
	.command("exec")
	.description("runs a command in a guest, without network: ./lab exec vm -- uname -a")
	.argument("<domain>")
	.argument("<command...>", "its argv, passed as it is; a shell is one of: sh -c 'dmesg | tail'")
	.addOption(
		new Option("-t, --timeout <seconds>", "end it after so long (exit status 124)")
			.argParser(seconds)
			.default(0, "never"),
	)
	.option("-i, --stdin", "give it this command's standard input, up to 90 kB")
	.passThroughOptions()
	.action(async (domain: string, command: string[], options: { timeout: number; stdin?: boolean }) => {
		const argv = passedThrough(command);
		checkCommand("exec", argv, argv !== command);
		await end((await import("./guest/command.ts")).guestCommand(stack(), domain, argv, options));
	});

program
	.command("cp")
	.description("copies a file or a folder into a guest (./lab cp a vm:/root/) or out of it (./lab cp vm:/etc/fstab .)")
	.argument("<src>")
	.argument("<dst>")
	.action(async (src: string, dst: string) => end((await import("./guest/copy.ts")).copy(stack(), src, dst)));

program
	.command("console")
	.description("connects to a guest's serial console, where root needs no password; Ctrl-] leaves")
	.argument("<domain>")
	.option("--log", "print all that the guest has said, and leave")
	.addHelpText("after", "\nA pipe works too; it ends once its input has ended and the guest has been silent for 1.5 s.")
	.action(async (domain: string, { log = false }: { log?: boolean }) => {
		const { console_, consoleLog } = await import("./guest/console.ts");
		await end(log ? consoleLog(stack(), domain) : console_(stack(), domain));
	});

program
	.command("logs")
	.description("lists the logs of the lab's steps, or prints one")
	.argument("[step]")
	.option("-f, --follow", "go on printing what is added")
	.action(async (step: string | undefined, { follow = false }: { follow?: boolean }) => {
		const { listLogs, showLog } = await import("./lab/logs.ts");
		await end(step === undefined ? listLogs(stack()) : showLog(stack(), step, follow));
	});

program
	.command("gc")
	.description("removes builds of this machine that nobody needs and nobody used for a while; asks first")
	.addOption(
		new Option("--older-than <time>", "keep what was used since then, such as 12h or 3d; 0d: only what is needed")
			.argParser(time)
			.default(14 * 86_400_000, "14d"),
	)
	.option("--caches", "also what caches and logs hold that nobody used for so long, and for a day at least")
	.option("-n, --dry-run", "only show what would go, and what stays and why")
	.option("-y, --yes", "do not ask")
	.addHelpText(
		"after",
		"\nWhat caches hold of the last day is kept since an up may be at work with it, and file systems note reads to a day.\nWhere no lab is up, --caches --older-than 0d removes all of it.",
	)
	.action(async (options: { olderThan: number; caches?: boolean; dryRun?: boolean; yes?: boolean }) =>
		endAsRoot(async () => (await import("./builds/gc.ts")).gc(options)),
	);

program
	.command("lock")
	.description("writes stacks/STACK.lock.yaml, what each build is made of and comes to, from the lab that is up")
	.argument("[build...]", "such as kernel-main; default: all of them")
	.option("--update", "pin what there is now, and print what changes")
	.addHelpText(
		"after",
		"\nWithout --update, pins that are there stay; what the lab has otherwise is printed, and the exit status is 1.",
	)
	.action(async (builds: string[], options: { update?: boolean }) =>
		end((await import("./builds/lock.ts")).lock(stack(), builds, options)),
	);

program
	.command("bundle")
	.description(
		"writes the stack, its lock and the sources of all its builds into one archive, from which the lab comes up without a network",
	)
	.argument("<file>", "such as lab.tar: a tar archive")
	.action(async (file: string) => end((await import("./builds/bundle.ts")).bundle(stack(), file)));

program
	.command("unbundle")
	.description("checks what a bundle holds, and puts stack, lock and sources into their places")
	.argument("<file>")
	.action(async (file: string) => endAsRoot(async () => (await import("./builds/unbundle.ts")).unbundle(file)));

program
	.command("push")
	.description("copies the builds of the stack to a store, as its lock pins them, for others to pull")
	.argument("<store>", "a folder, or REMOTE:PATH as rclone has it: ssh, S3 and many more")
	.argument("[build...]", "such as kernel-main; default: all of them")
	.action(async (store: string, builds: string[]) =>
		end((await import("./builds/store.ts")).push(stack(), store, builds)),
	);

program
	.command("pull")
	.description("copies the builds that this machine lacks from a store, once they are seen to be what the lock pins")
	.argument("<store>", "a folder, or REMOTE:PATH as rclone has it")
	.argument("[build...]", "such as kernel-main; default: all of them")
	.action(async (store: string, builds: string[]) =>
		end((await import("./builds/store.ts")).pull(stack(), store, builds)),
	);

program
	.command("rebuild")
	.description("makes builds of the lab a second time, elsewhere, and compares them byte by byte")
	.argument("[build...]", "such as kernel-main; default: all of them")
	.requiredOption("--check", "compare: what the lab uses stays as it is")
	.action(async (builds: string[]) => end((await import("./builds/rebuild.ts")).rebuild(stack(), builds)));

program
	.command("sbom")
	.description("writes the SPDX bill of materials of an image, made by debsbom, which pipx fetches")
	.argument("[image]", "its name in the stack file, where the lab has several")
	.option("-o, --output <file>", "the document (default: image-NAME.spdx.json, here)")
	.action(async (image: string | undefined, options: { output?: string }) =>
		end((await import("./builds/sbom.ts")).sbom(stack(), image, options)),
	);

program
	.command("gdb")
	.description("debugs a guest's kernel: ./lab gdb vm --batch -ex 'hbreak schedule' -ex continue -ex bt")
	.argument("<domain>")
	.argument("[args...]", "gdb's own")
	.allowUnknownOption()
	.passThroughOptions()
	.action(async (domain: string, args: string[]) =>
		end((await import("./debug/debugger.ts")).debug(stack(), domain, passedThrough(args))),
	);

program
	.command("record")
	.description("boots a domain once more, to a command, and records it for replay: ./lab record vm -- uname -a")
	.argument("<domain>")
	.argument("<argv...>", "the command, passed as it is; its exit status is this one's")
	.option("--name <run>", "the run's name; by default record-DOMAIN-TIME")
	.passThroughOptions()
	.action(async (domain: string, command: string[], options: { name?: string }) => {
		const argv = passedThrough(command);
		checkCommand("record", argv, argv !== command);
		await endAsRoot(async () => (await import("./debug/record.ts")).record(stack(), domain, argv, options));
	});

program
	.command("replay")
	.description(
		"replays a recorded boot in gdb, forwards and back: reverse-continue, reverse-step; a traced run is recorded again",
	)
	.argument("<run>")
	.argument("[args...]", "gdb's own")
	.allowUnknownOption()
	.passThroughOptions()
	.action((run: string, args: string[]) =>
		endAsRoot(async () => {
			const own = passedThrough(args);
			const { isTraced } = await import("./debug/recording.ts");
			if (own.length === 0 && isTraced(stack(), run))
				return await (await import("./trace/again.ts")).traceAgain(stack(), run, {});
			return await (await import("./debug/replay.ts")).replay(stack(), run, own);
		}),
	);

program
	.command("facts")
	.description("shows what a guest sees of its hypervisor, and what the stack file expects")
	.argument("<domain>")
	.option("--json", "as JSON")
	.action(async (domain: string, options: { json?: boolean }) =>
		end((await import("./verify/facts.ts")).showFacts(stack(), domain, options)),
	);

program
	.command("clock")
	.description("shows the clocks of host and guest, and measures how far apart they are, with its bound")
	.argument("<domain>")
	.addOption(clockBoundOption())
	.action((domain: string, { clockBound }: { clockBound?: number }) =>
		endAsRoot(async () => (await import("./clock/clock.ts")).showClock(stack(), domain, clockBound)),
	);

program
	.command("events")
	.description("prints the events of a traced run, QEMU's and the guests' in one order on the host's clock")
	.argument("<run>")
	.addOption(new Option("--layer <layer>", "only the events of one layer").choices(["qemu", "guest", "host"]))
	.addOption(
		new Option("--match <regex>", "only those whose DOMAIN:NAME matches, such as vm:sched_switch").argParser(pattern),
	)
	.addOption(
		new Option("--around <seconds>", "only those next to a time, as it stands before each event").argParser(instant),
	)
	.addOption(new Option("-C, --context <count>", "how many on either side of that time").argParser(count).default(20))
	.action(async (run: string, options: { layer?: string; match?: RegExp; around?: bigint; context: number }) =>
		end((await import("./runs/events.ts")).showEvents(stack(), run, options)),
	);

program
	.command("report")
	.description("writes a traced run as a page for any browser, or as what ui.perfetto.dev opens")
	.argument("<run>")
	.option("-o, --output <file>", "the page (default: RUN.html, here)")
	.option("--perfetto <file>", "a file for ui.perfetto.dev instead, packed where it ends in .gz")
	.action(async (run: string, options: { output?: string; perfetto?: string }) =>
		end((await import("./runs/report.ts")).report(stack(), run, options)),
	);

const probe = program.command("probe").description("lists the SystemTap probes of the lab, or runs one");

probe
	.command("ls")
	.description("lists the probes that the stack file names")
	.action(async () => end((await import("./probe/probe.ts")).listProbes(stack())));

probe
	.command("run")
	.description("runs a probe in its guest; prints and keeps its output")
	.argument("<probe>", "its name in the stack file, or any script, FILE.stp, which is compiled first")
	.addOption(
		new Option("-t, --timeout <seconds>", "end it after so long").argParser(seconds).default(0, "Ctrl-C ends it"),
	)
	.option("-d, --domain <name>", "the domain for a FILE.stp, where the lab has several")
	.action((name: string, options: { timeout: number; domain?: string }) =>
		endAsRoot(async () => (await import("./probe/run.ts")).runProbe(stack(), name, options)),
	);

interface TraceOptions {
	domain?: string[];
	name?: string;
	layer?: "qemu" | "guest" | "host";
	clockBound?: number;
}

/** An option that may be given several times. */
const collected = (value: string, before: string[] = []): string[] => [...before, value];

const trace = program
	.command("trace")
	.description("records what QEMU and the guests' kernels do, and works with what was recorded");

trace
	.command("run")
	.description(
		"records while a command runs in a guest: ./lab trace run block-io -- dd if=/dev/vda of=/dev/null count=100",
	)
	.argument("<profile>", "what is recorded: profiles/PROFILE.yaml, or a name in traces of the stack file")
	.argument("[command...]", "its argv, passed as it is; its exit status is this one's")
	.option("-d, --domain <name>", "the domain, where the lab has several; more are traced, too", collected)
	.option("--name <run>", "the run's name; by default PROFILE-TIME")
	.addOption(new Option("--layer <layer>", "of the profile, this layer alone").choices(["qemu", "guest", "host"]))
	.addOption(clockBoundOption())
	.action((profile: string, command: string[], { domain: domains = [], ...options }: TraceOptions) =>
		endAsRoot(async () => {
			const { traceRun } = await import("./trace/run.ts");
			return (await traceRun(stack(), profile, command, { domains, ...options })).status;
		}),
	);

trace
	.command("again")
	.description("records once more what a run recorded, by the same command in the same lab, and shows what differs")
	.argument("<run>", "one that trace run recorded")
	.option("--name <run>", "the new run's name; by default PROFILE-TIME")
	.option("--anyway", "also where the lab is not what it was then: how that differs is shown first")
	.action((run: string, options: { name?: string; anyway?: boolean }) =>
		endAsRoot(async () => (await import("./trace/again.ts")).traceAgain(stack(), run, options)),
	);

trace
	.command("start")
	.description("records until trace stop ends it")
	.argument("<profile>", "what is recorded: profiles/PROFILE.yaml, or a name in traces of the stack file")
	.option("-d, --domain <name>", "the domain, where the lab has several; several can be traced", collected)
	.option("--name <run>", "the run's name; by default PROFILE-TIME")
	.addOption(new Option("--layer <layer>", "of the profile, this layer alone").choices(["qemu", "guest", "host"]))
	.action((profile: string, { domain: domains = [], ...options }: TraceOptions) =>
		endAsRoot(async () => (await import("./trace/trace.ts")).traceStart(stack(), profile, { domains, ...options })),
	);

trace
	.command("rotate")
	.description(
		"ends a piece of a run that was started, to be read while the run goes on; guests have their memory back",
	)
	.argument("[run]", "where several are being recorded")
	.action((run: string | undefined) =>
		endAsRoot(async () => (await import("./trace/rotate.ts")).traceRotate(stack(), run)),
	);

trace
	.command("stop")
	.description("ends a run that was started, and shows what it recorded")
	.argument("[run]", "where several are being recorded")
	.addOption(clockBoundOption())
	.action((run: string | undefined, { clockBound }: { clockBound?: number }) =>
		endAsRoot(async () => (await import("./trace/trace.ts")).traceStop(stack(), run, clockBound)),
	);

trace
	.command("snapshot")
	.description("makes a run of what a flight recorder of the stack file holds; it goes on recording")
	.argument("<trace>", "its name in traces of the stack file")
	.option("--name <run>", "the run's name; by default TRACE-TIME")
	.addOption(clockBoundOption("no limit"))
	.action((name: string, { name: run, clockBound }: { name?: string; clockBound?: number }) =>
		endAsRoot(async () => (await import("./trace/snapshot.ts")).traceSnapshot(stack(), name, run, clockBound)),
	);

trace
	.command("ls")
	.description("lists the traced runs")
	.option("--json", "as JSON: the run.json of each")
	.action(async (options: { json?: boolean }) => end((await import("./trace/trace.ts")).listRuns(stack(), options)));

trace
	.command("fetch")
	.description("copies a run's traces, which babeltrace2 and Trace Compass open")
	.argument("<run>")
	.argument("[folder]", "where to", ".")
	.action(async (run: string, folder: string) =>
		end((await import("./trace/trace.ts")).fetchRun(stack(), run, folder)),
	);

trace
	.command("rm")
	.description("removes runs, those of record and probe run too; asks first")
	.argument("[run...]")
	.option("--all", "all runs of the stack")
	.option("-y, --yes", "do not ask")
	.action((runs: string[], options: { all?: boolean; yes?: boolean }) =>
		endAsRoot(async () => (await import("./runs/remove-runs.ts")).removeRuns(stack(), runs, options)),
	);

/** @param limit what it is where nobody gives it, as `defaultBounds` of spec/clock-record.ts has it */
function clockBoundOption(limit = "20000, and 100000000 over the guest agent"): Option {
	return new Option(
		"--clock-bound <ns>",
		`fail if the clocks are not known to so many nanoseconds; by default ${limit}`,
	).argParser(nanoseconds);
}

/** Without `--` before it, an option behind the domain would be taken for a program in the guest. */
function checkCommand(of: "exec" | "record", [program]: readonly string[], marked: boolean): void {
	if (program === undefined) {
		throw new UsageError("there is no command behind the --", `for example: ./lab ${of} vm -- uname -a`);
	}
	if (marked || !program.startsWith("-")) return;
	throw new UsageError(
		`${quote(program)} is no program`,
		`options stand before the domain: ./lab ${of} ${program} … DOMAIN COMMAND`,
	);
}

function seconds(text: string): number {
	const value = Number(text);
	if (!(value > 0)) throw new InvalidArgumentError("It is a number of seconds over 0.");
	return value;
}

/** A time such as 12h or 14d, in milliseconds. */
function time(text: string): number {
	const [, count, unit] = /^(\d{1,5})([hd])$/.exec(text) ?? [];
	if (count === undefined) throw new InvalidArgumentError("It is a number of hours or days, such as 12h or 14d.");
	return Number(count) * (unit === "h" ? 3_600_000 : 86_400_000);
}

function nanoseconds(text: string): number {
	const value = Number(text);
	if (!(value > 0)) throw new InvalidArgumentError("It is a number of nanoseconds over 0.");
	return value;
}

function count(text: string): number {
	if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError("It is a number over 0.");
	return Number(text);
}

/** Seconds with up to nine digits behind the point, in nanoseconds. */
function instant(text: string): bigint {
	const [, whole, part = ""] = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text) ?? [];
	if (whole === undefined) throw new InvalidArgumentError("It is a time in seconds, such as 16024.470235905.");
	return BigInt(whole) * 1_000_000_000n + BigInt(part.padEnd(9, "0"));
}

function pattern(text: string): RegExp {
	try {
		return new RegExp(text);
	} catch (error) {
		throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
	}
}

// `enablePositionalOptions`, which `exec` and `gdb` need, lets the program's options stand before the command only.
for (const command of [...program.commands, ...probe.commands, ...trace.commands]) {
	command.option("-s, --stack <name>", "stack file, stacks/NAME.yaml");
}

for (const stream of [process.stdout, process.stderr]) watchOutput(stream);

try {
	await program.parseAsync();
} catch (error) {
	if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
	else {
		process.stderr.write(`${errorText(error)}\n`);
		process.exitCode = exitCodeOf(error);
	}
}
