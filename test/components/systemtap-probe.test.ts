import { readFileSync } from "node:fs";
import test from "ava";
import { loadStack } from "../../spec/load-stack.ts";
import type { Stack } from "../../spec/schema.ts";
import { correctionLines } from "../../spec/systemtap-corrections.ts";
import { isStep } from "./assert-step.ts";
import { type Run, resource, settled } from "./mocks.ts";
import { runLab } from "./run-lab.ts";

const stack = loadStack("probes");
const script = new URL("../../examples/mymodule.stp", import.meta.url).pathname;

/** The build of a part, as its step was told. */
function prefix(run: Run<unknown>, build: string): string {
	const { triggers } = resource(run, build).inputs;
	const [only] = Array.isArray(triggers) ? triggers : [];
	return String(only);
}

const probePrefix = async (changed: Stack) => prefix(await runLab(changed), "probe-mymodule-vm");

/** The stack with another domain `vm`. */
function withDomain(change: Partial<Stack["domains"][string]>): Stack {
	const { vm } = stack.domains;
	if (vm === undefined) throw new Error("probes has no vm");
	return { ...stack, domains: { vm: { ...vm, ...change } } };
}

test.serial("a probe is one step, after its domain's modules are installed, and waits for no guest", async (t) => {
	const up = await runLab(stack);
	t.is(resource(up, "probe-mymodule").parent, "probes");
	const { parent, dependsOn } = resource(up, "probe-mymodule-vm");
	t.is(parent, "probe-mymodule");
	t.deepEqual(dependsOn, ["domain-vm-share"]);
	t.true(resource(up, "probes-card").dependsOn.includes("probe-mymodule-vm"));
});

test.serial("its step gets the script's text and all that it is compiled for", async (t) => {
	const up = await runLab(stack);
	const build = prefix(up, "probe-mymodule-vm");
	t.regex(build, /^\/opt\/tracelab\/probe\/[0-9a-f]{16}$/);
	isStep(t, up, "probe-mymodule-vm", {
		script: "systemtap-probe",
		identity: build,
		inputs: {
			prefix: build,
			name: "mymodule",
			module: "stap_mymodule",
			script,
			text: readFileSync(script, "utf8"),
			kernel_prefix: prefix(up, "kernel-main-build"),
			folder: "/var/lib/tracelab/domains/probes-vm",
			domain: "probes-vm",
			modules: "lttng mymodule",
			probed: { mymodule: prefix(up, "module-mymodule-build") },
			corrections: correctionLines,
		},
	});
	t.deepEqual((await settled(up.made.card)).probes, {
		mymodule: { domain: "vm", script, prefix: build, module: "stap_mymodule" },
	});
});

test.serial("another kernel, and another build of the module, are another probe", async (t) => {
	const first = await probePrefix(stack);
	const { main } = stack.kernels;
	if (main === undefined) throw new Error("probes has no kernel main");
	t.not(await probePrefix({ ...stack, kernels: { main: { ...main, config: ["CONFIG_PREEMPT=y"] } } }), first);
	const source = { kind: "git", url: "https://example.org/mymodule.git", ref: "v1" } as const;
	t.not(
		await probePrefix({
			...stack,
			modules: { ...stack.modules, mymodule: { source, kernel: "main", make: [], load: ["mymodule"] } },
		}),
		first,
	);
	t.is(await probePrefix(withDomain({ memory: 2048 })), first);
});

test.serial("a module that the script does not name makes no other probe", async (t) => {
	const source = { kind: "git", url: "https://example.org/other.git", ref: "v1" } as const;
	const two = withDomain({ modules: ["mymodule", "other"] });
	const modules = { ...stack.modules, other: { source, kernel: "main", make: [], load: ["other"] } };
	t.is(await probePrefix({ ...two, modules }), await probePrefix(stack));
});
