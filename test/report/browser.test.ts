import test, { type ExecutionContext } from "ava";
import { aggregate } from "../../report/aggregate.ts";
import { page } from "../../report/page.ts";
import { browserProgram, type Looks, Viewer } from "./browser.ts";
import { event, stream, syntheticFacts, syntheticRun } from "./synthetic-run.ts";

// scripts/setup --test brings it.
const there = browserProgram === undefined ? test.skip : test.serial;
if (browserProgram === undefined)
	test("there is no browser here: chromium-headless-shell from Debian", (t) => t.pass());

async function opened(t: ExecutionContext, looks: Looks, events = syntheticRun()): Promise<Viewer> {
	t.timeout(120_000);
	return Viewer.open(t, await page(syntheticFacts(), await aggregate(stream(events))), looks);
}

/** Charts of the page: the rates of two layers, five latencies, one clock. */
const charts = { timeline: 1, rates: 2, latency: 5, clock: 1 };

for (const [name, looks] of [
	["wide-light", { width: 1280, scheme: "light" }],
	["wide-dark", { width: 1280, scheme: "dark" }],
	["phone-light", { width: 390, scheme: "light", touch: true }],
	["phone-dark", { width: 390, scheme: "dark", touch: true }],
] as const) {
	there(`the page is drawn, within its width and without complaints: ${name}`, async (t) => {
		const viewer = await opened(t, looks);
		await viewer.picture(`report-${name}`);
		t.deepEqual(viewer.complaints, []);
		t.is(await viewer.page.evaluate(() => document.documentElement.scrollWidth), looks.width);
		const drawn = await viewer.drawn();
		t.deepEqual(Object.fromEntries(Object.entries(drawn).map(([chart, each]) => [chart, each.length])), charts);
		for (const [chart, each] of Object.entries(drawn)) t.true(Math.min(...each) > 1000, `${chart}: ${each}`);
	});
}

there("the page loads nothing but itself", async (t) => {
	const { requests } = await opened(t, { width: 800, scheme: "light" });
	t.deepEqual(
		requests.filter((url) => !url.startsWith("file://") && !url.startsWith("data:,")),
		[],
	);
	t.is(requests.filter((url) => url.startsWith("file://")).length, 1);
});

there("its colours are the scheme's, and change with it", async (t) => {
	const { page } = await opened(t, { width: 800, scheme: "light" });
	const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
	t.is(await background(), "rgb(253, 253, 252)");
	await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
	t.is(await background(), "rgb(22, 22, 21)");
});

there("a mouse pans, ctrl and the wheel zoom, and a double click zooms in", async (t) => {
	const viewer = await opened(t, { width: 1280, scheme: "light" }, syntheticRun(3_000));
	const { page } = viewer;
	const over = await page.$("[data-chart=timeline] .u-over");
	const { x, y, width, height } = (await over?.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
	const all = await viewer.view();
	await page.mouse.move(x + width / 2, y + height / 2);
	await page.keyboard.down("Control");
	await page.mouse.wheel({ deltaY: -400 });
	await page.keyboard.up("Control");
	await page.waitForFunction((before) => document.querySelector(".toolbar output")?.textContent !== before, {}, all);
	const zoomed = await viewer.view();
	t.not(zoomed, all);
	const before = await viewer.image();
	await page.mouse.down();
	await page.mouse.move(x + width / 4, y + height / 2, { steps: 4 });
	await page.mouse.up();
	t.not(await viewer.image(), before);
	// As wide as before: it was moved, not zoomed.
	t.is((await viewer.view()).split(" from")[0], zoomed.split(" from")[0]);
	await page.click(".toolbar button[aria-label='show the whole run']");
	t.is(await viewer.view(), all);
	await page.mouse.click(x + width / 2, y + height / 2, { count: 2 });
	t.not(await viewer.view(), all);
});

there("two fingers zoom, and one pans", async (t) => {
	const viewer = await opened(t, { width: 390, scheme: "light", touch: true }, syntheticRun(3_000));
	const { page } = viewer;
	await page.$eval("#timeline", (element) => element.scrollIntoView());
	const over = await page.$("[data-chart=timeline] .u-over");
	const { x, y, width, height } = (await over?.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
	const all = await viewer.view();
	const [middle, line] = [x + width / 2, y + height / 2];
	const [one, two] = [
		await page.touchscreen.touchStart(middle - 20, line),
		await page.touchscreen.touchStart(middle + 20, line),
	];
	for (let apart = 30; apart <= 120; apart += 30) {
		await one.move(middle - apart, line);
		await two.move(middle + apart, line);
	}
	await one.end();
	await two.end();
	const zoomed = await viewer.view();
	t.not(zoomed, all);
	t.is(await page.evaluate(() => visualViewport?.scale), 1);
	const before = await viewer.image();
	const finger = await page.touchscreen.touchStart(middle + 60, line);
	for (let step = 1; step <= 4; step++) await finger.move(middle + 60 - step * 30, line);
	await finger.end();
	t.not(await viewer.image(), before);
	t.is((await viewer.view()).split(" from")[0], zoomed.split(" from")[0]);
});

there("a link to the longest request leads there, and a pointer on it tells its name, time and fields", async (t) => {
	const events = [
		event(0, "guest", "timer_start"),
		event(4_000_000_000, "guest", "block_rq_issue", { dev: 1, sector: 4096, rwbs: 1, comm: "</div><b>fio" }),
		event(4_000_250_000, "guest", "block_rq_complete", { dev: 1, sector: 4096, error: -5, rwbs: 1 }),
		event(9_000_000_000, "guest", "timer_start"),
	];
	const viewer = await opened(t, { width: 1280, scheme: "light" }, events);
	const { page } = viewer;
	await page.click(".longest a");
	t.is(await viewer.view(), "500\u202fµs from 3.999\u202f000\u202f000\u202fs");
	await page.$eval("#timeline", (element) => element.scrollIntoView());
	const over = await page.$("[data-chart=timeline] .u-over");
	const { x, y, width, height } = (await over?.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
	// Its lane is the last one, and it is in the middle.
	await page.mouse.move(x + width / 2, y + height - 14);
	await page.waitForSelector(".tip:not([hidden])");
	await viewer.picture("report-tooltip");
	t.deepEqual(await page.$$eval(".tip > div", (lines) => lines.map(({ textContent }) => textContent)), [
		"block write",
		"block_rq_issue → block_rq_complete",
		"4.000\u202f000\u202f000\u202fs, for 250\u202fµs",
		...["dev = 1", "sector = 4096", "rwbs = 1", "comm = </div><b>fio", "error = -5"],
	]);
});

there("without scripts the page is whole but for its charts", async (t) => {
	const viewer = await opened(t, { width: 390, scheme: "light", script: false }, syntheticRun(600));
	await viewer.picture("report-no-script");
	t.deepEqual(viewer.complaints, []);
	t.is((await viewer.page.$$("canvas")).length, 0);
	t.regex(await viewer.text("noscript"), /scripts are off/);
});

there("names are inert in the browser, too", async (t) => {
	const evil = `</script><script>document.title="hacked"</script><img src=x onerror='document.title="hacked"'>`;
	const events = [event(0, "guest", evil, { [evil]: evil }, 0, evil), event(9, "guest", "x", {}, 0, evil)];
	const viewer = await opened(t, { width: 800, scheme: "dark" }, events);
	t.deepEqual(viewer.complaints, []);
	t.is(await viewer.page.title(), "block-io-1 · quickstart · tracelab");
	t.is((await viewer.page.$$("img")).length, 0);
});

there("a page of as many marks as there can be is drawn and moved without a wait", async (t) => {
	const viewer = await opened(t, { width: 1280, scheme: "light" }, syntheticRun(120_000));
	const took = await viewer.page.evaluate(async () => {
		const button = document.querySelector<HTMLElement>(".toolbar button[aria-label='zoom in']");
		const start = performance.now();
		for (let click = 0; click < 5; click++) {
			button?.click();
			await new Promise(requestAnimationFrame);
		}
		return (performance.now() - start) / 5;
	});
	t.log(`${Math.round(took)} ms a frame`);
	t.deepEqual(viewer.complaints, []);
	// A hundred times less than a person would take for broken, on a machine that builds meanwhile.
	t.true(took < 1000, `${took} ms`);
});
