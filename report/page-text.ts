import type { EventCount, LatencyKind, Report } from "./aggregate.ts";
import { type Layer, sourceName } from "./event.ts";
import type { ClockFacts, LayerFacts, RunFacts } from "./facts.ts";
import { type Html, html } from "./html.ts";
import { countText, instantText, sizeText, timeText } from "./units.ts";

/** Everything that the page says without a script: it stands for itself, and prints. */
export function pageText(facts: RunFacts, report: Report): Html {
	return html`
${header(facts)}
${verdicts(facts, report)}
<main>
${timeline(report)}
${rates(report)}
${latencies(report)}
${topEvents(report)}
${losses(facts, report)}
${facts.clocks.map(clock)}
${facts.causality.length > 0 && causes(facts)}
${provenance(facts)}
</main>`;
}

/** Of a hundred kinds of events, these are nearly all. */
const topShown = 25;

function header({ stack, run, profile, command, exitStatus, started, seconds }: RunFacts): Html {
	const status =
		exitStatus !== undefined &&
		html`<span class="${exitStatus === 0 ? "good" : "bad"}">exit status ${exitStatus}</span>`;
	const facts = [
		started?.replace("T", " ").replace(/\.\d+/, "").replace("Z", " UTC"),
		seconds !== undefined && timeText(seconds * 1e9),
		status,
	].filter((fact) => fact !== undefined && fact !== false);
	return html`<header>
<p class="kicker">tracelab · ${stack}${profile !== undefined && html` · ${profile}`}</p>
<h1>${run}</h1>
${command !== undefined && html`<p class="command"><code>${command}</code></p>`}
${facts.length > 0 && html`<p class="facts">${facts.map((fact, index) => html`${index > 0 && " · "}${fact}`)}</p>`}
</header>`;
}

/** What was lost of all layers; nothing where one does not say. */
function lostOf(layers: readonly LayerFacts[]): { events: number; packets: number } | undefined {
	const recorded = layers.filter(({ absent }) => absent === undefined);
	const known = recorded.every(({ discarded, lostPackets }) => discarded !== undefined && lostPackets !== undefined);
	if (recorded.length === 0 || !known) return undefined;
	return {
		events: recorded.reduce((sum, { discarded = 0 }) => sum + discarded, 0),
		packets: recorded.reduce((sum, { lostPackets = 0 }) => sum + lostPackets, 0),
	};
}

/** What decides whether the rest may be believed, in a glance. */
function verdicts({ layers, clocks, causality }: RunFacts, report: Report): Html {
	const bounds = clocks.map(({ bound }) => bound);
	const compared = causality.reduce((sum, { pairs }) => sum + pairs, 0);
	const wrong = causality.reduce((sum, { violations }) => sum + violations, 0);
	return html`<ul class="verdicts">
<li><b>${countText(report.total)}</b> ${report.total === 1 ? "event" : "events"}</li>
${lostVerdict(lostOf(layers))}
${bounds.length > 0 && html`<li>clocks within <b>${timeText(Math.max(...bounds))}</b></li>`}
${compared > 0 && html`<li class="${wrong === 0 ? "good" : "bad"}"><b>${countText(wrong)}</b> of ${countText(compared)} effects before their causes</li>`}
</ul>`;
}

function lostVerdict(lost: ReturnType<typeof lostOf>): Html {
	if (lost === undefined) return html`<li class="bad">lost events: not known</li>`;
	const { events, packets } = lost;
	if (events + packets === 0) return html`<li class="good"><b>0</b> events lost</li>`;
	return html`<li class="bad"><b>${countText(events)}</b> events lost${
		packets > 0 && html`, and <b>${countText(packets)}</b> packets`
	}</li>`;
}

function timeline({ drawn, events }: Report): Html {
	const thinned = events.filter(({ every }) => every > 1);
	const named = thinned.slice(0, 3).map(({ name, every }) => html`<code>${name}</code> one in ${every}`);
	const more = thinned.length - named.length;
	const said =
		thinned.length === 0
			? html`Every event is here.`
			: html`There are more events than a page can draw: ${countText(drawn)} marks stand for them. Drawn are of ${listed(
					[...named, ...(more > 0 ? [html`${more} other kinds some`] : [])],
				)}, and of all else every one. The numbers on this page count all.`;
	return html`<section id="timeline">
<h2>Timeline</h2>
<p class="note">All layers, on the host's clock. ${said}</p>
<noscript><p class="note">The charts are drawn by a script, and scripts are off. The tables below have their numbers.</p></noscript>
<div class="chart" data-chart="timeline"></div>
</section>`;
}

/** a, b and c */
function listed(parts: readonly Html[]): Html {
	return html`${parts.map((part, index) => html`${index > 0 && (index === parts.length - 1 ? " and " : ", ")}${part}`)}`;
}

function rates({ bySource, page }: Report): Html {
	const span = page.length / 1e9;
	return html`<section id="rates">
<h2>Event rates</h2>
<div class="chart" data-chart="rates"></div>
<div class="table"><table>
<thead><tr><th>Layer</th><th class="number">Events</th><th class="number">On average</th><th class="number">At most</th></tr></thead>
<tbody>${bySource.map(({ layer, domain, count }) => {
		const source = sourceName(layer, domain);
		const counts = page.rates.series.find((series) => series.source === source)?.counts ?? [];
		const most = counts.reduce((high, each) => Math.max(high, each), 0) / (page.rates.width / 1e9);
		return html`<tr><td>${dot(layer)}${source}</td><td class="number">${countText(count)}</td><td class="number">${perSecond(count, span)}</td><td class="number">${counts.length > 1 ? perSecond(most, 1) : "–"}</td></tr>`;
	})}</tbody>
</table></div>
<p class="note">“At most” is in ${timeText(page.rates.width)}, the width of a column.</p>
</section>`;
}

function latencies({ latencies: kinds, paths }: Report): Html {
	return html`<section id="latencies">
<h2>Latencies</h2>
${kinds.length === 0 && html`<p class="note">The events of this run have no pairs that a latency could be taken from.</p>`}
${paths.map(
	({ domain, requests, stages }) => html`<h3>The way of a block request · ${domain}</h3>
<p class="note">${countText(requests)} ${requests === 1 ? "request" : "requests"} that guest and QEMU both saw, by device sector. The two ways between them are as exact as the clocks are.</p>
<div class="path">${stages.map(({ title, distribution }, index) => {
		const whole = stages.reduce((sum, stage) => sum + stage.distribution.mean, 0);
		return html`<div class="${index === 1 ? "qemu" : "guest"}" style="flex-grow: ${((distribution.mean / (whole || 1)) * 100).toFixed(1)}"><span>${title}</span> <b>${timeText(distribution.mean)}</b></div>`;
	})}</div>
<p class="note">Mean of each part; medians ${stages.map(
		({ distribution }, index) => html`${index > 0 && ", "}${timeText(distribution.median)}`,
	)}; 99th percentiles ${stages.map(({ distribution }, index) => html`${index > 0 && ", "}${timeText(distribution.p99)}`)}.</p>`,
)}
${kinds.map(latency)}
</section>`;
}

function latency(kind: LatencyKind, index: number): Html {
	const { title, layer, domain, what, distribution, unmatched, longest } = kind;
	const alone = [
		unmatched.beginsAlone > 0 && `${countText(unmatched.beginsAlone)} without an end`,
		unmatched.endsAlone > 0 && `${countText(unmatched.endsAlone)} without a begin`,
	].filter((text) => text !== false);
	return html`<article class="latency">
<h3>${dot(layer)}${title} · ${sourceName(layer, domain)}</h3>
<dl class="figures">
<div><dt>median</dt><dd>${timeText(distribution.median)}</dd></div>
<div><dt>p90</dt><dd>${timeText(distribution.p90)}</dd></div>
<div><dt>p99</dt><dd>${timeText(distribution.p99)}</dd></div>
<div><dt>longest</dt><dd>${timeText(distribution.max)}</dd></div>
<div><dt>count</dt><dd>${countText(distribution.count)}</dd></div>
</dl>
<div class="chart" data-chart="latency" data-index="${index}"></div>
<p class="note">${what}${alone.length > 0 && html`. Not counted: ${alone.join(", ")}`}.</p>
${
	longest.length > 0 &&
	html`<p class="longest">The longest: ${longest.map(
		({ start, duration, label }, place) =>
			html`${place > 0 && " "}<a href="#timeline" data-start="${start}" data-duration="${duration}">${label} <b>${timeText(duration)}</b> <small>at ${timeText(start)}</small></a>`,
	)}</p>`
}
</article>`;
}

function topEvents({ events, total, page }: Report): Html {
	const most = events[0]?.count ?? 1;
	const shown = events.slice(0, topShown);
	const rest = events.slice(topShown);
	const restCount = rest.reduce((sum, { count }) => sum + count, 0);
	return html`<section id="events">
<h2>Events</h2>
<div class="table"><table>
<thead><tr><th>Event</th><th class="number">Count</th><th class="number wide">Per second</th><th class="number wide">Share</th></tr></thead>
<tbody>${shown.map((each) => eventRow(each, most, total, page.length / 1e9))}</tbody>
</table></div>
${rest.length > 0 && html`<p class="note">And ${countText(rest.length)} more, ${countText(restCount)} events in all.</p>`}
</section>`;
}

function eventRow({ layer, domain, name, count }: EventCount, most: number, total: number, seconds: number): Html {
	return html`<tr><td title="${sourceName(layer, domain)}">${dot(layer)}<code>${name}</code><div class="bar ${layer}" style="width: ${((count / most) * 100).toFixed(2)}%"></div></td><td class="number">${countText(count)}</td><td class="number wide">${perSecond(count, seconds)}</td><td class="number wide">${((count / total) * 100).toFixed(1)}%</td></tr>`;
}

function losses({ layers, notes }: RunFacts, { bySource }: Report): Html {
	const covers = (one: LayerFacts, { layer, domain }: { layer: Layer; domain: string | undefined }) =>
		one.layer === layer && (one.domain === undefined || one.domain === domain);
	const recorded = (one: LayerFacts) =>
		bySource.reduce((sum, source) => sum + (covers(one, source) ? source.count : 0), 0);
	const unlisted = bySource.filter((source) => !layers.some((one) => covers(one, source)));
	const all = [...layers, ...unlisted.map(({ layer, domain }) => ({ layer, domain }))];
	const lost = lostOf(all);
	const said =
		lost === undefined
			? "Not known: the run's record does not say what each tracer lost."
			: lost.events + lost.packets > 0
				? "Events were lost: counts are too low, and of what began or ended in the gaps there is no latency. Give the run a smaller profile or larger buffers."
				: "0 lost: the tracers discarded no event and overwrote no packet.";
	return html`<section id="losses">
<h2>Lost events</h2>
<p class="${lost !== undefined && lost.events + lost.packets === 0 ? "good" : "bad"}">${said}</p>
<div class="table"><table>
<thead><tr><th>Layer</th><th class="number">Recorded</th><th class="number">Discarded</th><th class="number">Lost packets</th><th class="number wide">Size</th></tr></thead>
<tbody>${all.map((each) => lossRow(each, recorded(each)))}</tbody>
</table></div>
${notes.map((note) => html`<p class="note">${note}</p>`)}
</section>`;
}

function lossRow({ layer, domain, discarded, lostPackets, bytes, absent }: LayerFacts, recorded: number): Html {
	const name = html`${dot(layer)}${sourceName(layer, domain)}`;
	if (absent !== undefined) return html`<tr><td>${name}</td><td colspan="4">not recorded: ${absent}</td></tr>`;
	const lossy = (count: number | undefined) =>
		html`<td class="number${count !== 0 && " bad"}">${count === undefined ? "?" : countText(count)}</td>`;
	return html`<tr><td>${name}</td><td class="number">${countText(recorded)}</td>${lossy(discarded)}${lossy(lostPackets)}<td class="number wide">${bytes === undefined ? "?" : sizeText(bytes)}</td></tr>`;
}

function clock({ domain, method, pairs, bound, pieces, residuals, points }: ClockFacts, index: number): Html {
	return html`<section class="clock">
<h2>Clock of ${domain}</h2>
<p>On the host's clock, events of this guest are off by at most <b>${timeText(bound)}</b>.</p>
<p class="note">${countText(pairs)} pairs, ${method}. The middles of the pairs lie ${timeText(residuals.median)} from the fit, by the median, and ${timeText(residuals.max)} at most: that is how wide the readings were, and more than the error.</p>
${points.length > 0 && html`<div class="chart" data-chart="clock" data-index="${index}"></div>`}
<div class="table"><table>
<thead><tr><th>From</th><th class="number">Offset</th><th class="number">Drift</th><th class="number">Bound</th></tr></thead>
<tbody>${pieces.map(
		(piece) => html`${piece.change !== undefined && html`<tr class="change"><td colspan="4">${piece.change}</td></tr>`}
<tr><td>${timeText(piece.from)}</td><td class="number">${instantText(piece.offset)}</td><td class="number">${piece.drift.toFixed(2).replace("-", "−")} ppm</td><td class="number">${timeText(piece.bound)}</td></tr>`,
	)}</tbody>
</table></div>
<p class="note">The offset is the host's clock less the guest's, from the first pair's on.</p>
</section>`;
}

function causes({ causality }: RunFacts): Html {
	return html`<section id="causality">
<h2>Causes and effects</h2>
<div class="table"><table>
<thead><tr><th>What holds for certain</th><th class="number">Compared</th><th class="number">Violated</th><th class="number wide">Least</th><th class="number wide">Median</th></tr></thead>
<tbody>${causality.map(
		({ order, pairs, violations, contradictions, least, median, absent }) =>
			html`<tr><td>${order}${absent !== undefined && html` <span class="note">not compared, as ${absent}</span>`}${contradictions > 0 && html` <span class="bad">${countText(contradictions)} times by more than the clocks' bound, which is false there</span>`}</td><td class="number">${countText(pairs)}</td><td class="number ${pairs > 0 && (violations > 0 ? "bad" : "good")}">${pairs === 0 ? "–" : countText(violations)}</td><td class="number wide">${optionalTime(least)}</td><td class="number wide">${optionalTime(median)}</td></tr>`,
	)}</tbody>
</table></div>
<p class="note">Times are from a cause to its effect.</p>
</section>`;
}

const optionalTime = (nanoseconds: number | undefined): string =>
	nanoseconds === undefined ? "–" : timeText(nanoseconds);

function provenance({ lab, host, domains }: RunFacts): Html {
	const around = [
		{ name: "the lab", facts: lab },
		{ name: "the host", facts: host },
	];
	const all = [...around.filter(({ facts }) => facts.length > 0), ...domains];
	if (all.length === 0) return html``;
	return html`<section id="provenance">
<h2>What ran on what</h2>
${all.map(
	({ name, facts }) => html`<h3>${name}</h3>
<dl class="provenance">${facts.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>`,
)}
</section>`;
}

const dot = (layer: Layer): Html => html`<i class="dot ${layer}"></i>`;

const perSecond = (count: number, seconds: number): string =>
	seconds > 0 ? `${count / seconds < 10 ? (count / seconds).toFixed(1) : countText(count / seconds)}/s` : "–";
