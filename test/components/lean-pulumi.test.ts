import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import test from "ava";

/** Runs a program that starts as index.ts does, and returns what it prints. */
function printed(program: string): unknown {
	const start = [
		'import "./components/lean-pulumi.ts";',
		'import { createRequire } from "node:module";',
		'import * as pulumi from "@pulumi/pulumi";',
		'const require = createRequire(process.cwd() + "/index.ts");',
		'const loaded = (part) => Object.keys(require.cache).some((file) => file.includes("/node_modules/" + part + "/"));',
	];
	const text = execFileSync(process.execPath, ["--input-type=module", "-e", [...start, program].join("\n")], {
		cwd: fileURLToPath(new URL("../../", import.meta.url)),
		encoding: "utf8",
	});
	return JSON.parse(text);
}

const asked = 'const found = ["@pulumi/pulumi", "typescript", "@npmcli/arborist"].map(loaded);';

test("a program starts without compiler and package manager", (t) => {
	t.deepEqual(printed(`${asked} console.log(JSON.stringify(found));`), [true, false, false]);
});

test("a function still becomes text where somebody asks for it", (t) => {
	const program = `const { text } = await pulumi.runtime.serializeFunction(() => 42);
		${asked} console.log(JSON.stringify([text.includes("return 42") || text.includes("=> 42"), found[1]]));`;
	t.deepEqual(printed(program), [true, true]);
});

test("an error's stack is Node's own", (t) => {
	t.is(printed("console.log(JSON.stringify(typeof Error.prepareStackTrace));"), "undefined");
});
