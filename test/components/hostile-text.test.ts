import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test, { type ExecutionContext } from "ava";
import { stringify } from "yaml";
import { Step } from "../../components/step.ts";
import { optionValue } from "../../spec/hypervisor.ts";
import { type JsonSchema, stackJsonSchema } from "../../spec/json-schema.ts";
import { loadStack, StackFileError } from "../../spec/load-stack.ts";
import { quote } from "../../spec/quote.ts";
import type { Stack } from "../../spec/schema.ts";
import { asRoot, why } from "../as-root.ts";
import { ScratchProject } from "../spec/scratch-project.ts";
import { CommandProvider, commandProviders, type Properties } from "../toolchain/command-provider.ts";
import { type Registered, type Run, resource, run } from "./mocks.ts";
import { runLab } from "./run-lab.ts";
import { withKvm } from "./samples.ts";
import { sshServer } from "./ssh-server.ts";
import { scriptOf, split } from "./step-text.ts";

// Every text of a stack file, each with what a shell, XML, a terminal or a path would take for its own: refused, or there as
// it is at the end of the way. A new key fails here until somebody decided which.

/** Without a slash, so that most fit into a file's name; without a space, so that most are one word. */
const touch = "touch${IFS}canary";
const texts = {
	substitution: `$(${touch})`,
	backticks: `\`${touch}\``,
	semicolon: `x;${touch};`,
	pipe: `x|${touch}&`,
	quote: `x';${touch};'`,
	doubleQuote: `x";${touch};"`,
	redirection: "x>canary",
	variable: "${PATH}",
	backslash: "x\\",
	glob: "x*?[a-z]",
	braces: "x{a,b}{{",
	percent: "%s%n",
	hash: "x#y",
	dash: "-rf",
	tilde: "~root",
	above: "../above",
	comma: "x,readonly=on",
	entity: "&lt;<a>'",
	space: "x canary",
	outerSpace: " x ",
	unicode: "é漢\u{1f600}",
	bidi: "x\u202ey",
	newline: `x\n${touch}`,
	return: "x\r",
	escape: "x\x1b]0;y\x07",
	nul: "x\0y",
} as const;
type Text = keyof typeof texts;
const all = Object.keys(texts) as Text[];

/** Where a text ends up: a variable of a step's script, or libvirt's XML; or nowhere at all. */
type End = `${string} ${string}` | "command line" | "QEMU's argument" | "nowhere";

interface Decision {
	/** The text as this kind of value has it; by default alone. */
	form?: (text: string) => string;
	/** What is let through. */
	lets: readonly Text[];
	/** What is said of all else, behind the value. */
	said: string | RegExp;
	/** Where what is let through ends up. */
	ends?: End;
	/** As what; by default as it was written. */
	as?: (text: string) => string;
}

const project = new ScratchProject();
const inProject = (text: string): string => resolve(project.root, "trees", text);

/** What has no space in it, and is in ASCII. */
const words = all.slice(0, all.indexOf("space"));
const withSpace: readonly Text[] = [...words, "space"];
const withoutHash = words.filter((text) => text !== "hash");
const fileNames: readonly Text[] = [...withSpace, "unicode", "bidi"];
/** Of a folder that is built in where it is. */
const builtIn: readonly Text[] = ["dash", "tilde", "above"];

const nameLike = { lets: [], said: "is not a name" } satisfies Decision;
const refersTo = (what: string): Decision => ({ lets: [], said: new RegExp(`^no ${what} named "`) });
const guestText = (ends: End, as?: (text: string) => string): Decision => ({
	lets: withSpace,
	said: "is not a text that a guest sees",
	ends,
	...(as === undefined ? {} : { as }),
});
const ofGit = (script: string): Decision => ({
	form: (text) => `git:https://localhost/${text}#v1`,
	lets: withoutHash,
	said: /is not a git address with a tag, branch or commit$/,
	ends: `${script} source`,
	as: (text) => `https://localhost/${text}`,
});
const ofGitReference: Decision = {
	form: (text) => `git:https://localhost/x#${text}`,
	lets: [],
	said: /is not a git address with a tag, branch or commit$/,
};
const ofTree = (script: string): Decision => ({
	form: (text) => `path:trees/${text}`,
	lets: builtIn,
	said: /^nothing can be built in |does not name a folder$/,
	ends: `${script} source`,
	as: inProject,
});
const ofDebian: Decision = { form: (text) => `debian:${text}`, lets: [], said: "does not name a Debian package" };
const ofAddress = (script: string): Decision => ({
	form: (text) => `https://localhost/${text}`,
	lets: words,
	said: "is not an address of a tarball",
	ends: `${script} source`,
});
const sum: Decision = { lets: [], said: "is not a sha256" };

/** Every text of a stack file by its key, NAME for what a person calls things, [] for an item; several forms, in brackets. */
const fields: Readonly<Record<string, Decision>> = {
	extends: { lets: [], said: /^there is no stack "/ },
	description: { lets: [...fileNames, "outerSpace", "newline"], said: "is not a piece of plain text", ends: "nowhere" },
	"qemu.NAME": nameLike,
	"qemu.NAME.source (git)": ofGit("qemu-build"),
	"qemu.NAME.source (git's reference)": ofGitReference,
	"qemu.NAME.source (debian)": ofDebian,
	"qemu.NAME.source (path)": ofTree("qemu-build"),
	"qemu.NAME.source.url": ofAddress("qemu-build"),
	"qemu.NAME.source.sha256": sum,
	"qemu.NAME.targets[]": { lets: [], said: "is not a QEMU target" },
	"qemu.NAME.traceBackends[]": { lets: [], said: "is not a trace backend" },
	"qemu.NAME.configure[]": {
		form: (text) => `--extra=${text}`,
		lets: [...withSpace, "outerSpace"],
		said: "is not a configure option",
		ends: "qemu-build configure",
	},
	"kernels.NAME": nameLike,
	"kernels.NAME.source (git)": ofGit("debug-kernel"),
	"kernels.NAME.source (git's reference)": ofGitReference,
	"kernels.NAME.source (debian)": ofDebian,
	"kernels.NAME.source (path)": ofTree("debug-kernel"),
	"kernels.NAME.source.url": ofAddress("debug-kernel"),
	"kernels.NAME.source.sha256": sum,
	"kernels.NAME.fragments[]": { lets: [], said: "is not a fragment's name" },
	"kernels.NAME.config[]": {
		form: (text) => `CONFIG_X="${text}"`,
		lets: ["glob", "braces", "percent", "hash", "dash", "tilde", "above", "comma", "space", "outerSpace"],
		said: "is not a configuration line",
		ends: "debug-kernel config",
	},
	"images.NAME": nameLike,
	"images.NAME.suite": { lets: [], said: "is not a Debian suite" },
	"images.NAME.packages[]": { lets: [], said: "is not a Debian package name" },
	"modules.NAME": { lets: [], said: "is not a module name" },
	"modules.NAME.source (git)": ofGit("kernel-module"),
	"modules.NAME.source (git's reference)": ofGitReference,
	"modules.NAME.source (debian)": ofDebian,
	"modules.NAME.source (path)": {
		form: (text) => `path:trees/${text}`,
		lets: fileNames,
		said: /does not name a folder$/,
		ends: "kernel-module source",
		as: inProject,
	},
	"modules.NAME.source.url": ofAddress("kernel-module"),
	"modules.NAME.source.sha256": sum,
	"modules.NAME.kernel": refersTo("kernel"),
	"modules.NAME.make[]": {
		form: (text) => `X=${text}`,
		lets: ["percent", "dash", "above", "comma", "space", "outerSpace"],
		said: "is not a make variable",
		ends: "kernel-module make",
	},
	"modules.NAME.load[]": { lets: [], said: "is not a module name" },
	"domains.NAME": nameLike,
	"domains.NAME.qemu": refersTo("QEMU"),
	"domains.NAME.kernel": refersTo("kernel"),
	"domains.NAME.image": refersTo("image"),
	"domains.NAME.modules[]": refersTo("module"),
	"domains.NAME.acceleration": { lets: [], said: "is not an acceleration" },
	"domains.NAME.processName": { lets: [], said: "is not a process name" },
	"domains.NAME.kernelArguments[]": {
		form: (text) => `x="${text}"`,
		lets: [...withSpace, "outerSpace"],
		said: "is not a kernel argument",
		ends: "command line",
	},
	"domains.NAME.kernelArguments[] (bare)": {
		form: (text) => `x=${text}`,
		lets: words,
		said: "is not a kernel argument",
		ends: "command line",
	},
	"domains.NAME.hypervisor.signature": {
		lets: ["space"],
		said: "is not a hypervisor's signature",
		ends: "QEMU's argument",
		as: (text) => `x86_64-cpu.hv-vendor-id=${text}`,
	},
	"domains.NAME.hypervisor.dmiVendor": guestText("QEMU's argument", (text) => `manufacturer=${optionValue(text)}`),
	"domains.NAME.hypervisor.dmiProduct": guestText("QEMU's argument", (text) => `product=${optionValue(text)}`),
	"domains.NAME.expect.signature": guestText("hypervisor-facts expected"),
	"domains.NAME.expect.kernelDetects": guestText("hypervisor-facts expected"),
	"domains.NAME.expect.detectVirt": guestText("hypervisor-facts expected"),
	"domains.NAME.expect.dmiVendor": guestText("hypervisor-facts expected"),
	"domains.NAME.expect.dmiProduct": guestText("hypervisor-facts expected"),
	"domains.NAME.expect.clocksource": guestText("hypervisor-facts expected"),
	"probes.NAME": nameLike,
	"probes.NAME.script": {
		form: (text) => `trees/${text}.stp`,
		lets: fileNames,
		said: "is not a path of a SystemTap script",
		ends: "systemtap-probe script",
		as: (text) => inProject(`${text}.stp`),
	},
	"probes.NAME.domain": refersTo("domain"),
	"traces.NAME": nameLike,
	"traces.NAME.domains[]": refersTo("domain"),
	"traces.NAME.profile": { lets: [], said: "is not a profile's name" },
};

project.write("examples/mymodule.stp", "probe begin { exit() }\n");
project.write(
	"profiles/block-io.yaml",
	"description: A disk.\nbudget: { rate: 1, events: 1 }\nqemu: { virtio_*: Requests. }\n",
);
// What paths lead to: each is there, wherever the name of it leads.
for (const text of Object.values(texts)) {
	if (/\p{Cc}/u.test(text)) continue;
	for (const file of ["configure", "Kconfig", "Kbuild"]) project.write(`trees/${text}/${file}`, "");
	project.write(`trees/${text}.stp`, "probe begin { exit() }\n");
}
test.after.always(() => project.remove());

type Tree = { [key: string]: unknown };

const base = (): Tree => ({
	qemu: { main: { source: "debian:qemu" } },
	kernels: { main: { source: "debian:linux-source-6.1" } },
	images: { main: {} },
	modules: { mymodule: { source: "path:examples/mymodule", kernel: "main" } },
	domains: { vm: { qemu: "main", kernel: "main", image: "main", modules: ["mymodule"] } },
	probes: { watch: { script: "examples/mymodule.stp", domain: "vm" } },
	traces: { flight: { domains: ["vm"], profile: "block-io" } },
});

const keyOf = (field: string): string => field.replace(/ \(.*$/, "");

/** Puts a text where the field is: NAME is the one name there. */
function put(file: Tree, field: string, text: string): void {
	const parts = keyOf(field).split(".");
	const last = parts.pop() ?? "";
	let here = file;
	for (const part of parts) {
		const key = part === "NAME" ? (Object.keys(here)[0] ?? "") : part;
		const inner = here[key];
		// A source that was one text becomes a map.
		const next: Tree = typeof inner === "object" && inner !== null ? (inner as Tree) : {};
		here[key] = next;
		here = next;
	}
	if (last === "NAME") {
		const [name = "", value] = Object.entries(here)[0] ?? [];
		delete here[name];
		here[text] = value;
	} else if (last.endsWith("[]")) here[last.slice(0, -2)] = [text];
	else here[last] = text;
	if (last === "url") here["sha256"] = "0".repeat(64);
	if (last === "sha256") here["url"] = "https://localhost/x";
	if (last === "targets[]") here["targets"] = ["x86_64-softmmu", text];
}

/** The stack, or what is wrong with the file. */
function load(file: Tree): Stack | string[] {
	project.write("stacks/x.yaml", stringify(file));
	try {
		return loadStack("x", { projectRoot: project.root });
	} catch (error) {
		if (!(error instanceof StackFileError)) throw error;
		return error.problems.map(({ message }) => message);
	}
}

const given = (field: string, text: Text): string => {
	const form = fields[field]?.form ?? ((text: string) => text);
	return form(texts[text]);
};

for (const [field, { lets, said }] of Object.entries(fields)) {
	test.serial(`${field}: what it lets through, and what it says of the rest`, (t) => {
		const through: Text[] = [];
		for (const text of all) {
			const value = given(field, text);
			const file = base();
			put(file, field, value);
			const loaded = load(file);
			if (!Array.isArray(loaded)) through.push(text);
			else if (typeof said === "string") t.true(loaded.includes(`${quote(value)} ${said}`), loaded.join("\n"));
			else
				t.true(
					loaded.some((message) => said.test(message)),
					loaded.join("\n"),
				);
		}
		t.deepEqual(
			through,
			all.filter((text) => lets.includes(text)),
		);
	});
}

test("every text of a stack file has its decision here", (t) => {
	t.deepEqual([...new Set(Object.keys(fields).map(keyOf))].sort(), textsOf(stackJsonSchema()).sort());
	for (const [field, { lets, ends }] of Object.entries(fields)) t.is(lets.length > 0, ends !== undefined, field);
});

test("docs/reliability.md counts them as they are", (t) => {
	const docs = readFileSync(join(import.meta.dirname, "../../docs/reliability.md"), "utf8").replaceAll(/\s+/g, " ");
	const places = Object.values(fields);
	const cases = (all.length * places.length).toLocaleString("en");
	const through = places.reduce((sum, { lets }) => sum + lets.length, 0);
	const sentence = `${all.length} hostile texts × ${places.length} places make ${cases} cases, of which ${through} are let through`;
	t.true(docs.includes(sentence), sentence);
});

/** The keys of all texts in a schema, names of a map included. */
function textsOf(schema: JsonSchema, path = ""): string[] {
	const below = (key: string) => (path === "" ? key : `${path}.${key}`);
	const own = schema.type === "string" ? [path] : [];
	const properties = Object.entries(schema.properties ?? {}).flatMap(([key, field]) => textsOf(field, below(key)));
	const named = typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;
	const map = named === undefined ? [] : [below("NAME"), ...textsOf(named, below("NAME"))];
	const items = schema.items === undefined ? [] : textsOf(schema.items, `${path}[]`);
	return [...own, ...properties, ...map, ...items, ...(schema.anyOf ?? []).flatMap((one) => textsOf(one, path))];
}

/** A stack with one hostile text wherever it may be, and where each of them has to come out. */
interface Hostile {
	run: Run<unknown>;
	ends: { field: string; end: End; text: string }[];
}

/** Of each text as many stacks as one key has forms for it. */
async function hostileStacks(): Promise<Hostile[]> {
	const stacks: Hostile[] = [];
	for (const text of all) {
		const rounds: string[][] = [];
		for (const [field] of Object.entries(fields).filter(([, { lets }]) => lets.includes(text))) {
			const slot = (one: string) => keyOf(one).replace(/\.(?:url|sha256)$/, "");
			const free = rounds.find((round) => !round.some((other) => slot(other) === slot(field)));
			if (free === undefined) rounds.push([field]);
			else free.push(field);
		}
		for (const round of rounds) {
			const file = base();
			for (const field of round) put(file, field, given(field, text));
			const stack = load(file);
			if (Array.isArray(stack)) throw new Error(stack.join("\n"));
			const ends = round.map((field) => {
				const { ends: end = "nowhere", as } = fields[field] ?? {};
				return { field, end, text: as === undefined ? given(field, text) : as(texts[text]) };
			});
			stacks.push({ run: await runLab(stack, withKvm), ends });
		}
	}
	return stacks;
}

let made: Promise<Hostile[]> | undefined;
const hostile = (): Promise<Hostile[]> => {
	made ??= hostileStacks();
	return made;
};

/** The program of that script with which the lab registered a step. */
function programOf({ resources }: Run<unknown>, script: string): string {
	const programs = resources
		.filter(({ type }) => type === "command:local:Command")
		.map(({ inputs }) => String(inputs["stdin"]));
	const [program] = programs.filter((program) => scriptOf(program) === script);
	if (program === undefined) throw new Error(`no step runs ${script}`);
	return program;
}

/** The program with its script replaced by one that prints the variable, each of its keys and values in base64. */
function printing(program: string, variable: string): string {
	const script = `declare -n read_back=${variable}
for each in "\${!read_back[@]}" "\${read_back[@]}"; do printf '%s' "$each" | base64 -w0; echo; done
echo -`;
	return `(\n${program.replace(split(program).body, () => script)}\n)\n`;
}

/** Sends all programs of a stack the way of a step, and compares what the scripts got. */
async function arrive(t: ExecutionContext, send: (program: string) => Promise<string> | string): Promise<void> {
	let count = 0;
	for (const { run, ends } of await hostile()) {
		const inSteps = ends.flatMap(({ end, ...rest }) => {
			const [, script, variable] = /^([a-z-]+) ([a-z_]+)$/.exec(end) ?? [];
			return script === undefined || variable === undefined || end === "command line"
				? []
				: [{ script, variable, ...rest }];
		});
		const program = inSteps.map(({ script, variable }) => printing(programOf(run, script), variable)).join("");
		if (program === "") continue;
		const printed = (await send(program)).split(/^-$/m);
		for (const [index, { field, text }] of inSteps.entries()) {
			const got = (printed[index] ?? "").split("\n").map((line) => Buffer.from(line, "base64").toString());
			t.true(got.includes(text), `${field}: ${JSON.stringify(text)} came out as ${JSON.stringify(got)}`);
			count++;
		}
	}
	t.true(count > 200, String(count));
}

function workFolder(t: ExecutionContext): string {
	t.timeout(240_000);
	const folder = mkdtempSync(join(tmpdir(), "tracelab-hostile-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	mkdirSync(join(folder, "work"));
	return folder;
}

/** The command that a step is registered with, where that interpreter reaches its host. */
async function commandThrough(interpreter: readonly string[]): Promise<Properties> {
	const step = () => new Step("sent", { script: "lab-card", inputs: { card: "" }, interpreter });
	return resource(await run({ interpreter }, step), "sent").inputs as Properties;
}

for (const subject of commandProviders()) {
	const sent = async (t: ExecutionContext, dir: string, interpreter: readonly string[]) => {
		await hostile();
		const command = await commandThrough(interpreter);
		t.deepEqual(command["interpreter"], [...interpreter]);
		const provider = await CommandProvider.start(t, subject);
		await arrive(t, async (stdin) => String((await provider.create({ ...command, stdin, dir })).state["stdout"]));
		t.deepEqual(readdirSync(dir), []);
	};

	test.serial(`each text comes to its step as it is, through the ${subject.name}`, async (t) => {
		await sent(t, join(workFolder(t), "work"), ["bash", "-c"]);
	});

	asRoot(`each text comes to its step as it is, through the ${subject.name} and SSH${why}`, async (t) => {
		const folder = workFolder(t);
		const { argv, stop } = await sshServer(folder);
		t.teardown(stop);
		await sent(t, join(folder, "work"), argv);
		// Where the programs ran.
		const [program = "", ...rest] = argv;
		t.is(execFileSync(program, [...rest, "ls -A"], { encoding: "utf8", stdio: "pipe" }), ".ssh\n");
	});
}

const xslt = ({ inputs }: Registered): string => (inputs["xml"] as { xslt: string }).xslt;

/** The text of an element or an attribute in what xsltproc writes. */
const plain = (xml: string): string =>
	xml.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&");

test.serial("each text comes to libvirt's XML as it is", async (t) => {
	const folder = workFolder(t);
	const file = join(folder, "domain.xsl");
	let count = 0;
	for (const { run, ends } of await hostile()) {
		writeFileSync(file, xslt(resource(run, "domain-vm-domain")));
		const before = "<domain><os><cmdline/></os><devices/></domain>";
		const after = execFileSync("xsltproc", ["--nonet", file, "-"], { input: before, encoding: "utf8" });
		const commandLine = plain(/<cmdline>(.*)<\/cmdline>/.exec(after)?.[1] ?? "");
		const options = [...after.matchAll(/<qemu:arg value="([^"]*)"\/>/g)].map(([, value = ""]) => plain(value));
		for (const { field, end, text } of ends) {
			if (end === "command line") t.true(commandLine.endsWith(` ${text}`), `${field}: ${commandLine}`);
			else if (end === "QEMU's argument") {
				// Commas of a value are doubled.
				const parts = options.flatMap((option) => option.split(/(?<!,),(?!,)/));
				t.true(parts.includes(text), `${field}: ${options.join(" ")}`);
			} else continue;
			count++;
		}
	}
	t.true(count > 60, String(count));
});

test.serial("what is only for who reads the stack file is in nothing that is made", async (t) => {
	for (const text of ["substitution", "newline"] as const) {
		const file = base();
		put(file, "description", texts[text]);
		const stack = load(file);
		if (Array.isArray(stack)) throw new Error(stack.join("\n"));
		t.is(stack.description, texts[text]);
		const { resources } = await runLab(stack, withKvm);
		t.false(JSON.stringify(resources).includes(JSON.stringify(texts[text]).slice(1, -1)));
	}
});
