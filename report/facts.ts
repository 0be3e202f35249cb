import type { Layer } from "./event.ts";

/** What a run says about itself, as a report needs it. What it does not say is not there. */
export interface RunFacts {
	readonly stack: string;
	readonly run: string;
	readonly profile?: string | undefined;
	readonly command?: string | undefined;
	readonly exitStatus?: number | undefined;
	/** When it started, ISO 8601. */
	readonly started?: string | undefined;
	readonly seconds?: number | undefined;
	/** What was not recorded, and why: sentences. */
	readonly notes: readonly string[];
	/** The lab by its hashes. */
	readonly lab: DomainFacts["facts"];
	/** What recorded it. */
	readonly host: DomainFacts["facts"];
	readonly domains: readonly DomainFacts[];
	readonly layers: readonly LayerFacts[];
	readonly clocks: readonly ClockFacts[];
	readonly causality: readonly CausalityFacts[];
}

export interface DomainFacts {
	readonly name: string;
	/** What ran it and what it ran: pairs of a name and a text, in the order in which they are shown. */
	readonly facts: readonly (readonly [name: string, text: string])[];
}

export interface LayerFacts {
	readonly layer: Layer;
	/** Nothing where it counts for all domains together. */
	readonly domain: string | undefined;
	/** Events that the tracer had no room for, and whole packets of them that were overwritten. */
	readonly discarded?: number | undefined;
	readonly lostPackets?: number | undefined;
	readonly bytes?: number | undefined;
	/** Why nothing was recorded, where nothing was. */
	readonly absent?: string | undefined;
}

/** How the clock of a guest was put on the host's. */
export interface ClockFacts {
	readonly domain: string;
	readonly method: string;
	readonly pairs: number;
	/** Nanoseconds by which a guest's event may be off. */
	readonly bound: number;
	/** How far the pairs lie from the fit, in nanoseconds. */
	readonly residuals: { readonly median: number; readonly max: number };
	readonly pieces: readonly {
		/** Nanoseconds since the first piece began. */
		readonly from: number;
		readonly to: number;
		/** The host's time less the guest's at `from`. */
		readonly offset: number;
		/** Parts per million. */
		readonly drift: number;
		readonly bound: number;
		/** What happened to the clocks in this piece. */
		readonly change?: string;
	}[];
	/** Of each pair: when, in nanoseconds since the first piece began, and how far off the fit. */
	readonly points: readonly (readonly [time: number, nanoseconds: number])[];
}

/** An order that holds for certain, and how often it seems not to. */
export interface CausalityFacts {
	readonly order: string;
	readonly pairs: number;
	readonly violations: number;
	/** By more than the clocks' bound: then the bound is false. */
	readonly contradictions: number;
	/** Least time from a cause to its effect, in nanoseconds. */
	readonly least: number | undefined;
	readonly median: number | undefined;
	/** Why nothing was compared, where that is known. */
	readonly absent?: string;
}
