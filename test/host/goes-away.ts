import test from "ava";
import { difference, hostState } from "./host-state.ts";
import { before, copy, stack, stacks } from "./proof.ts";

test("pulumi destroy gives the host back as it was", async (t) => {
	const { code, all } = await copy.pulumi(`destroy --yes --skip-preview --stack ${stack}`);
	t.is(code, 0, all);
	t.deepEqual(difference(before, hostState()), []);
});

// A suite that failed half way leaves no lab behind.
test.after.always(async () => {
	for (const one of stacks) await copy.lab("-s", one, "destroy", "--yes");
	copy.remove();
});
