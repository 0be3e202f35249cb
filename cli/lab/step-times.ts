import { duration, paint, table } from "../terminal.ts";
import { resourceName } from "./engine.ts";
import { engineEvents } from "./engine-events.ts";

/** How long the engine worked on one resource. */
export interface StepTime {
	name: string;
	/** created, updated, deleted, or what of that failed */
	what: string;
	/** Whole seconds: the engine's log has no finer clock. */
	seconds: number;
}

/** As many as fit on a glance. */
const shown = 10;

const words: Readonly<Record<string, { done: string; failed: string }>> = {
	create: { done: "created", failed: "failed: not created" },
	update: { done: "updated", failed: "failed: not updated" },
	delete: { done: "deleted", failed: "failed: not deleted" },
	"create-replacement": { done: "created anew", failed: "failed: not created anew" },
	"delete-replaced": { done: "old one deleted", failed: "failed: old one not deleted" },
};

/** The times in the engine's event log, longest first; none where there is no log. */
export async function readStepTimes(eventLog: string): Promise<StepTime[]> {
	const begun = new Map<string, number>();
	const times: StepTime[] = [];
	for await (const event of engineEvents(eventLog)) {
		const start = event.resourcePreEvent?.metadata;
		const end = (event.resOutputsEvent ?? event.resOpFailedEvent)?.metadata;
		if (start !== undefined) begun.set(`${start.op} ${start.urn}`, event.timestamp);
		const from = end === undefined ? undefined : begun.get(`${end.op} ${end.urn}`);
		const word = end === undefined ? undefined : words[end.op];
		if (end === undefined || from === undefined || word === undefined) continue;
		const what = event.resOpFailedEvent === undefined ? word.done : word.failed;
		times.push({ name: resourceName(end.urn), what, seconds: event.timestamp - from });
	}
	return times.sort((a, b) => b.seconds - a.seconds || (a.name < b.name ? -1 : 1));
}

/** What ./lab's own set-up took, before this program began: whole seconds. */
export const setUpSeconds = (): number => Number(process.env["TRACELAB_SETUP_SECONDS"] ?? 0);

/** Where the time went: `up` seconds, and those of set-up before them. Steps run beside each other, so they add up to more than the whole. */
export function stepTimesText(times: readonly StepTime[], up: number, setUp = 0): string {
	const long = [{ name: "set-up", what: "done", seconds: setUp }, ...times].filter(({ seconds }) => seconds > 0);
	const head = paint("bold", `where the time went: ${duration(setUp + up)} in all`);
	if (long.length === 0) return head;
	const rows = long.slice(0, shown).map(({ name, what, seconds }) => [`  ${name}`, what, duration(seconds)]);
	const rest = long.length > shown ? `\n  and ${long.length - shown} shorter ones` : "";
	return `${head}\n${table([], rows)}${rest}`;
}
