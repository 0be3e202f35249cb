import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { project } from "../../cli/host.ts";

/** The headless browser of this machine; nothing where it has none. */
export const browserProgram = ["chromium-headless-shell", "chromium"]
	.flatMap((name) => (process.env["PATH"] ?? "").split(":").map((folder) => join(folder, name)))
	.find((file) => existsSync(file));

export interface Looks {
	width: number;
	scheme: "light" | "dark";
	script?: boolean;
	/** A finger in place of a mouse. */
	touch?: boolean;
}

/** Pictures that a person may look at after the tests; git ignores them. */
const pictures = join(project, "test-artefacts");

/** A page in a real browser, with all that it complained of. */
export class Viewer {
	readonly page: Page;
	readonly complaints: string[] = [];
	/** What it asked the network for. */
	readonly requests: string[] = [];

	private constructor(page: Page) {
		this.page = page;
		page.on("console", (message) => this.complaints.push(message.text()));
		page.on("pageerror", (error) => this.complaints.push(String(error)));
		page.on("request", (request) => this.requests.push(request.url().slice(0, 60)));
	}

	static async open(t: ExecutionContext, html: string, looks: Looks): Promise<Viewer> {
		const browser: Browser = await puppeteer.launch({
			executablePath: browserProgram ?? "",
			// Root, as whoever runs the whole proof is, has no sandbox of its own.
			args: ["--no-sandbox"],
		});
		t.teardown(() => browser.close());
		const viewer = new Viewer(await browser.newPage());
		const { page } = viewer;
		const { width, scheme, script = true, touch = false } = looks;
		await page.setViewport({ width, height: 900, deviceScaleFactor: 2, hasTouch: touch, isMobile: touch });
		await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
		await page.setJavaScriptEnabled(script);
		mkdirSync(pictures, { recursive: true });
		const file = join(pictures, "report.html");
		writeFileSync(file, html);
		await page.goto(`file://${file}`);
		if (script) await page.waitForSelector("html[data-drawn]", { timeout: 60_000 });
		return viewer;
	}

	async picture(name: string): Promise<void> {
		await this.page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
	}

	/** Of each chart, how many pixels have a layer's colour: text, axes and grid are grey. */
	async drawn(): Promise<Record<string, number[]>> {
		return this.page.evaluate(() => {
			const found: Record<string, number[]> = {};
			for (const canvas of document.querySelectorAll("canvas")) {
				const { data } = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height) ?? { data: [] };
				let count = 0;
				for (let at = 0; at < data.length; at += 4) {
					const [red = 0, green = 0, blue = 0, opaque = 0] = [data[at], data[at + 1], data[at + 2], data[at + 3]];
					if (opaque > 20 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) count++;
				}
				const chart = canvas.closest<HTMLElement>("[data-chart]")?.dataset["chart"] ?? "";
				found[chart] = [...(found[chart] ?? []), count];
			}
			return found;
		});
	}

	/** The timeline as it is on the screen. */
	image(): Promise<string> {
		return this.page.$eval("[data-chart=timeline] canvas", async (canvas) => {
			await new Promise(requestAnimationFrame);
			return (canvas as HTMLCanvasElement).toDataURL();
		});
	}

	text(selector: string): Promise<string> {
		return this.page.$eval(selector, (element) => element.textContent ?? "");
	}

	/** What the timeline says of its view: how wide it is, and from where. */
	view(): Promise<string> {
		return this.text(".toolbar output");
	}
}
