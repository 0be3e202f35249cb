import { readFileSync } from "node:fs";
import type { ClockPair } from "../../spec/clock-fit.ts";
import { LabError } from "../errors.ts";
import { type GuestAgent, GuestRefusal } from "../guest/agent.ts";
import { onHost } from "../host.ts";

/** What a system says of its clocks. */
export interface SystemClock {
	clocksource: string;
	/** Differs from one boot to the next; a trace has it as the UUID of its clock. */
	bootId: string;
	/** CLOCK_REALTIME less CLOCK_MONOTONIC, in nanoseconds, and how well that is known. */
	offset: bigint;
	offsetBound: number;
}

const clocksourceFile = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
const bootIdFile = "/proc/sys/kernel/random/boot_id";

export function hostClock(): SystemClock {
	const text = (file: string) => readFileSync(onHost(file), "utf8").trim();
	return { clocksource: text(clocksourceFile), bootId: text(bootIdFile), ...wallClockOffset() };
}

/**
 * Date.now() counts milliseconds, yet where it goes on to the next one is known to as little as two readings of the
 * other clock are apart.
 */
function wallClockOffset(): { offset: bigint; offsetBound: number } {
	let best = { low: 0n, high: 1n << 62n };
	for (let tries = 0; tries < 5; tries++) {
		const begun = Date.now();
		for (let before = process.hrtime.bigint(); ; ) {
			const now = Date.now();
			const after = process.hrtime.bigint();
			if (now !== begun) {
				const wall = BigInt(now) * 1_000_000n;
				// Not the next one: whoever waits for the processor misses some.
				if (now === begun + 1 && after - before < best.high - best.low)
					best = { low: wall - after, high: wall - before };
				break;
			}
			before = after;
		}
	}
	return { offset: (best.low + best.high) / 2n, offsetBound: Math.ceil(Number(best.high - best.low) / 2) };
}

/**
 * Has the kernel's own number of the offset, exact to the nanosecond; root reads it, and the agent is root. The wall clock has
 * the index 1: Linux 6.18 does not name the clocks' functions any more.
 */
const timerList = "/proc/timer_list";

export async function guestSystemClock(agent: GuestAgent): Promise<SystemClock> {
	const said = await agent.shell(
		`cat "$1" "$2" && awk '$1 == ".index:" {wall = $2 == 1} wall && $1 == ".offset:" {print $2; exit}' "$3"`,
		clocksourceFile,
		bootIdFile,
		timerList,
	);
	const [clocksource = "", bootId = "", offset = ""] = said.split("\n");
	if (!/^\d+$/.test(offset)) {
		throw new GuestRefusal(
			`the guest's ${timerList} does not say how its wall clock stands to CLOCK_MONOTONIC`,
			"see that its kernel has CONFIG_HIGH_RES_TIMERS",
		);
	}
	return { clocksource, bootId, offset: BigInt(offset), offsetBound: 0 };
}

/**
 * Exchanges over the agent's channel: the host's clock, the guest's, the host's again. What lies between the host's two
 * is virsh, libvirtd and the agent, some tens of milliseconds.
 */
export async function exchangeClocks(agent: GuestAgent, count: number): Promise<ClockPair[]> {
	const { offset } = await guestSystemClock(agent);
	const pairs: ClockPair[] = [];
	for (let done = 0; done < count; done++) {
		const before = process.hrtime.bigint();
		const wall = await agent.time();
		const after = process.hrtime.bigint();
		// The agent has microseconds, and JSON's numbers round what is as large as a wall clock's nanoseconds.
		pairs.push({ guest: [wall - offset - 1000n, wall - offset + 2000n], host: [before, after] });
	}
	if ((await guestSystemClock(agent)).offset === offset) return pairs;
	throw new LabError("the guest's wall clock was set while it was read", "run it again");
}

/** Exchanges as a run's folder keeps them in clock/DOMAIN.agent: T0 T1 H0 H1, a line each. */
export function exchangeLines(pairs: readonly ClockPair[]): string {
	return pairs.map(({ guest, host }) => `${[...guest, ...host].join(" ")}\n`).join("");
}

export function readExchanges(text: string): ClockPair[] {
	return [...text.matchAll(/^(\d+) (\d+) (\d+) (\d+)\n/gm)].map(([, ...readings]) => {
		const [t0 = 0n, t1 = 0n, h0 = 0n, h1 = 0n] = readings.map(BigInt);
		return { guest: [t0, t1], host: [h0, h1] };
	});
}
