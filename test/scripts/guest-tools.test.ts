import test, { type ExecutionContext } from "ava";
import { ScratchHost } from "./run-step.ts";

const step = "guest-tools";
const prefix = "/opt/tracelab/guest-tools/0123456789abcdef";

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	return scratch;
}

test("the programs are compiled once, static, and go to the cache", async (t) => {
	const scratch = host(t);
	const inputs = { prefix, sources: { hello: '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n' } };
	t.is(
		(await scratch.step(step, "probe", inputs)).stdout["drift"],
		`the guests' toolset is not built (${prefix} is absent)`,
	);
	const first = await scratch.step(step, "apply", inputs);
	t.regex(first.stderr, /^the guests' toolset built in \d+ s$/);
	const program = `${scratch.root}${prefix}/bin/hello`;
	t.is((await scratch.bash(`printf '{"said":"%s"}' "$('${program}')"`)).stdout["said"], "hello");
	t.regex(
		String((await scratch.bash(`printf '{"is":"%s"}' "$(readelf -lW '${program}' | grep -c INTERP)"`)).stdout["is"]),
		/^0$/,
	);
	const applied = scratch.tree();
	t.is((await scratch.step(step, "apply", inputs)).stderr, "the guests' toolset is up to date");
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "remove", inputs)).code, 0);
	t.true("var/cache/tracelab/builds/guest-tools/0123456789abcdef/bin/hello" in scratch.tree());
});

test("a program that does not compile is an error with the compiler's words, and nothing of it stays", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await scratch.step(step, "apply", {
		prefix,
		sources: { hello: "int main(void) { return x; }" },
	});
	t.is(code, 1);
	t.regex(stderr, /^tracelab: guest-tools: compiling hello failed \(exit 1\)/);
	t.regex(stderr, /error: .x. undeclared/);
	t.false(prefix.slice(1) in scratch.tree());
});
