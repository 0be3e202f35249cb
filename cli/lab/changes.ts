import { stripVTControlCharacters } from "node:util";
import { prefixIn } from "../builds/begun-builds.ts";
import { resourceName, type StateResource } from "./engine.ts";
import { engineEvents } from "./engine-events.ts";

/** What an up would do with one step, or with one object of libvirt's. */
export interface Change {
	/** The resource's name, such as kernel-main-build. */
	name: string;
	/** The resource's type, such as command:local:Command. */
	type: string;
	/** A replacement is made anew, and then, or before, the old one goes. */
	what: "create" | "update" | "replace" | "delete";
	/** What somebody changed on the host; empty where it is the stack file, or the lab itself, that changed. */
	drift: string;
	/** Of a build: the prefix that it makes, and the one that it made before. */
	prefix?: string | undefined;
	previous?: string | undefined;
}

/** What a preview found. */
export interface Outlook {
	changes: Change[];
	/** Why it came to no end, where it did not. */
	errors: string[];
}

/** The engine's words for what it does first with a resource that changes; `same` and the like are no changes. */
const words: Readonly<Record<string, Change["what"]>> = {
	create: "create",
	update: "update",
	delete: "delete",
	"create-replacement": "replace",
};

/** What the event log of a preview says that an up would do, in its order. */
export async function readOutlook(eventLog: string): Promise<Outlook> {
	const drifts = new Map<string, string>();
	const changes: (Change & { urn: string })[] = [];
	const errors: string[] = [];
	for await (const { resourcePreEvent, diagnosticEvent } of engineEvents(eventLog)) {
		if (diagnosticEvent !== undefined) {
			const { urn = "", severity } = diagnosticEvent;
			const message = stripVTControlCharacters(diagnosticEvent.message).trim();
			if (severity === "error") errors.push(message);
			else if (message.startsWith("drift: ")) drifts.set(urn, message.slice("drift: ".length));
		}
		if (resourcePreEvent === undefined) continue;
		const { op, urn, type, old, new: made } = resourcePreEvent.metadata;
		const what = words[op];
		// Components, the stack, and providers are only names for what is in them.
		if (what === undefined || !/^(command|libvirt):/.test(type)) continue;
		changes.push({
			urn,
			name: resourceName(urn),
			type,
			what,
			drift: "",
			prefix: prefixOf(made),
			previous: prefixOf(old),
		});
	}
	return { changes: changes.map(({ urn, ...change }) => ({ ...change, drift: drifts.get(urn) ?? "" })), errors };
}

/** The build prefix among the inputs of a step's program, where it has one. */
function prefixOf(resource: StateResource | null | undefined): string | undefined {
	const program = resource?.inputs?.["stdin"];
	return typeof program === "string" ? prefixIn(program) : undefined;
}
