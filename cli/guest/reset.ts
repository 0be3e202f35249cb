import { setTimeout as pause } from "node:timers/promises";
import { quote } from "../../spec/quote.ts";
import { type Domain, stackOption } from "../card.ts";
import { LabError, orFault } from "../errors.ts";
import { askQemu, PausedError } from "../libvirt.ts";
import { say } from "../terminal.ts";
import { GuestAgent } from "./agent.ts";

/** Seconds that a guest that was reset has to boot. */
const bootLimit = 480;

/**
 * Resets a guest, as the button on a machine does, and waits until its agent answers: its QEMU stays the same process.
 * Returns how many seconds that took.
 *
 * @param goOn throws where nobody waits for it any more
 */
export async function reset(domain: Domain, goOn: () => void = () => {}): Promise<number> {
	const { name, stack } = domain;
	const agent = new GuestAgent(domain);
	const synced = await orFault(() => agent.shell("sync"));
	if (synced instanceof PausedError) throw synced;
	if (synced instanceof LabError) say(`lab: ${name} is reset without a sync of its disks: ${synced.message}`);
	const begun = Date.now();
	const { code, stderr } = await askQemu(domain, "reset");
	if (code !== 0) throw new LabError(`libvirt does not reset ${quote(name)}: ${stderr}`);
	do {
		await pause(200);
		goOn();
		if (Date.now() - begun > bootLimit * 1000) {
			const todo = `see its console: ./lab${stackOption(stack)} console --log ${name}`;
			throw new LabError(`guest ${quote(name)} did not boot within ${bootLimit} s of its reset`, todo);
		}
	} while (!(await agent.answers(5)));
	return (Date.now() - begun) / 1000;
}
