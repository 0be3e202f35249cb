import { lstatSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ScratchHost, type StepRun } from "./run-step.ts";

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	return scratch;
}

function set(scratch: ScratchHost, text: string, name = ""): Promise<StepRun> {
	return scratch.library("marked", `trap on_exit EXIT\nmarked_set "$root/etc/file" '${text}' '${name}'`);
}

/** What is between our marks, as the library reads it. */
async function marked(scratch: ScratchHost, name = ""): Promise<string> {
	const body = `json_object "\\"text\\":$(json_string "$(marked_text "$root/etc/file" '${name}')")"`;
	return (await scratch.library("marked", body)).stdout["text"] ?? "";
}

for (const [what, text] of [
	["with a line's end at its end", "one\ntwo\n"],
	["without a line's end at its end", "one\ntwo"],
	["that is empty", ""],
	["that ends in empty lines", "one\n\n\n"],
	["with Windows' lines", "one\r\ntwo\r\n"],
	["with marks that only look like ours", "# tracelab BEGINS\n# tracelab END of it\n"],
] as const) {
	test(`lines of ours come first in a file ${what}, and it comes back byte for byte`, async (t) => {
		const scratch = host(t);
		scratch.write("etc/file", text, 0o600);
		const before = scratch.tree();
		await set(scratch, "ours = 1\nours = 2");
		t.is(scratch.read("etc/file"), `# tracelab BEGIN\nours = 1\nours = 2\n# tracelab END\n${text}`);
		t.is(await marked(scratch), "ours = 1\nours = 2");
		await set(scratch, "");
		t.deepEqual(scratch.tree(), before);
	});
}

test("setting the same lines twice changes nothing", async (t) => {
	const scratch = host(t);
	scratch.write("etc/file", "theirs\n");
	await set(scratch, "ours");
	const once = scratch.tree();
	await set(scratch, "ours");
	t.deepEqual(scratch.tree(), once);
});

test("other lines take the place of the old ones", async (t) => {
	const scratch = host(t);
	scratch.write("etc/file", "theirs\n");
	await set(scratch, "old");
	await set(scratch, "new");
	t.is(scratch.read("etc/file"), "# tracelab BEGIN\nnew\n# tracelab END\ntheirs\n");
});

test("two names have lines of their own", async (t) => {
	const scratch = host(t);
	scratch.write("etc/file", "theirs\n");
	await set(scratch, "of a", "a");
	await set(scratch, "of b", "b");
	t.deepEqual([await marked(scratch, "a"), await marked(scratch, "b"), await marked(scratch)], ["of a", "of b", ""]);
	await set(scratch, "", "a");
	t.is(scratch.read("etc/file"), "# tracelab BEGIN b\nof b\n# tracelab END b\ntheirs\n");
});

test("what somebody wrote around our lines stays", async (t) => {
	const scratch = host(t);
	scratch.write("etc/file", "above\n# tracelab BEGIN\nours\n# tracelab END\nbelow\n");
	await set(scratch, "");
	t.is(scratch.read("etc/file"), "above\nbelow\n");
});

test("taking lines out of a file that is not there makes none", async (t) => {
	const scratch = host(t);
	await set(scratch, "");
	t.deepEqual(scratch.tree(), {});
	t.is(await marked(scratch), "");
});

test("a file that is not there is made with our lines", async (t) => {
	const scratch = host(t);
	await set(scratch, "ours");
	t.is(scratch.read("etc/file"), "# tracelab BEGIN\nours\n# tracelab END\n");
	t.is(statSync(join(scratch.root, "etc/file")).mode & 0o777, 0o644);
});

test("a link stays a link, and what it leads to keeps its lines", async (t) => {
	const scratch = host(t);
	scratch.write("srv/real", "theirs\n", 0o640);
	scratch.write("etc/other", "");
	symlinkSync("../srv/real", join(scratch.root, "etc/file"));
	const before = scratch.tree();
	await set(scratch, "ours");
	t.true(lstatSync(join(scratch.root, "etc/file")).isSymbolicLink());
	t.is(scratch.read("srv/real"), "# tracelab BEGIN\nours\n# tracelab END\ntheirs\n");
	await set(scratch, "");
	t.deepEqual(scratch.tree(), before);
});

for (const [what, text] of [
	["end", "# tracelab BEGIN\nours\ntheirs\n"],
	["beginning", "theirs\n# tracelab END\n"],
] as const) {
	test(`a file whose mark of our ${what} was lost is left as it is, and that is an error`, async (t) => {
		const scratch = host(t);
		const file = scratch.write("etc/file", what === "end" ? text : `# tracelab BEGIN\n# tracelab END\n${text}`);
		const before = scratch.tree();
		const { code, stderr } = await set(scratch, "");
		t.is(code, 1);
		t.is(
			stderr,
			[
				`tracelab: test: ${file} has a line '# tracelab BEGIN' and no '# tracelab END' to it, or the other way round`,
				"  what to do: put the missing line back around what the lab wrote, or take all of it out, then run up again",
			].join("\n"),
		);
		t.deepEqual(scratch.tree(), before);
	});
}

test("a step that is killed while it writes leaves the file whole", async (t) => {
	const scratch = host(t);
	scratch.write("etc/file", "theirs\n");
	scratch.fake("mv", "kill -9 $PPID");
	t.is((await set(scratch, "ours")).code, undefined);
	t.is(scratch.read("etc/file"), "theirs\n");
	scratch.fake("mv", 'exec /bin/mv "$@"');
	await set(scratch, "ours");
	t.deepEqual(Object.keys(scratch.tree()), ["etc", "etc/file"]);
	t.is(scratch.read("etc/file"), "# tracelab BEGIN\nours\n# tracelab END\ntheirs\n");
});
