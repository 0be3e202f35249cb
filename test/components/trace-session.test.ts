import test from "ava";
import type { OwnBudget } from "../../spec/budget.ts";
import { loadProfile } from "../../spec/load-profile.ts";
import { loadStack } from "../../spec/load-stack.ts";
import type { Stack } from "../../spec/schema.ts";
import { sessionInputs } from "../../spec/session-inputs.ts";
import { isStep } from "./assert-step.ts";
import { type Run, resource, settled } from "./mocks.ts";
import { runLab } from "./run-lab.ts";

const quickstart = loadStack("quickstart");
const versions = loadStack("versions");

const traced = (stack: Stack, domains: string[], profile = "block-io", budget?: OwnBudget): Stack => ({
	...stack,
	traces: { flight: { domains, profile, budget } },
});

const emulator = (run: Run<unknown>, domain: string) => resource(run, `${domain}-domain`).inputs["emulator"];

test.serial(
	"a flight recorder is one step, which waits for all of its domain, and the card waits for it",
	async (t) => {
		const up = await runLab(traced(quickstart, ["vm"]));
		t.is(resource(up, "trace-flight").parent, "quickstart");
		const { parent, dependsOn } = resource(up, "trace-flight-session");
		t.is(parent, "trace-flight");
		for (const step of ["domain-vm-guest", "domain-vm-module-load"]) t.true(dependsOn.includes(step), step);
		t.true(resource(up, "quickstart-card").dependsOn.includes("trace-flight-session"));
	},
);

test.serial("its step gets the domain and the profile's events, and the card says of it", async (t) => {
	const up = await runLab(traced(quickstart, ["vm"]));
	const session = "tracelab-quickstart-flight";
	isStep(t, up, "trace-flight-session", {
		script: "trace-session",
		inputs: {
			session,
			mode: "snapshot",
			folder: "",
			domains: `vm quickstart-vm ${emulator(up, "domain-vm")}`,
			...sessionInputs(loadProfile("block-io")),
		},
	});
	const budget = { rate: 4, events: 50000 };
	t.deepEqual((await settled(up.made.card)).traces, {
		flight: { domains: ["vm"], profile: "block-io", budget, session },
	});
});

test.serial("a session's own budget goes before the profile's, in its buffers and on the card", async (t) => {
	const up = await runLab(traced(quickstart, ["vm"], "block-io", { rate: 8 }));
	const { stdin } = resource(up, "trace-flight-session").inputs;
	t.true(String(stdin).includes("size='2097152'\n"));
	t.deepEqual((await settled(up.made.card)).traces["flight"]?.budget, { rate: 8, events: 50000 });
});

test.serial("two domains are two lines, each with its own emulator", async (t) => {
	const up = await runLab(traced(versions, ["other", "vm"], "memory"));
	const { stdin } = resource(up, "trace-flight-session").inputs;
	const lines = [`other versions-other ${emulator(up, "domain-other")}`, `vm versions-vm ${emulator(up, "domain-vm")}`];
	t.not(emulator(up, "domain-other"), emulator(up, "domain-vm"));
	t.true(String(stdin).includes(`domains='${lines.join("\n")}'\n`));
});

test.serial("a stack without traces has no such step", async (t) => {
	const { resources } = await runLab(quickstart);
	t.deepEqual(
		resources.filter(({ name }) => name.startsWith("trace-")),
		[],
	);
});
