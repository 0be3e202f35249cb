import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import test from "ava";

const project = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(project, file), "utf8");

/** The table of docs/host-layout.md: what goes through sudo, and why. */
const documented = (read("docs/host-layout.md").split("## What goes through sudo\n")[1]?.split("\n## ")[0] ?? "")
	.split("\n")
	.flatMap((line) => {
		const [, command, why] = /^\| `([^`]+)`[^|]*\| (.+) \|$/.exec(line) ?? [];
		return command === undefined || why === undefined ? [] : [{ command, why }];
	});

/** Top-level functions of a module, by name, with their text. */
function functionsOf(file: string): Map<string, string> {
	const parts = read(file).split(/^(?=(?:export )?(?:async )?function )/m);
	return new Map(parts.map((part) => [/function (\w+)/.exec(part)?.[1] ?? "", part]));
}

/** Does a function go on as root, or have something done by root, itself or through functions beside it? */
function becomesRoot(file: string, name: string): boolean {
	const functions = functionsOf(file);
	const seen = new Set<string>();
	const reaches = (one: string): boolean => {
		if (seen.has(one)) return false;
		seen.add(one);
		const text = functions.get(one) ?? "";
		if (/\b(?:asRoot|rootsOwn)\(/.test(text)) return true;
		return [...functions.keys()].some((other) => new RegExp(`\\b${other}\\(`).test(text) && reaches(other));
	};
	if (!functions.has(name)) throw new Error(`${file} has no function ${name}`);
	return reaches(name);
}

/** Each command of cli/main.ts, by its words, and whether it calls sudo. */
function commands(): { words: string; sudo: boolean }[] {
	const [, ...blocks] = read("cli/main.ts").split(/\n(?=\w+\n\t\.command\(|const \w+ = program\.command\()/);
	return blocks.flatMap((block) => {
		const [, group = ""] = /^(\w+)\n/.exec(block) ?? [];
		const [, name = ""] = /\.command\("(\w+)"\)/.exec(block) ?? [];
		// A group of commands does nothing by itself.
		if (group === "") return [];
		const words = group === "program" ? name : `${group} ${name}`;
		const called = [...block.matchAll(/import\("\.\/([\w/-]+\.ts)"\)\)?\.(\w+)\(/g)];
		const sudo =
			block.includes("endAsRoot(") || called.some(([, file = "", name = ""]) => becomesRoot(`cli/${file}`, name));
		return [{ words, sudo }];
	});
}

test("docs/host-layout.md has each command of ./lab that calls sudo, with its why, and no other", (t) => {
	const all = commands();
	t.true(all.length > 25, String(all.length));
	const calling = all.filter(({ sudo }) => sudo).map(({ words }) => `./lab ${words}`);
	const told = documented.filter(({ command }) => command.startsWith("./lab "));
	t.deepEqual(told.map(({ command }) => command).sort(), calling.sort());
	for (const { command, why } of documented) t.regex(why, /^\S.{10,}/, command);
});

test("docs/reliability.md counts them", (t) => {
	const all = commands();
	const sentence = `Of the ${all.length} commands of \`./lab\`, ${all.filter(({ sudo }) => sudo).length} [call sudo]`;
	t.true(read("docs/reliability.md").replaceAll(/\s+/g, " ").includes(sentence), sentence);
});

test("README.md names the same commands", (t) => {
	const [, sentence = ""] = /call sudo themselves: ([\s\S]*?)\. `console`/.exec(read("README.md")) ?? [];
	const names = [...sentence.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
	// Of several commands of a group, the first has its name.
	const whole = names.map((name) => (/^(?:again|start|rotate|stop|snapshot|rm)$/.test(name) ? `trace ${name}` : name));
	const calling = commands().filter(({ sudo }) => sudo);
	t.deepEqual(whole.sort(), calling.map(({ words }) => words).sort());
});

/** Files of the project that are run on the host. */
function programs(folder: string): string[] {
	return readdirSync(join(project, folder)).flatMap((name) => {
		const path = join(folder, name);
		if (name === "node_modules") return [];
		if (statSync(join(project, path)).isDirectory()) return programs(path);
		return /\.(?:ts|sh)$|^[a-z]+$/.test(name) ? [path] : [];
	});
}

test("nothing else calls sudo: cli/privilege.ts does for commands, scripts/test for itself, set-up for two kinds of packages", (t) => {
	const folders = ["cli", "components", "scripts", "spec", "toolchain", "report", "bench"].flatMap(programs);
	const calling = ["lab", "index.ts", ...folders].filter((file) => /["'`]sudo["'`]|\bsudo "\$/.test(read(file)));
	t.deepEqual(calling.sort(), ["cli/privilege.ts", "scripts/test", "toolchain/debian-packages.sh"]);
	const installing = (file: string) =>
		read(file)
			.split("\n")
			.filter((line) => /debian-?packages/i.test(line))
			.map((line) => line.trim());
	t.deepEqual(installing("scripts/setup"), ['toolchain/debian-packages.sh "${missing[@]}"']);
	t.deepEqual(installing("toolchain/go.ts"), [
		'const debianPackages = fileURLToPath(new URL("debian-packages.sh", import.meta.url));',
		'await run([debianPackages, "python3-pip"], { ...options, advice });',
	]);
	const told = documented.map(({ command }) => command).filter((command) => !command.startsWith("./lab "));
	t.deepEqual(told, ["scripts/test", "scripts/setup --test", "scripts/setup"]);
});
