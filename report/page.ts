import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import type { Report } from "./aggregate.ts";
import type { RunFacts } from "./facts.ts";
import { html } from "./html.ts";
import type { PageData } from "./page-data.ts";
import { pageText } from "./page-text.ts";

const folder = `${import.meta.dirname}/page`;

/** The whole page: one file that asks for no other. */
export async function page(facts: RunFacts, report: Report): Promise<string> {
	const clocks = facts.clocks.map(({ domain, bound, points }) => ({ domain, bound, points }));
	const data: PageData = { ...report.page, clocks };
	const parts: Readonly<Record<string, string>> = {
		title: html`${facts.run} · ${facts.stack} · tracelab`.text,
		text: pageText(facts, report).text,
		data: gzipSync(JSON.stringify(data)).toString("base64"),
		...(await bundled()),
	};
	// Once over the template: what was put in is not looked at again.
	return readFileSync(`${folder}/page.html`, "utf8").replace(/{{(\w+)}}/g, (_, name: string) => parts[name] ?? "");
}

/** The page's script and style, each with what it imports. */
async function bundled(): Promise<{ script: string; style: string }> {
	const { outputFiles } = await build({
		entryPoints: [`${folder}/main.ts`, `${folder}/page.css`],
		bundle: true,
		minify: true,
		format: "iife",
		target: ["chrome111", "firefox113", "safari16.4"],
		legalComments: "inline",
		outdir: "page",
		write: false,
		logLevel: "silent",
	});
	const output = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? "";
	return { script: output(".js"), style: output(".css") };
}
