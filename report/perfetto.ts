import type { Fields } from "../spec/ctf-line.ts";
import { bareName, type Layer, outsideIn, plainValue, sourceName, type TraceEvent } from "./event.ts";
import type { RunFacts } from "./facts.ts";
import { type Slice, Slices } from "./slices.ts";

/**
 * The run as Chrome's trace-event JSON, which ui.perfetto.dev opens: a process for each layer of a domain, a thread for
 * each CPU. What happens on one CPU is its begin and its end there; what may overlap is asynchronous, by an id.
 * The document comes in parts, an event a line.
 */
export async function* perfettoJson(
	events: AsyncIterable<TraceEvent>,
	facts: Omit<RunFacts, "clocks" | "causality">,
): AsyncGenerator<string> {
	const { stack, run, profile, command = "", started } = facts;
	const ran = {
		lab: Object.fromEntries(facts.lab),
		host: Object.fromEntries(facts.host),
		domains: Object.fromEntries(facts.domains.map(({ name, facts }) => [name, Object.fromEntries(facts)])),
	};
	const about = { tool: "tracelab", stack, run, profile, command, started, ...ran };
	const writer = new Writer();
	let text = `{"displayTimeUnit":"ns","otherData":${JSON.stringify(about)},"traceEvents":[`;
	let between = "\n";
	const write = (lines: readonly Line[]) => {
		for (const line of lines) {
			text += between + JSON.stringify(line);
			between = ",\n";
		}
	};
	for await (const event of events) {
		write(writer.add(event));
		if (text.length < partLength) continue;
		yield text;
		text = "";
	}
	write(writer.end());
	yield `${text}\n]}\n`;
}

/** A stream takes few long parts many times faster than many short ones. */
const partLength = 1 << 16;

/** A line of the document: https://ui.perfetto.dev reads times in microseconds. */
interface Line {
	readonly ph: "M" | "B" | "E" | "b" | "e" | "i";
	readonly pid: number;
	readonly tid: number;
	readonly name: string;
	readonly ts?: number;
	readonly cat?: string;
	readonly id?: string;
	readonly s?: "t";
	readonly args?: Readonly<Record<string, string | number>>;
}

class Writer {
	readonly #slices = new Slices();
	readonly #processes = new Map<string, number>();
	readonly #threads = new Set<string>();
	#origin: number | undefined;
	#last = 0;

	add(event: TraceEvent): Line[] {
		this.#origin ??= event.time;
		// Times of a track must not go back.
		const ts = Math.max(this.#last, Math.round(event.time - this.#origin) / 1000);
		this.#last = ts;
		const { opened, closed, alone } = this.#slices.feed(event);
		const lines = this.#names(event);
		const args = argsOf(event.fields);
		for (const { slice, whole } of closed) lines.push(this.#closing(slice, ts, whole && !alone ? args : undefined));
		if (opened !== undefined) lines.push(this.#opening(opened, ts, args));
		if (alone) {
			const name = bareName(event.name);
			lines.push({ ph: "i", s: "t", ...this.#track(event), name, ts, args });
		}
		return lines;
	}

	/** Whatever is open ends with the run. */
	end(): Line[] {
		return this.#slices.end().map((slice) => this.#closing(slice, this.#last));
	}

	#opening(slice: Slice, ts: number, args: Line["args"] = {}): Line {
		const { rule, begin, id } = slice;
		const line = { ...this.#track(begin), name: rule.label(begin), ts, args };
		return rule.kind === "nested"
			? { ph: "B", ...line }
			: { ph: "b", ...line, cat: rule.title, id: `0x${id.toString(16)}` };
	}

	#closing({ rule, begin, id }: Slice, ts: number, args?: Line["args"]): Line {
		// What ended with a task's last event has that event's fields at its own begin.
		const said = args === undefined || rule.begins.some((name) => rule.ends.includes(name)) ? {} : { args };
		const line = { ...this.#track(begin), name: rule.label(begin), ts, ...said };
		return rule.kind === "nested"
			? { ph: "E", ...line }
			: { ph: "e", ...line, cat: rule.title, id: `0x${id.toString(16)}` };
	}

	#track({ layer, domain, cpu }: TraceEvent): { pid: number; tid: number } {
		// 0 is the idle process's number, which Perfetto hides.
		return { pid: this.#processes.get(`${layer} ${domain}`) ?? 0, tid: cpu + 1 };
	}

	#names({ layer, domain, cpu }: TraceEvent): Line[] {
		const lines: Line[] = [];
		const source = `${layer} ${domain}`;
		let pid = this.#processes.get(source);
		if (pid === undefined) {
			pid = this.#processes.size + 1;
			this.#processes.set(source, pid);
			lines.push({ ph: "M", pid, tid: 0, name: "process_name", args: { name: sourceName(layer, domain) } });
			lines.push({ ph: "M", pid, tid: 0, name: "process_sort_index", args: { sort_index: outsideIn.indexOf(layer) } });
		}
		if (!this.#threads.has(`${source} ${cpu}`)) {
			this.#threads.add(`${source} ${cpu}`);
			lines.push({ ph: "M", pid, tid: cpu + 1, name: "thread_name", args: { name: threadName(layer, cpu) } });
			lines.push({ ph: "M", pid, tid: cpu + 1, name: "thread_sort_index", args: { sort_index: cpu } });
		}
		return lines;
	}
}

const threadName = (layer: Layer, cpu: number): string =>
	layer === "guest" ? `vCPU ${cpu}` : layer === "qemu" ? `on host CPU ${cpu}` : `CPU ${cpu}`;

function argsOf(fields: Fields): Record<string, string | number> {
	return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plainValue(value)]));
}
