import { quote } from "../../spec/quote.ts";
import { checkStack, labsHere, readCard, stackOption } from "../card.ts";
import { confirm } from "../confirm.ts";
import { LabError } from "../errors.ts";
import { asRoot, giveBack } from "../privilege.ts";
import { print, say } from "../terminal.ts";
import { changeLines } from "./change-lines.ts";
import { readOutlook } from "./changes.ts";
import { pulumi, pulumiHere, readState, stateFolder } from "./engine.ts";
import { withEventLog } from "./engine-events.ts";
import { breakStaleLock, clearPending, releaseUnknown, removeUnknownDomains, undoUnknown } from "./interruption.ts";
import { startLibvirtd } from "./libvirt-objects.ts";
import { nextCommands } from "./next-commands.ts";
import { checkOwner, takeOver } from "./ownership.ts";
import { endRuns } from "./sessions.ts";
import { readStepTimes, setUpSeconds, stepTimesText } from "./step-times.ts";

/** Brings the lab up; `args` go to pulumi as they are. Returns the exit status. */
export async function up(stack: string, args: readonly string[]): Promise<number> {
	checkStack(stack);
	const there = await asRoot();
	if (there !== undefined) return there;
	const begun = performance.now();
	try {
		checkOwner(stack);
		await select(stack);
		await breakStaleLock(stack);
		await clearPending(stack);
		await releaseUnknown(stack);
		await takeOver(stack);
		await removeUnknownDomains(stack);
		const code = await withEventLog(async ({ file, options, env }) => {
			const own = ["--yes", "--skip-preview", "--stack", stack, "--suppress-outputs", ...options];
			const code = await pulumiHere(["up", ...own, ...args], env);
			say(stepTimesText(await readStepTimes(file), (performance.now() - begun) / 1000, setUpSeconds()));
			return code;
		});
		if (code === 0) print(nextCommands(readCard(stack)));
		return code;
	} finally {
		giveBack();
	}
}

/** Shows what `up` would change: pulumi's preview, then what that takes. Much of it only root can see. */
export async function preview(stack: string, args: readonly string[]): Promise<number> {
	checkStack(stack);
	const there = await asRoot();
	if (there !== undefined) return there;
	try {
		await select(stack);
		return await withEventLog(async ({ file, options, env }) => {
			const code = await pulumiHere(["preview", "--stack", stack, ...options, ...args], env);
			const { changes, errors } = await readOutlook(file);
			if (errors.length === 0) for (const line of changeLines(stack, changes)) say(line);
			return code;
		});
	} finally {
		giveBack();
	}
}

export async function destroy(stack: string, args: readonly string[], sure: boolean): Promise<number> {
	if (readState(stack) === undefined && stateFolder() !== undefined) {
		checkStack(stack);
		if (labsHere().includes(stack))
			throw new LabError(
				`the lab of stack ${quote(stack)} is up, and this project has no state of it`,
				`destroy it from the project that brought it up; where that is gone, ./lab${stackOption(stack)} up takes it over, then destroy`,
			);
		say(`lab: stack ${quote(stack)} was never brought up: nothing to destroy`);
		return 0;
	}
	if (!sure) {
		const question = `destroy the lab of stack ${quote(stack)}, with the disks of its domains?`;
		await confirm("destroy", question, `./lab${stackOption(stack)} destroy -y`);
	}
	const there = await asRoot();
	if (there !== undefined) return there;
	try {
		checkOwner(stack);
		await breakStaleLock(stack);
		// Pulumi finds libvirt's objects only through it.
		if (readState(stack)?.resources?.some(({ type }) => type.startsWith("libvirt:"))) await startLibvirtd(stack);
		await clearPending(stack);
		await endRuns(stack);
		await undoUnknown(stack);
		await removeUnknownDomains(stack);
		await releaseUnknown(stack);
		return await pulumiHere(["destroy", "--yes", "--skip-preview", "--stack", stack, ...args]);
	} finally {
		giveBack();
	}
}

/** Makes the stack known to pulumi, where it is not: half a second that a second up need not spend. */
async function select(stack: string): Promise<void> {
	if (readState(stack) !== undefined) return;
	const { code, stderr } = await pulumi(["stack", "select", "--create", stack]);
	if (code !== 0)
		throw new LabError(`pulumi cannot make the stack ${quote(stack)}:\n${stderr.trim()}`, "see ./lab doctor");
}
