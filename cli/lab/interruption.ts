import { globSync, readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { quote } from "../../spec/quote.ts";
import { stackOption } from "../card.ts";
import { LabError, orFault } from "../errors.ts";
import { onHost, project } from "../host.ts";
import { runScript } from "../script.ts";
import { say } from "../terminal.ts";
import {
	type Deployment,
	type PendingOperation,
	pulumi,
	readLocks,
	readState,
	resourceName,
	type StateResource,
} from "./engine.ts";
import {
	domainType,
	isGone,
	poolType,
	removeDomain,
	removePool,
	removeVolume,
	startLibvirtd,
	volumeType,
} from "./libvirt-objects.ts";
import { endOrphans } from "./orphans.ts";
import { type BegunStep, begunSteps, undo } from "./ownership.ts";

/** Removes the lock that a killed pulumi left, and ends its plugins; one whose holder lives is an error. */
export async function breakStaleLock(stack: string): Promise<void> {
	const locks = readLocks(stack);
	if (locks.length === 0) return;
	const holder = lockHolder(stack);
	if (holder !== undefined) {
		throw new LabError(`pulumi is at work on stack ${quote(stack)} already: ${holder}`, "wait until it has ended");
	}
	say(
		`lab: process ${locks.map(({ pid }) => pid).join(", ")}, which held the lock of stack ${quote(stack)}, is gone: removing its lock`,
	);
	endOrphans();
	await must(["cancel", "--yes", "--stack", stack]);
}

/** Whose pulumi is at work on a stack, if any is. */
export function lockHolder(stack: string): string | undefined {
	const holder = readLocks(stack).find((lock) => lock.hostname !== hostname() || isPulumi(lock.pid));
	if (holder === undefined) return undefined;
	const { pid, username, hostname: machine, timestamp } = holder;
	return `process ${pid} of ${username} on ${machine}, since ${timestamp.slice(0, 19)}Z`;
}

/** One that was killed is a zombie until somebody asks how it ended, which the first process of a container may do late. */
function isPulumi(pid: number): boolean {
	try {
		const [, name, state] = /^\d+ \((.*)\) (\S)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
		return name === "pulumi" && state !== "Z" && state !== "X";
	} catch {
		return false;
	}
}

/**
 * Clears what the engine was doing when it was killed. It only warns of that, for ever, since it cannot know how far
 * it came. The lab can: a step is applied again from anywhere, or undone by undoUnknown; a libvirt object that is in
 * no state is an orphan of that very moment, which would stand in the way of its next creation; and one that libvirt
 * had removed already is in the state still, and could neither be removed again nor used.
 */
export async function clearPending(stack: string): Promise<void> {
	const state = readState(stack);
	const pending = state?.pending_operations ?? [];
	const doubtful = (state?.resources ?? []).filter((resource) => isDoubtful(stack, resource));
	if (pending.length === 0 && doubtful.length === 0) return;
	if (pending.length > 0)
		say(
			`lab: the last run on stack ${quote(stack)} was interrupted while ${pending.map(doing).join(", ")}: carrying on from there`,
		);
	const ofLibvirt = pending.filter(({ resource }) => resource.type.startsWith("libvirt:")).reverse();
	// Where it cannot start, the steps of an up mend that.
	if (ofLibvirt.length + doubtful.length > 0) await orFault(() => startLibvirtd(stack));
	const exported = JSON.parse(await must(["stack", "export", "--stack", stack])) as { deployment: Deployment };
	const { deployment } = exported;
	for (const { resource, type } of ofLibvirt)
		if (type === "creating") await removeOrphan(resource, deployment.resources ?? []);
	const deleting = ofLibvirt.flatMap(({ resource, type }) => (type === "deleting" ? [resource] : []));
	for (const resource of [...deleting, ...doubtful]) {
		// Of a pool the provider removes the folder first, which it cannot do again.
		if (resource.type === poolType) await removePool(String(resource.inputs?.["name"] ?? ""));
		if (await isGone(resource)) deployment.resources = withoutGone(deployment.resources ?? [], resource);
	}
	delete deployment.pending_operations;
	await must(["stack", "import", "--stack", stack], JSON.stringify(exported));
}

/**
 * May libvirt have removed a domain of the state? Its guest's step, which would define it again, goes first; and where libvirt's answer
 * was lost, the engine takes its deletion for one that failed.
 */
function isDoubtful(stack: string, { type, inputs, pendingReplacement }: StateResource): boolean {
	if (type !== domainType || pendingReplacement) return false;
	const domain = String(inputs?.["name"] ?? "").slice(`${stack}-`.length);
	return !begunSteps(stack).some(({ name }) => name === `domain-${domain}-guest`);
}

/**
 * A state in which a resource is deleted, as the engine would have noted it: one that others refer to is about to be replaced, and they
 * as well, so it stays, as one whose replacement is still to come.
 */
function withoutGone(resources: readonly StateResource[], gone: StateResource): StateResource[] {
	const isIt = (one: StateResource) => one.urn === gone.urn && one.id === gone.id;
	const others = resources.filter((one) => !isIt(one));
	const stays = others.some((other) => other.urn !== gone.urn && JSON.stringify(other).includes(`"${gone.urn}"`));
	if (!stays || others.some(({ urn }) => urn === gone.urn)) return others;
	return resources.map((one) => (isIt(one) ? { ...one, pendingReplacement: true } : one));
}

function doing({ resource, type }: PendingOperation): string {
	return `${type} ${resourceName(resource.urn)}`;
}

async function removeOrphan({ type, inputs }: StateResource, known: readonly StateResource[]): Promise<void> {
	const name = String(inputs?.["name"] ?? "");
	const isKnown = (other: StateResource) =>
		other.type === type && other.inputs?.["name"] === name && !other.pendingReplacement;
	if (name === "" || known.some(isKnown)) return;
	if (type === domainType) await removeDomain(name);
	else if (type === volumeType) await removeVolume(name, String(inputs?.["pool"] ?? ""));
	else if (type === poolType) await removePool(name);
}

/**
 * Undoes the steps that the engine does not know of: it has none in its state whose first apply failed or was killed. What
 * undoes them they left on the host themselves (scripts/lib/step.sh). Those of a stack of that name in another project
 * are none of ours.
 */
export async function undoUnknown(stack: string): Promise<void> {
	const known = new Set((readState(stack)?.resources ?? []).map(({ urn }) => resourceName(urn)));
	const unknown = begunSteps(stack).filter((step) => !known.has(step.name) && step.project === project);
	const begun = ({ file }: BegunStep) => statSync(file).mtimeMs;
	for (const step of unknown.sort((one, two) => begun(two) - begun(one))) {
		const { name } = step;
		say(`lab: ${name} was begun, and is in no state of pulumi's: undoing it`);
		const { code, stderr } = await undo(step);
		if (code === 0) continue;
		throw new LabError(`${name} cannot be undone:\n${stderr}`, `mend that, then: ./lab${stackOption(stack)} destroy`);
	}
}

/**
 * Removes domains of this lab that are in no state of Pulumi's: libvirt starts one as it is created, and where that failed, as for
 * want of memory, it is defined for good, and in the way of the next try.
 */
export async function removeUnknownDomains(stack: string): Promise<void> {
	const libvirts = (readState(stack)?.resources ?? []).filter(
		({ type, pendingReplacement }) => type === domainType && !pendingReplacement,
	);
	const known = new Set(libvirts.map(({ inputs }) => String(inputs?.["name"] ?? "")));
	const steps = begunSteps(stack).filter((step) => step.project === project);
	// Before that step there is no domain, and it notes what libvirtd was before the lab.
	if (!steps.some(({ name }) => name === "libvirt-daemon")) return;
	// A domain needs its share first.
	const domains = steps
		.flatMap(({ name }) => /^domain-(.+)-share$/.exec(name)?.slice(1) ?? [])
		.filter((domain) => !known.has(`${stack}-${domain}`));
	if (domains.length > 0) await orFault(() => startLibvirtd(stack));
	for (const domain of domains) {
		if (await removeDomain(`${stack}-${domain}`))
			say(`lab: domain ${domain} was defined, and is in no state of pulumi's: undefining it`);
	}
}

/**
 * Gives up the stack's hold of builds that are in no state of Pulumi's: their steps had ended when the engine was killed, before it
 * could note that. Where the state is lost altogether, takeOver has its say.
 */
export async function releaseUnknown(stack: string): Promise<void> {
	const state = readState(stack);
	if (!state?.resources?.length) return;
	const known = JSON.stringify(state);
	for (const hold of globSync(onHost(`/var/lib/tracelab/builds/*/*/${stack}`))) {
		const prefix = `/opt/tracelab/${hold.split("/").slice(-3, -1).join("/")}`;
		if (known.includes(prefix)) continue;
		say(`lab: ${prefix} was built, and is in no state of pulumi's: letting it go`);
		await runScript("build-release", { stack, step: "release", prefix });
	}
}

async function must(args: readonly string[], input = ""): Promise<string> {
	const { code, stdout, stderr } = await pulumi(args, input);
	if (code === 0) return stdout;
	throw new LabError(`pulumi ${args.join(" ")} failed:\n${stderr.trim()}`);
}
