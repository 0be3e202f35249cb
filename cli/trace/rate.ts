import { GuestAgent } from "../guest/agent.ts";
import { say, size } from "../terminal.ts";
import { bytesIn } from "./event-counts.ts";
import { guestBytes } from "./guest.ts";
import type { Recording } from "./record.ts";

/** Says early that a long run will be large: what was written so far, in whole sub-buffers, is over the budget. */
export async function warnOfRate({ session, run }: Recording): Promise<void> {
	const { rate } = run.budget;
	const written: [string, number, number][] = [["qemu", bytesIn(session.folder), rate * session.domains.length]];
	if (run.asked.guest.length > 0) {
		for (const domain of session.domains) {
			written.push([`guest ${domain.name}`, await guestBytes(new GuestAgent(domain), session.session), rate]);
		}
	}
	const seconds = Number(process.hrtime.bigint() - BigInt(run.monotonic.started)) / 1e9;
	for (const [layer, bytes, most] of written) {
		if (bytes / seconds <= most * 1e6) continue;
		const now = `${size(Math.round(bytes / seconds))}/s`;
		say(
			`lab: ${layer} writes ${now}, and the budget of ${run.profile} is ${most} MB/s: a long run is large, and may lose events`,
		);
	}
}
