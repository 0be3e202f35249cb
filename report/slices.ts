import type { TraceEvent } from "./event.ts";
import { isIdle, roleOf, type SliceRule } from "./slice-rules.ts";

/** Two events that are the begin and the end of one thing. */
export interface Slice {
	readonly id: number;
	readonly rule: SliceRule;
	readonly begin: TraceEvent;
	readonly key: string;
}

/** What an event meant. */
export interface Meaning {
	readonly opened?: Slice;
	/** Slices that ended with it; `whole` ones did so by their own end, others because theirs was never seen. */
	readonly closed: readonly { readonly slice: Slice; readonly whole: boolean }[];
	/** It has no partner, and is shown by itself. */
	readonly alone: boolean;
}

export interface PairCount {
	pairs: number;
	/** Begins whose end was never seen, and ends whose begin was not. */
	beginsAlone: number;
	endsAlone: number;
}

const nothing: Meaning = { closed: [], alone: true };

/** Joins the begins and the ends of a run's events as they come. */
export class Slices {
	/** By CPU, the inmost last. */
	readonly #nested = new Map<string, Slice[]>();
	readonly #keyed = new Map<string, Slice>();
	readonly #counts = new Map<SliceRule, Map<string, PairCount>>();
	#next = 0;

	feed(event: TraceEvent): Meaning {
		const role = roleOf(event);
		if (role === undefined) return nothing;
		return role.rule.kind === "nested" ? this.#nest(event, role) : this.#join(event, role);
	}

	/** What is open when the run ends. */
	end(): readonly Slice[] {
		const open = [...this.#nested.values()].flatMap((stack) => [...stack].reverse()).concat([...this.#keyed.values()]);
		for (const slice of open) this.#count(slice.rule, slice.begin).beginsAlone++;
		this.#nested.clear();
		this.#keyed.clear();
		return open;
	}

	/** How many of a rule's events found their partners, in one layer of one domain. */
	count(rule: SliceRule, source: string): PairCount {
		return this.#counts.get(rule)?.get(source) ?? { pairs: 0, beginsAlone: 0, endsAlone: 0 };
	}

	#nest(event: TraceEvent, { rule, begins, ends }: { rule: SliceRule; begins: boolean; ends: boolean }): Meaning {
		const cpu = `${event.layer} ${event.domain} ${event.cpu}`;
		let stack = this.#nested.get(cpu);
		if (stack === undefined) {
			stack = [];
			this.#nested.set(cpu, stack);
		}
		const key = rule.key(event);
		const closed: { slice: Slice; whole: boolean }[] = [];
		const at = ends ? stack.findLastIndex((slice) => slice.rule === rule && slice.key === key) : -1;
		// A task that leaves its CPU is in no interrupt any more, whatever was lost.
		const from = at === -1 && begins && ends ? 0 : at;
		if (from !== -1) {
			for (const slice of stack.splice(from).reverse()) {
				const whole = slice.rule === rule && slice.key === key;
				const count = this.#count(slice.rule, slice.begin);
				if (whole) count.pairs++;
				else count.beginsAlone++;
				closed.push({ slice, whole });
			}
		}
		if (!begins) {
			if (at === -1) this.#count(rule, event).endsAlone++;
			return { closed, alone: at === -1 };
		}
		if (ends && isIdle(event)) return { closed, alone: false };
		const opened = this.#open(rule, event, key);
		stack.push(opened);
		return { opened, closed, alone: false };
	}

	#join(event: TraceEvent, { rule, begins }: { rule: SliceRule; begins: boolean }): Meaning {
		const key = rule.key(event);
		const place = `${event.layer} ${event.domain} ${rule.title} ${key}`;
		const open = this.#keyed.get(place);
		this.#keyed.delete(place);
		const count = this.#count(rule, event);
		const closed = open === undefined ? [] : [{ slice: open, whole: !begins }];
		if (!begins) {
			if (open === undefined) count.endsAlone++;
			else count.pairs++;
			return { closed, alone: open === undefined };
		}
		if (open !== undefined) count.beginsAlone++;
		const opened = this.#open(rule, event, key);
		this.#keyed.set(place, opened);
		return { opened, closed, alone: false };
	}

	#open(rule: SliceRule, begin: TraceEvent, key: string): Slice {
		return { id: this.#next++, rule, begin, key };
	}

	#count(rule: SliceRule, { layer, domain }: TraceEvent): PairCount {
		let bySource = this.#counts.get(rule);
		if (bySource === undefined) {
			bySource = new Map();
			this.#counts.set(rule, bySource);
		}
		const source = `${layer} ${domain}`;
		let count = bySource.get(source);
		if (count === undefined) {
			count = { pairs: 0, beginsAlone: 0, endsAlone: 0 };
			bySource.set(source, count);
		}
		return count;
	}
}
