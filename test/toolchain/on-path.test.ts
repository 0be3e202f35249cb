import { mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { isAtLeast, pulumiOnPath } from "../../toolchain/on-path.ts";
import { pulumiVersion } from "../../toolchain/parts.ts";
import { Scratch } from "./scratch.ts";

const atLeast = test.macro({
	title: (_, said: string, wanted: string, answer: boolean) =>
		`"${said.trim()}" is ${answer ? "" : "not "}at least ${wanted}`,
	exec(t, said: string, wanted: string, answer: boolean) {
		t.is(isAtLeast(said, wanted), answer);
	},
});

for (const [said, wanted, answer] of [
	["v3.259.0", "3.259.0", true],
	["3.259.0\n", "3.259.0", true],
	["v3.259.1", "3.259.0", true],
	["v3.260.0", "3.259.9", true],
	["v4.0.0", "3.259.0", true],
	["v3.1000.0", "3.259.0", true],
	["v3.259.0-alpha.1", "3.259.0", true],
	["v3.258.99", "3.259.0", false],
	["v3.26.0", "3.259.0", false],
	["v2.999.999", "3.259.0", false],
	["v3.259", "3.259.0", false],
	["", "3.259.0", false],
	["pulumi v3.259.0", "3.259.0", false],
] as const) {
	test(atLeast, said, wanted, answer);
}

/** A folder with a `pulumi` that says its version, and its language host. */
function installed(scratch: Scratch, folder: string, version: string, host = true): string {
	scratch.fake(`${folder}/pulumi`, `mkdir -p "$PULUMI_HOME/logs"; echo '${version}'`);
	if (host) scratch.fake(`${folder}/pulumi-language-nodejs`, "");
	return join(scratch.root, folder);
}

function look(t: ExecutionContext, scratch: Scratch, ...folders: string[]) {
	scratch.path(t, ...folders, "/usr/bin", "/bin");
	return pulumiOnPath(join(scratch.root, "ours"), scratch.log);
}

test.serial("a pulumi on PATH that is new enough is taken", async (t) => {
	const scratch = new Scratch(t);
	const theirs = installed(scratch, "theirs", `v${pulumiVersion}`);
	t.is(await look(t, scratch, theirs), join(theirs, "pulumi"));
	t.deepEqual(scratch.calls(), ["pulumi version"]);
});

test.serial(
	"what a pulumi on PATH writes when it is asked for its version is in our home, not in the person's",
	async (t) => {
		const scratch = new Scratch(t);
		await look(t, scratch, installed(scratch, "theirs", `v${pulumiVersion}`));
		t.deepEqual(readdirSync(join(scratch.root, "ours")), ["logs"]);
	},
);

test.serial("a link on PATH is followed to where the language host is", async (t) => {
	const scratch = new Scratch(t);
	const theirs = installed(scratch, "opt/pulumi", "v3.300.0");
	mkdirSync(join(scratch.root, "links"));
	symlinkSync(join(theirs, "pulumi"), join(scratch.root, "links", "pulumi"));
	t.is(await look(t, scratch, join(scratch.root, "links")), join(theirs, "pulumi"));
});

test.serial("no pulumi on PATH is none", async (t) => {
	const scratch = new Scratch(t);
	t.is(await look(t, scratch, "", "/no/such/folder"), undefined);
});

test.serial("our own pulumi on PATH is not theirs, and theirs behind it is found", async (t) => {
	const scratch = new Scratch(t);
	const ours = installed(scratch, "ours/bin", "v3.300.0");
	symlinkSync(ours, join(scratch.root, "link"));
	for (const spelling of [ours, `${ours}/`, join(scratch.root, "link")]) {
		t.is(await look(t, scratch, spelling), undefined);
	}
	const theirs = installed(scratch, "theirs", "v3.300.0");
	t.is(await look(t, scratch, ours, theirs), join(theirs, "pulumi"));
});

test.serial("an old pulumi is none, though a new one comes later on PATH", async (t) => {
	const scratch = new Scratch(t);
	const [old, young] = [installed(scratch, "old", "v3.258.0"), installed(scratch, "young", "v3.300.0")];
	t.is(await look(t, scratch, old, young), undefined);
});

test.serial("a pulumi without its language host is none", async (t) => {
	const scratch = new Scratch(t);
	t.is(await look(t, scratch, installed(scratch, "theirs", "v3.300.0", false)), undefined);
});

test.serial("a pulumi that fails or is no program is none", async (t) => {
	const scratch = new Scratch(t);
	const failing = installed(scratch, "failing", "v3.300.0'; exit 1 #");
	t.is(await look(t, scratch, failing), undefined);
	scratch.write("text/pulumi", "text");
	t.is(await look(t, scratch, join(scratch.root, "text")), undefined);
});
