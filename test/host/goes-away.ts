import test from "ava";
import { difference, hostState } from "./host-state.ts";
import { before, copy, stack } from "./proof.ts";

test("pulumi destroy gives the host back as it was", async (t) => {
	const { code, all } = await copy.pulumi(`destroy --yes --skip-preview --stack ${stack}`);
	t.is(code, 0, all);
	t.deepEqual(difference(before, hostState()), []);
});

test.after.always(() => copy.remove());
