import { readFileSync, writeFileSync } from "node:fs";
import test from "ava";
import { loadStack, StackFileError, stackNames } from "../../spec/load-stack.ts";

// Each file of a folder is one way to go wrong; the text beside it is what the person sees, to the letter.
// UPDATE_GOLDEN=1 writes the texts anew; read them before they are committed.

// This folder stands for a project, with a kconfig/ and an examples/ of its own, so that no text changes with theirs.
const projectRoot = import.meta.dirname;

const refused = test.macro({
	title: (_, folder: string, name: string) => `${folder}/${name}.yaml is refused in its own words`,
	exec(t, folder: string, name: string) {
		const path = `${projectRoot}/${folder}`;
		const error = t.throws(() => loadStack(name, { folder: path, projectRoot }), { instanceOf: StackFileError });
		const golden = `${path}/${name}.txt`;
		if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, `${error?.message}\n`);
		t.is(`${error?.message}\n`, readFileSync(golden, "utf8"));
	},
});

for (const folder of ["bad", "bad-extends"]) {
	const names = stackNames(`${projectRoot}/${folder}`);
	// The base-… are there to be extended.
	for (const name of names.filter((name) => !name.startsWith("base-"))) test(refused, folder, name);
}
