import test from "ava";
import { withBudget } from "../../spec/budget.ts";

const profile = { name: "disk", budget: { rate: 4, events: 50000 } };

test("what a session's own budget leaves out is the profile's", (t) => {
	t.deepEqual(withBudget(profile), profile);
	t.deepEqual(withBudget(profile, {}), profile);
	t.deepEqual(withBudget(profile, { rate: 8 }), { name: "disk", budget: { rate: 8, events: 50000 } });
	t.deepEqual(withBudget(profile, { events: 9 }), { name: "disk", budget: { rate: 4, events: 9 } });
	t.deepEqual(withBudget(profile, { rate: 8, events: 9 }), { name: "disk", budget: { rate: 8, events: 9 } });
});
