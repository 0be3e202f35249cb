import { appendFileSync, existsSync, readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { difference, hostState } from "./host-state.ts";
import { copy, host, lab, killed as stack } from "./proof.ts";

// Whatever dies, whenever: one more up, or destroy, finishes the job.
//     TRACELAB_KILL_ROUNDS=20 TRACELAB_KILL_SEED=7 scripts/test host
// With TRACELAB_KILL_BUILDS=1 each round has a QEMU and a kernel of its own, of which the compiler's cache has nothing: half an
// hour a round on two cores.
const rounds = Number(process.env["TRACELAB_KILL_ROUNDS"] ?? 2);
const seed = Number(process.env["TRACELAB_KILL_SEED"] ?? 1);
const longBuilds = process.env["TRACELAB_KILL_BUILDS"] === "1";

/** In each round. */
const kills = { up: longBuilds ? 6 : 3, destroy: 2 };

type Verb = keyof typeof kills;

const engine = /^\S*pulumi (up|destroy) /;

/** Who is killed, as `ps` shows them: those below `./lab` alone, or, of a daemon, the host's. */
const victims: Readonly<Record<string, { args?: RegExp; daemons?: readonly string[]; only?: Verb }>> = {
	"the engine": { args: engine },
	"a step's script": { args: /^bash -s -- (apply|remove)$/ },
	"the compiler": { args: /^\S*(make|ninja|cc1|gcc|ld|as)\b/, only: "up" },
	libvirtd: { daemons: ["libvirtd"] },
	"the session daemon": { daemons: ["lttng-sessiond"] },
	"all of them": { args: /./, daemons: ["libvirtd", "lttng-sessiond"] },
};

interface Kill {
	victim: string;
	/** How far into the work, as a part of what it takes when nobody is killed. */
	part: number;
}

const plan: fc.Arbitrary<Kill> = fc.noBias(
	fc.record({
		victim: fc.constantFrom(...Object.keys(victims)),
		part: fc.integer({ min: 0, max: 99 }).map((percent) => percent / 100),
	}),
);

/** A process with its command line. */
interface Process {
	pid: number;
	args: string;
}

/** A process and those below it. */
function family(root: number): Process[] {
	const all = host("ps -eo pid=,ppid=,args=")
		.split("\n")
		.map((line) => /^ *(\d+) +(\d+) (.*)$/.exec(line))
		.map((match) => ({ pid: Number(match?.[1]), parent: Number(match?.[2]), args: match?.[3] ?? "" }));
	const found = new Set([root]);
	// A parent has mostly the lower number, but numbers come round.
	for (let before = 0; before !== found.size; ) {
		before = found.size;
		for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
	}
	return all.filter(({ pid }) => found.has(pid));
}

const processesOf = (name: string): Process[] =>
	host(`pgrep -x ${name} || :`)
		.split("\n")
		.filter((pid) => pid !== "")
		.map((pid) => ({ pid: Number(pid), args: name }));

/** Kills those of a kind that are there at this instant, and returns how many these were. */
function kill(root: number, victim: string): number {
	const { args, daemons = [] } = victims[victim] ?? {};
	const there = family(root);
	// Before the engine begins, what it left the last time is looked at, and said.
	if (!there.some((process) => engine.test(process.args))) return 0;
	const found = args === undefined ? [] : there.filter((process) => args.test(process.args));
	// Of several steps, one.
	const one = victim === "a step's script" ? found.slice(0, 1) : found;
	const pids = [...one, ...daemons.flatMap(processesOf)].map(({ pid }) => pid);
	if (pids.length > 0) host(`kill -9 ${pids.join(" ")} 2>/dev/null || :`);
	return pids.length;
}

/** What the engine was at when it was killed. */
function pendingOperations(): unknown[] {
	const file = `${copy.folder}/.state/.pulumi/stacks/tracelab/${stack}.json`;
	if (!existsSync(file)) return [];
	const { checkpoint } = JSON.parse(readFileSync(file, "utf8")) as {
		checkpoint?: { latest?: { pending_operations?: unknown[] } | null };
	};
	return checkpoint?.latest?.pending_operations ?? [];
}

/** Runs ./lab; where the last run left the engine's work half done, it says so before it carries on. */
async function explained(t: ExecutionContext, running: ReturnType<typeof copy.startLab>, left: unknown[]) {
	const { exitCode, all } = await running;
	if (left.length > 0) {
		t.regex(all, new RegExp(`the last run on stack "${stack}" was interrupted while .+: carrying on from there`));
	}
	return { exitCode, all };
}

/**
 * Runs ./lab and kills somebody in it; where nobody of that kind is there at the instant, the next to come. Returns what
 * came of it, or undefined where nobody came.
 */
async function killedRun(t: ExecutionContext, verb: Verb, { victim, part }: Kill, usual: number) {
	const args = verb === "up" ? ["up"] : ["destroy", "--yes"];
	const left = pendingOperations();
	const running = copy.startLab("-s", stack, ...args);
	let going = true;
	const ended = explained(t, running, left).finally(() => {
		going = false;
	});
	const begun = Date.now();
	while (going && Date.now() - begun < part * usual * 1000) await pause(50);
	let hit = 0;
	while (going && hit === 0) {
		hit = kill(running.pid ?? 0, victim);
		await pause(50);
	}
	const { exitCode } = await ended;
	if (hit === 0) return undefined;
	const at = ((Date.now() - begun) / 1000).toFixed(1);
	const pending = pendingOperations().length;
	return `${verb}: ${victim} (${hit}) killed at ${(part * 100).toFixed(0)} %: exit ${exitCode ?? "by a signal"} after ${at} s, ${pending} pending`;
}

const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));

/** What is there of the stack on this host. */
function left(): string {
	return host(
		`find /var/lib/tracelab /opt/tracelab -path '*${stack}*' ! -path '*/runs/*' 2>/dev/null || :;
		virsh -c qemu:///system list --all --name | grep '^${stack}' || :;
		virsh -c qemu:///system pool-list --all --name | grep '${stack}' || :;
		pgrep -x '${stack}-vm' || :;
		pgrep -af '^${copy.folder}/.pulumi/' || :`,
	);
}

/**
 * What the host is, but for daemons, which were killed, for what only they can tell, and for the folder of runs, which verify takes along
 * with its own where that was the last.
 */
const filesAndBooks = () =>
	hostState().filter((fact) => !/^(name|daemon|listener|domain|pool) | \/var\/lib\/tracelab\/runs /.test(fact));

/** Each build that this stack uses has all that it had when it was made; nothing of one that was cut off is there. */
function buildsAreWhole(t: ExecutionContext): void {
	t.is(host("find /opt/tracelab -mindepth 2 -maxdepth 2 -name '*.work'"), "");
	const prefixes = host(`cd /var/lib/tracelab/builds && find . -type f -name ${stack} -printf '%h\n'`).split("\n");
	t.true(prefixes.length >= 5, prefixes.join(", "));
	for (const one of prefixes) {
		const prefix = `/opt/tracelab/${one.slice(2)}`;
		const environment = `stack=none step=proof generation= prefix=${prefix}`;
		const now = host(`cd '${copy.folder}/scripts'; ${environment} bash -c 'source lib/build.sh; build_hash ${prefix}'`);
		t.is(now, readFileSync(`${prefix}/.tracelab-build-record/result`, "utf8").trim(), prefix);
	}
}

async function works(t: ExecutionContext, ...args: string[]): Promise<number> {
	const begun = Date.now();
	const { exitCode, all } = await explained(t, copy.startLab("-s", stack, ...args), pendingOperations());
	t.is(exitCode, 0, all);
	return (Date.now() - begun) / 1000;
}

const module = `${copy.folder}/killed`;
const treeNow = () =>
	host(`cd ${module} && find . -printf '%p %m %u %T@ %s %l\n' -type f -exec sha256sum {} + | sort | sha256sum`);

function declare(round: number): void {
	const name = `killed-${seed}-${round}-${Date.now()}`;
	const builds = `qemu: { main: { configure: ["--extra-cflags=-DKILLED=${name}"] } }
kernels: { main: { config: ['CONFIG_LOCALVERSION="-${name}"'] } }
`;
	copy.write(
		`stacks/${stack}.yaml`,
		`extends: quickstart
modules:
  mymodule: { source: path:killed }
domains:
  vm: { processName: ${stack}-vm }
${longBuilds ? builds : ""}`,
	);
}

test("killed anywhere in an up or a destroy, at random: the next one finishes it", async (t) => {
	if (!existsSync(module)) host(`cp -r ${copy.folder}/examples/mymodule ${module}`);
	declare(0);
	// Both builds at once, where nothing of them is there, take some 600 s on two cores.
	const usual = longBuilds
		? { up: 600, destroy: 10 }
		: { up: await works(t, "up"), destroy: await works(t, "destroy", "--yes") };
	t.is(left(), "");
	const before = filesAndBooks();
	const draws = fc.sample(plan, { seed, numRuns: rounds * 20 * (kills.up + kills.destroy) });
	const seen: string[] = [];
	for (let round = 0; round < rounds; round++) {
		declare(round);
		for (const verb of ["up", "destroy"] as const) {
			for (let hits = 0; hits < kills[verb]; ) {
				const one = draws.shift();
				if (one === undefined) return t.fail(`too few of those that were to be killed came: ${seen.join("\n")}`);
				if (victims[one.victim]?.only === (verb === "up" ? "destroy" : "up")) continue;
				// There is something to compile in each.
				if (verb === "up") appendFileSync(`${module}/mymodule.c`, `/* ${seed}.${round}.${draws.length} */\n`);
				const tree = treeNow();
				const came = await killedRun(t, verb, one, usual[verb]);
				t.is(treeNow(), tree);
				if (came === undefined) continue;
				hits++;
				seen.push(came);
				t.log(came);
			}
			if (verb === "up") {
				await works(t, "up");
				await works(t, "preview", "--", "--expect-no-changes");
				await works(t, "verify");
				buildsAreWhole(t);
			} else {
				await works(t, "destroy", "--yes");
				t.is(left(), "");
				t.deepEqual(difference(before, filesAndBooks()), []);
			}
		}
	}
	t.is(seen.length, rounds * (kills.up + kills.destroy));
	// The daemons were killed under the lab beside it, too.
	const { code, all: said } = await lab("up");
	t.is(code, 0, said);
});
