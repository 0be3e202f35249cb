import { appendFileSync, existsSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { copy, host, lab, killed as stack } from "./proof.ts";

// Whatever dies, whenever: one more up, or destroy, finishes the job.
//     TRACELAB_KILL_ROUNDS=20 TRACELAB_KILL_SEED=7 scripts/test host
// With TRACELAB_KILL_BUILDS=1 it has a QEMU and a kernel of its own, which each round builds anew: a quarter of an hour a round.
const rounds = Number(process.env["TRACELAB_KILL_ROUNDS"] ?? 2);
const seed = Number(process.env["TRACELAB_KILL_SEED"] ?? 1);
const longBuilds = process.env["TRACELAB_KILL_BUILDS"] === "1";

/** In each round. */
const kills = { up: 3, destroy: 2 };

/** Who is killed, as `ps` shows them: those below `./lab` alone, or, of a daemon, the host's. */
const victims: Readonly<Record<string, { args?: RegExp; daemons?: readonly string[] }>> = {
	"the engine": { args: /^\S*pulumi (up|destroy) / },
	"a step's script": { args: /^bash -s -- (apply|remove)$/ },
	"the compiler": { args: /^\S*(make|cc1|gcc|ld|as)\b/ },
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

/** Processes below another one, with their command lines. */
function below(root: number): { pid: number; args: string }[] {
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
	return all.filter(({ pid }) => found.has(pid) && pid !== root);
}

function kill(root: number, victim: string): string[] {
	const { args, daemons = [] } = victims[victim] ?? {};
	const found = args === undefined ? [] : below(root).filter((process) => args.test(process.args));
	// Of several steps, one.
	const hit = victim === "a step's script" ? found.slice(0, 1) : found;
	for (const { pid } of hit) host(`kill -9 ${pid} 2>/dev/null || :`);
	const ended = daemons.filter((name) => host(`pkill -9 -x ${name} && echo || :`) !== "" || victim === name);
	return [...hit.map(({ args }) => args.slice(0, 60)), ...ended];
}

/** Runs ./lab and kills somebody in it; where nobody of that kind is there at the instant, the next to come. */
async function killedRun(t: ExecutionContext, verb: "up" | "destroy", { victim, part }: Kill, usual: number) {
	const args = verb === "up" ? ["up"] : ["destroy", "--yes"];
	const running = copy.startLab("-s", stack, ...args);
	let going = true;
	const ended = running.then((result) => {
		going = false;
		return result;
	});
	const begun = Date.now();
	await pause(part * usual * 1000);
	let hit: string[] = [];
	while (going && hit.length === 0) {
		hit = kill(running.pid ?? 0, victim);
		await pause(50);
	}
	const { exitCode } = await ended;
	const at = ((Date.now() - begun) / 1000).toFixed(1);
	t.log(`${verb}: ${victim} killed at ${(part * 100).toFixed(0)} %: exit ${exitCode ?? "by a signal"} after ${at} s`);
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

async function works(t: ExecutionContext, ...args: string[]): Promise<number> {
	const begun = Date.now();
	const { code, all } = await copy.lab("-s", stack, ...args);
	t.is(code, 0, all);
	return (Date.now() - begun) / 1000;
}

test("killed anywhere in an up or a destroy, at random: the next one finishes it", async (t) => {
	copy.write(
		`stacks/${stack}.yaml`,
		`extends: quickstart
modules:
  mymodule: { source: path:killed }
domains:
  vm: { processName: ${stack}-vm }
${longBuilds ? 'qemu: { main: { configure: [--disable-slirp] } }\nkernels: { main: { config: [CONFIG_LOCALVERSION="-killed"] } }\n' : ""}`,
	);
	if (!existsSync(`${copy.folder}/killed`)) host(`cp -r ${copy.folder}/examples/mymodule ${copy.folder}/killed`);
	const usual = { up: await works(t, "up"), destroy: await works(t, "destroy", "--yes") };
	t.is(left(), "");
	const all = fc.sample(plan, { seed, numRuns: rounds * (kills.up + kills.destroy) });
	for (let round = 0; round < rounds; round++) {
		// There is something to compile in each.
		appendFileSync(`${copy.folder}/killed/mymodule.c`, `/* ${seed}.${round} */\n`);
		if (longBuilds) host("rm -rf /var/cache/tracelab/builds/qemu /var/cache/tracelab/builds/kernel");
		for (const verb of ["up", "destroy"] as const) {
			for (const one of all.splice(0, kills[verb])) await killedRun(t, verb, one, usual[verb]);
			if (verb === "up") {
				await works(t, "up");
				await works(t, "preview", "--", "--expect-no-changes");
				await works(t, "verify");
			} else {
				await works(t, "destroy", "--yes");
				t.is(left(), "");
			}
		}
	}
	// The daemons were killed under the lab beside it, too.
	const { code, all: said } = await lab("up");
	t.is(code, 0, said);
});
