import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { ExecutionContext } from "ava";
import { copy, family, host, type Process, pause, killed as stack } from "./proof.ts";

// With TRACELAB_KILL_BUILDS=1 each round has a QEMU and a kernel of its own, of which the compiler's cache has nothing: half an
// hour a round on two cores.
export const longBuilds = process.env["TRACELAB_KILL_BUILDS"] === "1";
export const seed = Number(process.env["TRACELAB_KILL_SEED"] ?? 1);

export type Verb = "up" | "destroy";

const engine = /^\S*pulumi (up|destroy) /;

const script = /^bash -s -- (apply|remove)$/;

/** Who is killed, as `ps` shows them: those below `./lab` alone, or, of a daemon, the host's. */
const victims = {
	"the engine": { args: engine },
	"a step's script": { args: script },
	"the compiler": { args: /^\S*(make|ninja|cc1|gcc|ld|as)\b/ },
	libvirtd: { daemons: ["libvirtd"] },
	"the session daemon": { daemons: ["lttng-sessiond"] },
	"all of them": { args: /./, daemons: ["libvirtd", "lttng-sessiond"] },
} satisfies Record<string, { args?: RegExp; daemons?: readonly string[] }>;

export type Victim = keyof typeof victims;

/** Those that an up, or a destroy, can have. */
export function victimsOf(verb: Verb): Victim[] {
	return (Object.keys(victims) as Victim[]).filter((victim) => {
		if (verb === "destroy") return victim !== "the compiler";
		// An up whose daemons alone are killed goes on, and the builds end.
		return !longBuilds || "args" in victims[victim];
	});
}

/** Those of that name; one that has ended may wait for a parent that never looks. */
const processesOf = (name: string): Process[] =>
	host(`pgrep -x -r R,S,D ${name} || :`)
		.split("\n")
		.filter((pid) => pid !== "")
		.map((pid) => ({ pid: Number(pid), args: name }));

/** Kills those of a kind that are there at this instant, of several steps this one, and returns how many these were. */
function kill(root: number, victim: Victim, step?: Process): number {
	const { args, daemons = [] }: { args?: RegExp; daemons?: readonly string[] } = victims[victim];
	const there = family(root);
	// Before the engine begins, what it left the last time is looked at, and said.
	if (!there.some((process) => engine.test(process.args))) return 0;
	const found = args === undefined ? [] : there.filter((process) => args.test(process.args));
	// Of several steps, one; but of the long builds all, or the engine would wait until the others have ended.
	const first = found.find(({ pid }) => pid === step?.pid) ?? found[0];
	const one = victim === "a step's script" && !longBuilds && first !== undefined ? [first] : found;
	const pids = [...one, ...daemons.flatMap(processesOf)].map(({ pid }) => pid);
	if (pids.length > 0) host(`kill -9 ${pids.join(" ")} 2>/dev/null || :`);
	return pids.length;
}

interface PendingOperation {
	type: string;
	resource: { urn: string };
}

/** What the engine was at when it was killed. */
function pendingOperations(): PendingOperation[] {
	const file = `${copy.folder}/.state/.pulumi/stacks/tracelab/${stack}.json`;
	if (!existsSync(file)) return [];
	const { checkpoint } = JSON.parse(readFileSync(file, "utf8")) as {
		checkpoint?: { latest?: { pending_operations?: PendingOperation[] } | null };
	};
	return checkpoint?.latest?.pending_operations ?? [];
}

/** Runs ./lab; where the last run left the engine's work half done, it says with what before it carries on. */
async function explained(t: ExecutionContext, running: ReturnType<typeof copy.startLab>, left: PendingOperation[]) {
	const { exitCode, all } = await running;
	if (left.length > 0) {
		const doing = left.map(({ type, resource }) => `${type} ${resource.urn.split("::").at(-1)}`).join(", ");
		const said = `lab: the last run on stack "${stack}" was interrupted while ${doing}: carrying on from there`;
		t.true(all.split("\n").includes(said), all);
	}
	return { exitCode, all };
}

/**
 * Has the instant of a kill come? Asked again and again, with the process of ./lab, and the seconds since it was started; answered with
 * what is at work then, where that counts.
 */
export type Instant = (root: number, seconds: number) => boolean | Process;

/** What of a run is at work. */
const moments = {
	"dpkg is at work": (root: number) => family(root).find(({ args }) => /^\S*dpkg .*--status-fd /.test(args)),
	"a step has the daemons' lock": (root: number) =>
		family(root).find(({ pid, args }) => script.test(args) && holds(pid, "services")),
	"a step is undone": (root: number) => family(root).find(({ args }) => args === "bash -s -- remove"),
	"the domain boots": () => processesOf(`${stack}-vm`)[0],
};

export type Moment = keyof typeof moments;

const holds = (pid: number, lock: string): boolean =>
	host(`find /proc/${pid}/fd -lname /run/tracelab/locks/${lock} 2>/dev/null || :`) !== "";

/** So many seconds after a moment was first seen, and only while it is there. */
export function during(moment: Moment, delay: number): Instant {
	let since: number | undefined;
	return (root, seconds) => {
		const there = moments[moment](root);
		if (there === undefined) return false;
		since ??= seconds;
		return seconds - since >= delay && there;
	};
}

/**
 * Runs ./lab and kills somebody in it at an instant; where nobody of that kind is there, the next to come. Returns what came of it,
 * or undefined where nobody came.
 */
async function killedRun(
	t: ExecutionContext,
	verb: Verb,
	victim: Victim,
	hasCome: Instant,
): Promise<string | undefined> {
	const args = verb === "up" ? ["up"] : ["destroy", "--yes"];
	const tree = treeNow();
	const left = pendingOperations();
	const running = copy.startLab("-s", stack, ...args);
	const root = running.pid ?? 0;
	let going = true;
	const ended = explained(t, running, left).finally(() => {
		going = false;
	});
	const begun = Date.now();
	const seconds = () => (Date.now() - begun) / 1000;
	let come: boolean | Process = false;
	while (going && come === false) {
		come = hasCome(root, seconds());
		if (come === false) await pause(50);
	}
	let hit = 0;
	let at = 0;
	while (going && hit === 0) {
		at = seconds();
		hit = kill(root, victim, typeof come === "object" ? come : undefined);
		await pause(50);
	}
	const { exitCode } = await ended;
	t.is(treeNow(), tree);
	if (hit === 0) return undefined;
	const how = `exit ${exitCode ?? "by a signal"} after ${seconds().toFixed(1)} s, ${pendingOperations().length} pending`;
	return `${verb}: ${victim} (${hit}) killed at ${at.toFixed(1)} s: ${how}`;
}

/**
 * Kills somebody in an up or a destroy, for certain: where nobody of that kind came, it is done again at the next of the
 * instants, once `again` has seen to it that there is something to do.
 */
export async function killIn(
	t: ExecutionContext,
	verb: Verb,
	victim: Victim,
	instants: readonly Instant[],
	again: () => unknown,
): Promise<void> {
	for (const [index, instant] of instants.entries()) {
		if (index > 0) await again();
		const came = await killedRun(t, verb, victim, instant);
		if (came === undefined) continue;
		t.log(came);
		return;
	}
	throw new Error(`${victim} did not come in ${instants.length} runs of ${verb}`);
}

/** Stops a process where it is; false for one that has ended just then. */
function held(pid: number): boolean {
	const status = `/proc/${pid}/status`;
	return (
		host(
			`kill -STOP ${pid} 2>/dev/null; while grep -qs '^State:.[RSD]' ${status}; do sleep 0.01; done
			grep -os '^State:.T' ${status} | cut -c 8 || :`,
		) === "T"
	);
}

/** Runs an up and kills its engine while a step is applied, which is held meanwhile; then that step goes on, as one whose engine is gone. */
export async function killedInStep(t: ExecutionContext): Promise<void> {
	const left = pendingOperations();
	const running = copy.startLab("-s", stack, "up");
	let going = true;
	const ended = explained(t, running, left).finally(() => {
		going = false;
	});
	for (let hit = false; going && !hit; await pause(20)) {
		const there = family(running.pid ?? 0);
		const step = there.find(({ args }) => args === "bash -s -- apply");
		if (step === undefined || !held(step.pid)) continue;
		hit = kill(running.pid ?? 0, "the engine") > 0;
		host(`kill -CONT ${step.pid}`);
	}
	await ended;
	const pending = pendingOperations();
	t.true(pending.length > 0, "the engine was killed in a step, and nothing is pending");
	t.log(`up: the engine killed in a step: ${pending.length} pending`);
}

/** Runs a destroy and kills its engine when libvirt has removed the domain, and before the engine can note that. */
export async function killedInDeletion(t: ExecutionContext): Promise<void> {
	const definition = `/etc/libvirt/qemu/${stack}-vm.xml`;
	const left = pendingOperations();
	const running = copy.startLab("-s", stack, "destroy", "--yes");
	let going = true;
	const ended = explained(t, running, left).finally(() => {
		going = false;
	});
	const engines = () => family(running.pid ?? 0).filter(({ args }) => engine.test(args));
	const signal = (name: string) =>
		host(
			`kill -${name} ${engines()
				.map(({ pid }) => pid)
				.join(" ")} 2>/dev/null || :`,
		);
	t.true(existsSync(definition));
	while (going && existsSync(definition)) {
		if (pendingOperations().some(({ type, resource }) => type === "deleting" && resource.urn.endsWith("-domain"))) {
			// Its plugin goes on; where that was not asked yet, it is once the engine goes on.
			signal("STOP");
			for (let tenths = 0; tenths < 20 && existsSync(definition); tenths++) await pause(100);
			if (existsSync(definition)) signal("CONT");
		}
		await pause(5);
	}
	signal("KILL");
	await ended;
	const pending = pendingOperations().map(({ type, resource }) => `${type} ${resource.urn.split("::").at(-1)}`);
	t.log(`destroy: the engine killed as the domain goes: ${pending.join(", ") || "nothing"} pending`);
	t.deepEqual(pending, ["deleting domain-vm-domain"]);
}

/** What is there of the stack on this host. */
export function left(): string {
	return host(
		`find /var/lib/tracelab /opt/tracelab -path '*${stack}*' ! -path '*/runs/*' 2>/dev/null || :;
		virsh -c qemu:///system list --all --name | grep '^${stack}' || :;
		virsh -c qemu:///system pool-list --all --name | grep '${stack}' || :;
		pgrep -x -r R,S,D '${stack}-vm' || :;
		pgrep -af '^(node )?${copy.folder}/(.pulumi|node_modules/@pulumi/pulumi/cmd/run)/' || :`,
	);
}

/** Runs a command of ./lab, which has to succeed; returns how many seconds it took. */
export async function works(t: ExecutionContext, ...args: string[]): Promise<number> {
	const begun = Date.now();
	const { exitCode, all } = await explained(t, copy.startLab("-s", stack, ...args), pendingOperations());
	t.is(exitCode, 0, all);
	return (Date.now() - begun) / 1000;
}

/** The stack's module, a working tree. */
const module = `${copy.folder}/killed`;
const treeNow = () =>
	host(`cd ${module} && find . -printf '%p %m %u %T@ %s %l\n' -type f -exec sha256sum {} + | sort | sha256sum`);

/** Edits the module, so that there is something to compile. */
export const edit = (what: string) => appendFileSync(`${module}/mymodule.c`, `/* ${what} */\n`);

/** Writes the stack file: quickstart with that module, and with these builds. */
export function declare(builds = ""): void {
	if (!existsSync(module)) host(`cp -r ${copy.folder}/examples/mymodule ${module}`);
	copy.write(
		`stacks/${stack}.yaml`,
		`extends: quickstart
modules:
  mymodule: { source: path:killed }
domains:
  vm: { processName: ${stack}-vm }
${builds}`,
	);
}
