import { appendFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { beaconEvent } from "../../spec/beacon-match.ts";
import type { Domain } from "../card.ts";
import { exchangeClocks, exchangeLines } from "../clock/system-clock.ts";
import { LabError } from "../errors.ts";
import { GuestAgent } from "../guest/agent.ts";
import { say } from "../terminal.ts";
import { tracepointsOf } from "./causes.ts";

/** Exchanges at either end of a run, where the clocks' lines would be known least, and in each look between. */
const [atEnds, between] = [10, 3] as const;

/** Milliseconds between two looks: each costs the guest some commands. */
const pitch = 10_000;

/** Has a process the tracepoint that times the beacons? */
export async function seesBeacons(pid: number): Promise<boolean> {
	return (await tracepointsOf(pid))?.includes(beaconEvent) === true;
}

/** Is the clock of a run's guest compared over its agent? */
export const overAgent = (folder: string, domain: string): boolean => existsSync(fileOf(folder, domain));

const fileOf = (folder: string, domain: string) => join(folder, "clock", `${domain}.agent`);

/** Compares a guest's clock with the host's at an end of a run; a failure is said, and is none of the run. */
export const exchange = (folder: string, domain: Domain): Promise<void> =>
	keep(folder, domain, atEnds).catch((error: unknown) => {
		if (!(error instanceof LabError)) throw error;
		say(`lab: the clock of ${domain.name} is not compared: ${error.message}`);
	});

/** Goes on comparing until `work` is done, for guests whose clock is compared over the agent. */
export async function exchangeWhile<T>(folder: string, domains: readonly Domain[], work: () => Promise<T>): Promise<T> {
	const asked = domains.filter(({ name }) => overAgent(folder, name));
	let looking: Promise<unknown> | undefined;
	const look = async () => {
		// A guest that is stopped just then is asked the next time.
		for (const domain of asked) await keep(folder, domain, between).catch(() => {});
		looking = undefined;
	};
	const timer = setInterval(() => {
		looking ??= look();
	}, pitch);
	try {
		return await work();
	} finally {
		clearInterval(timer);
		await looking;
	}
}

async function keep(folder: string, domain: Domain, count: number): Promise<void> {
	const pairs = await exchangeClocks(new GuestAgent(domain), count);
	mkdirSync(join(folder, "clock"), { recursive: true });
	appendFileSync(fileOf(folder, domain.name), exchangeLines(pairs));
}
