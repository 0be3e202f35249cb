import * as pulumi from "@pulumi/pulumi";
import test from "ava";
import { generationOf, Step, type StepArgs } from "../../components/step.ts";
import { stepProgram } from "../../components/step-program.ts";

interface Registered {
	type: string;
	name: string;
	inputs: Record<string, string | string[]>;
}

const registered: Registered[] = [];
const probed: Record<string, unknown>[] = [];
let found: { drift: string; stamp: string; note?: string } = { drift: "", stamp: "" };

await pulumi.runtime.setMocks(
	{
		call: ({ token, inputs }) => {
			if (token !== "command:local:run") throw new Error(`unexpected call of ${token}`);
			probed.push(inputs);
			return { stdout: JSON.stringify(found), stderr: "" };
		},
		newResource: ({ type, name, inputs }) => {
			registered.push({ type, name, inputs });
			return { id: `${name}-id`, state: { ...inputs, stdout: '{"port":"1234"}' } };
		},
	},
	"tracelab",
	"t",
);

function settled<T>(output: pulumi.Output<T>): Promise<T> {
	return new Promise((resolve) => output.apply(resolve));
}

async function register(name: string, more: Pick<StepArgs, "identity" | "interpreter"> = {}): Promise<Registered> {
	const step = new Step(name, { script: "lab-card", inputs: { card: "it's" }, ...more });
	t_outputs = await settled(step.outputs);
	await settled(step.urn);
	const one = registered.find((entry) => entry.name === name);
	if (one === undefined) throw new Error(`${name} was not registered`);
	return one;
}

let t_outputs: Record<string, string> = {};

function generationIn(entry: Registered): string {
	return /^generation='([^']*)'$/m.exec(String(entry.inputs["stdin"]))?.[1] ?? "";
}

test.serial("a step is one command with three verbs, its program on standard input", async (t) => {
	found = { drift: "", stamp: "" };
	const { type, inputs } = await register("plain");
	t.is(type, "command:local:Command");
	const { stdin, ...others } = inputs;
	t.deepEqual(others, {
		create: "bash -s -- apply",
		update: "bash -s -- apply",
		delete: "bash -s -- remove",
		interpreter: ["bash", "-c"],
		logging: "stderr",
	});
	t.true(String(stdin).includes("card='it'\\''s'\ngeneration="));
	t.deepEqual(t_outputs, { port: "1234" });
});

test.serial("a step on another host goes there through its interpreter, and is otherwise the same", async (t) => {
	found = { drift: "", stamp: "" };
	const interpreter = ["ssh", "-p", "2222", "root@there"];
	probed.length = 0;
	const there = await register("there", { interpreter });
	const { stdin, ...others } = there.inputs;
	t.deepEqual(others, {
		create: "bash -s -- apply",
		update: "bash -s -- apply",
		delete: "bash -s -- remove",
		interpreter,
		logging: "stderr",
	});
	const given = { card: "it's", stack: "t", step: "there" };
	t.is(stdin, stepProgram("lab-card", { ...given, generation: generationIn(there) }));
	t.deepEqual(probed, [
		{
			command: "bash -s -- probe",
			interpreter,
			logging: "none",
			stdin: stepProgram("lab-card", { ...given, generation: "" }),
		},
	]);
});

test.serial("only a step with an identity is replaced, and by a change of it alone", async (t) => {
	const { inputs } = await register("built", { identity: "/opt/tracelab/qemu/0123456789abcdef" });
	t.deepEqual(inputs["triggers"], ["/opt/tracelab/qemu/0123456789abcdef"]);
});

test.serial("what a probe could not look at is a warning", async (t) => {
	const said: unknown[] = [];
	const { warn } = console;
	console.warn = (text) => said.push(text);
	t.teardown(() => {
		console.warn = warn;
	});
	found = { drift: "", stamp: "" };
	await register("seen");
	found = { ...found, note: "it was not looked at" };
	await register("unseen");
	t.deepEqual(said, ["warning: [runtime] it was not looked at"]);
});

test.serial("a host as wanted keeps the generation that was stamped on it", async (t) => {
	found = { drift: "", stamp: "" };
	const stamp = generationIn(await register("same-1"));
	const digest = stamp.split(".")[0];
	t.regex(stamp, /^[0-9a-f]{16}\.[0-9a-f-]{36}$/);
	t.is(generationOf({ drift: "", stamp }, String(digest)), stamp);
});

test("a drift makes another generation, the same for preview and up, and another for the next drift", (t) => {
	const first = generationOf({ drift: "gone", stamp: "aaaa.1" }, "aaaa");
	t.not(first, "aaaa.1");
	t.is(generationOf({ drift: "gone", stamp: "aaaa.1" }, "aaaa"), first);
	t.not(generationOf({ drift: "gone", stamp: first }, "aaaa"), first);
});

test("changed inputs make another generation though the host is as wanted", (t) => {
	t.regex(generationOf({ drift: "", stamp: "aaaa.1" }, "bbbb"), /^bbbb\./);
});

test("with no stamp a generation is always fresh", (t) => {
	const none = { drift: "", stamp: "" };
	t.not(generationOf(none, "aaaa"), generationOf(none, "aaaa"));
});
