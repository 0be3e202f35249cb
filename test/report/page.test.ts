import { gunzipSync } from "node:zlib";
import test from "ava";
import { aggregate } from "../../report/aggregate.ts";
import type { RunFacts } from "../../report/facts.ts";
import { html } from "../../report/html.ts";
import { page } from "../../report/page.ts";
import type { PageData } from "../../report/page-data.ts";
import { event, stream, syntheticFacts, syntheticRun } from "./synthetic-run.ts";

const made = async (changes: Partial<RunFacts> = {}, events = syntheticRun(600)) =>
	page(syntheticFacts(changes), await aggregate(stream(events)));

/** The page's text as a reader without a script has it. */
const readable = (text: string): string =>
	text
		.replace(/<(style|script)\b.*?<\/\1>/gs, "")
		.replace(/<\/?(?:a|b|code|i|small|span)\b[^>]*>/g, "")
		.replace(/<[^>]*>/g, " ")
		.replaceAll("&#39;", "'")
		.replace(/[ \n\t]+/g, " ");

test("what is put into HTML is text", (t) => {
	t.is(html`<a title="${`"'`}">${"<script>&"}</a>`.text, '<a title="&quot;&#39;">&lt;script&gt;&amp;</a>');
	t.is(html`${html`<b>${"ü → 🐧"}</b>`}${["<", 1]}${false}${undefined}`.text, "<b>ü → 🐧</b>&lt;1");
});

test("characters that nobody sees are shown as their codes", (t) => {
	t.is(html`a${"\u202e\u0000\ud800\n"}b`.text, "a\\u{202e}\\u{0}\\u{d800}\nb");
});

test("names and commands have no meaning in the page", async (t) => {
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(1)>"'&{{data}}\u2028$&`;
	const text = await made({ command: evil, run: evil, domains: [{ name: evil, facts: [[evil, evil]] }] }, [
		event(0, "guest", evil, { [evil]: evil }),
		event(5, "guest", "x", {}, 0, evil),
	]);
	t.false(text.includes("<script>alert"));
	t.false(text.includes("<img"));
	t.is(text.match(/<script\b/g)?.length, 2);
	t.true(text.includes("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x"));
	const [, packed = ""] = /id="data">([^<]*)</.exec(text) ?? [];
	const data = JSON.parse(gunzipSync(Buffer.from(packed, "base64")).toString()) as PageData;
	t.deepEqual(data.items.texts, [evil, "x"]);
	t.deepEqual(data.items.kinds[0]?.fields, [evil]);
});

test("the page asks for no other file, and may not", async (t) => {
	const text = await made();
	t.false(/<(?:link|script|img|iframe|source|object|embed)\b[^>]*(?:src|href|data)=(?!["']?data:,)/i.test(text));
	t.false(/@import|url\((?!["']?data:)/i.test(text));
	t.true(
		text.includes(`content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"`),
	);
});

test("without a script, the page has the numbers", async (t) => {
	const text = readable(await made());
	for (const said of [
		"tracelab · quickstart · block-io block-io-1 fio --name=randread",
		"2026-11-25 11:35:56 UTC · 3.42\u202fs · exit status 0",
		"600 events 0 events lost clocks within 1.04\u202fµs 0 of 1\u202f368 effects before their causes",
		"Every event is here. The charts are drawn by a script, and scripts are off.",
		"0 lost: the tracers discarded no event and overwrote no packet.",
		"host kernel not recorded: this host has no tracefs and no lttng-modules",
		"240 pairs, the guest writes to a port",
		"0\u202fns 812.345\u202f678\u202f901\u202fs −9.61 ppm 1.04\u202fµs",
		"What ran on what the lab to cite lab quickstart sha256:5b0e the host tracelab 0.1.0, commit 9c010146f0aa, edited LTTng 2.13.9 kernel 6.1.0-40-amd64 vm process",
		"kernel's build-id 8f3c1de0a7c64b1f99d1b51d7e0b6a83f2f9a3c1",
	]) {
		t.true(text.includes(said), `${said}\n${text}`);
	}
});

const verdict = test.macro({
	title: (_, what: string) => `the page says prominently: ${what}`,
	async exec(t, what: string, changes: Partial<RunFacts>) {
		const text = await made(changes);
		const [, said = ""] = /<ul class="verdicts">(.*?)<\/ul>/s.exec(text) ?? [];
		const bad = [...said.matchAll(/<li class="bad">(.*?)<\/li>/gs)].map(([, item = ""]) =>
			readable(item).replaceAll(" ", ""),
		);
		t.deepEqual(bad, [what.replaceAll(" ", "")]);
	},
});

const qemu = { layer: "qemu", domain: "vm", bytes: 1 } as const;
test(verdict, "1\u202f234 events lost", { layers: [{ ...qemu, discarded: 1234, lostPackets: 0 }] });
test(verdict, "0 events lost, and 3 packets", { layers: [{ ...qemu, discarded: 0, lostPackets: 3 }] });
test(verdict, "lost events: not known", { layers: [qemu] });
test(verdict, "2 of 10 effects before their causes", {
	causality: [{ order: "a, then b", pairs: 10, violations: 2, contradictions: 1, least: -50, median: 7 }],
});

test("a clock that jumped says where, and a bound that is false is named", async (t) => {
	const [clock] = syntheticFacts().clocks;
	if (clock === undefined) throw new Error("no clock");
	const piece = { from: 0, to: 1e9, offset: 5000, drift: 1, bound: 800 };
	const pieces = [
		piece,
		{ ...piece, from: 1e9, to: 2e9, bound: 5_000_000, change: "the guest stood still for 5.0 ms" },
	];
	const text = readable(
		await made({
			clocks: [{ ...clock, pieces }],
			causality: [
				{ order: "a, then b", pairs: 10, violations: 2, contradictions: 1, least: -50, median: 7 },
				{
					...{ order: "c, then d", pairs: 0, violations: 0, contradictions: 0, least: undefined, median: undefined },
					absent: "4 events and packets were lost",
				},
			],
		}),
	);
	t.true(text.includes("c, then d not compared, as 4 events and packets were lost 0 – – –"), text);
	t.true(
		text.includes("the guest stood still for 5.0 ms 1.00\u202fs 0.000\u202f005\u202f000\u202fs 1.00 ppm 5.00\u202fms"),
		text,
	);
	t.true(
		text.includes("a, then b 1 times by more than the clocks' bound, which is false there 10 2 −50\u202fns 7\u202fns"),
		text,
	);
});

test("what is drawn only in part is said", async (t) => {
	const report = await aggregate(stream(syntheticRun(6_000)), 300);
	const text = readable(await page(syntheticFacts(), report));
	t.regex(
		text,
		/There are more events than a page can draw: \d+ marks stand for them\. Drawn are of sched_switch one in \d+, /,
	);
});

test("a run that says little of itself has a page all the same", async (t) => {
	const text = readable(
		await page(
			{ stack: "s", run: "r", notes: [], lab: [], host: [], domains: [], layers: [], clocks: [], causality: [] },
			await aggregate(stream([event(0, "guest", "timer_start")])),
		),
	);
	t.true(text.includes("tracelab · s r 1 event lost events: not known Timeline"), text);
});

test("a layer's losses may be those of all domains together, and what was not recorded is said", async (t) => {
	const text = readable(
		await made({
			layers: [{ layer: "qemu", domain: undefined, discarded: 0, lostPackets: 0, bytes: 7 }],
			notes: ["no <host>"],
		}),
	);
	t.true(text.includes("QEMU 240 0 0 7\u202fB guest kernel · vm 360 ? ? ? no &lt;host&gt;"), text);
});
