import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";

export const command = "command:local:Command";

const urn = (name: string, type: string) => `urn:pulumi:quickstart::tracelab::${type}::${name}`;

/** A step of a build, as the engine has it: its program says where it goes. */
const built = (prefix: string) => ({ inputs: { stdin: `config=()\nprefix='${prefix}'\nstack='quickstart'\n` } });

/** The engine is about to do that; `made` and `before` are the prefixes of a build. */
export const planned = (op: string, name: string, { type = command, made = "", before = "" } = {}) => ({
	timestamp: 1,
	resourcePreEvent: {
		metadata: {
			op,
			urn: urn(name, type),
			type,
			old: before === "" ? null : built(before),
			new: made === "" ? { inputs: {} } : built(made),
		},
	},
});

/** What a step found, as the engine tells it on a terminal that has colours. */
export const drifted = (name: string, sentence: string, type = command) => ({
	timestamp: 1,
	diagnosticEvent: { urn: urn(name, type), message: `\u001b[33mdrift: ${sentence}\u001b[0m\n`, severity: "warning" },
});

export const lines = (events: readonly object[]) => events.map((event) => `${JSON.stringify(event)}\n`).join("");

/** A log of these events in a folder that is removed when the test is over. */
export function eventLog(t: ExecutionContext, events: readonly object[], rest = ""): string {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-events-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const file = join(folder, "events");
	writeFileSync(file, lines(events) + rest);
	return file;
}
