import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";

const project = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(project, file), "utf8");

const text = read("docs/reliability.md").replaceAll(/\s+/g, " ");

/** How many bad files of a folder have their messages beside them. */
const refused = (folder: string): number =>
	readdirSync(join(project, "test/spec", folder)).filter((name) => name.endsWith(".txt")).length;

/** The numbers that a test file has behind these words. */
const numbers = (file: string, words: RegExp): number[] =>
	[...read(`test/${file}`).matchAll(words)].map(([, number]) => Number(number));

const sum = (all: readonly number[]): number => all.reduce((one, other) => one + other, 0);
const shown = (number: number): string => number.toLocaleString("en");

test("docs/reliability.md counts the bad files as they are", (t) => {
	const [stacks, extending, profiles] = ["bad", "bad-extends", "bad-profiles/profiles"].map(refused);
	const sentence = `${stacks} stack files, ${extending} that extend another one, and ${profiles} profiles`;
	t.true(text.includes(sentence), sentence);
	const all = sum([stacks ?? 0, extending ?? 0, profiles ?? 0]);
	t.true(text.includes(`\`ls test/spec/bad*/*.txt test/spec/bad-profiles/profiles/*.txt | wc -l\` prints ${all})`));
});

test("docs/reliability.md counts the random files as they are by default", (t) => {
	const runs = (file: string) => shown(sum(numbers(`spec/${file}`, /numRuns: (\d+)/g)));
	const [mutations] = numbers("spec/mutations.test.ts", /"FUZZ_RUNS"\] \?\? (\d+)/g);
	for (const words of [
		`(${runs("round-trip.test.ts")} in \`test/spec/round-trip.test.ts\`)`,
		`${runs("any-input.test.ts")} in \`any-input.test.ts\`, and ${shown(mutations ?? 0)} in \`mutations.test.ts\``,
	])
		t.true(text.includes(words), words);
});

test("docs/reliability.md counts those that race for a setting as they are", (t) => {
	const file = "scripts/ledger-races.test.ts";
	const [owners = 0] = numbers(file, /Array\.from\(\{ length: (\d+)/g);
	const [last] = numbers(file, /round < (\d+); round\+\+/g);
	const [comeAndGo = 0, killed = 0] = numbers(file, /round < (\d+); round\+\+\)\)/g);
	const [few = 0] = numbers(file, /owners\.slice\(0, (\d+)\)\)\)/g);
	for (const words of [
		`${owners} owners that claim and release one setting at the same moment; ${last} last releases`,
		`${owners * comeAndGo} claims and releases of ${owners} owners that come and go`,
		// One of a claim and one of a release in each round.
		`${few * killed * 2} kills of ${few} owners`,
	])
		t.true(text.includes(words), words);
});
