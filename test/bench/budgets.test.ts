import test from "ava";
import { profileText } from "../../bench/budgets.ts";
import { loadProfile, profileNames } from "../../spec/load-profile.ts";
import { ScratchProject } from "../spec/scratch-project.ts";

for (const name of profileNames()) {
	test(`a copy of profile ${name} with another budget is a profile, and records the same`, (t) => {
		const project = new ScratchProject();
		t.teardown(() => project.remove());
		const lowered = { ...loadProfile(name), name: "lowered", budget: { rate: 1.234567890123, events: 12_345.678901 } };
		project.write("profiles/lowered.yaml", profileText(lowered));
		t.deepEqual(loadProfile("lowered", project.root), lowered);
	});
}
