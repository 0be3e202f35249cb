import { checkStack, stackOption } from "../card.ts";
import { LabError } from "../errors.ts";
import { project } from "../host.ts";
import type { BegunStep } from "../lab/ownership.ts";
import { asRoot } from "../privilege.ts";
import { run } from "../program.ts";
import { duration, paint, print, table } from "../terminal.ts";
import { begunBuilds } from "./begun-builds.ts";

/** What a build's second making said of it (scripts/lib/build.sh). */
interface Comparison {
	/** How many files and links there are. */
	files: string;
	/** Paths of those that are not the same, one a line. */
	differing: string;
	/** Which tools are others than those that it was made with: it `was made with gcc-12 12.2.0-14, and now with …`. */
	tools?: string;
	/** What diffoscope says of the first one, where it is installed: no more than a page. */
	difference?: string;
}

/** How many of the differing files are named. */
const shown = 10;

/**
 * Makes builds of a lab a second time, from their sources alone and in another place, and shows whether they are the same
 * byte by byte. What the lab uses stays as it is. Returns 1 where one is not.
 *
 * @throws UsageError for a name that is no build of the lab's, LabError where one cannot be made
 */
export async function rebuild(stack: string, wanted: readonly string[]): Promise<number> {
	checkStack(stack);
	const there = await asRoot();
	if (there !== undefined) return there;
	const rows: string[][] = [];
	const different: string[] = [];
	for (const { name, step } of begunBuilds(stack, wanted)) {
		const begun = performance.now();
		const { files, differing, tools, difference } = await makeAgain(step);
		const paths = differing.split("\n").filter((path) => path !== "");
		const verdict = paths.length === 0 ? paint("green", "same") : paint("red", "DIFFERS");
		const took = duration((performance.now() - begun) / 1000);
		rows.push([verdict, name, `${paths.length} of ${files}`, took]);
		if (paths.length > 0) {
			const why = tools === undefined ? [] : [`  it ${tools}`];
			different.push([...differences(stack, step, name, paths), ...why, difference ?? []].flat().join("\n"));
		}
	}
	print(table(["", "BUILD", "FILES THAT DIFFER", "BUILT AGAIN IN"], rows));
	if (different.length > 0) print(`\n${different.join("\n")}`);
	return different.length === 0 ? 0 : 1;
}

function differences(stack: string, step: BegunStep, name: string, paths: readonly string[]): string[] {
	const more = paths.length > shown ? [`  and ${paths.length - shown} more`] : [];
	const lines = paths.slice(0, shown).map((path) => `  ${path}`);
	return [`${name}: see ./lab${stackOption(stack)} logs ${step.name}`, ...lines, ...more];
}

async function makeAgain({ name, file }: BegunStep): Promise<Comparison> {
	const elsewhere = `${project}/scripts/build-elsewhere.sh`;
	const { code, stdout } = await run("bash", [elsewhere, file], "", { progress: true });
	if (code !== 0) throw new LabError(`${name} could not be made a second time`, "what it said is above");
	return JSON.parse(stdout) as Comparison;
}
