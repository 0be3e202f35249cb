import test from "ava";
import { Rates } from "../../report/rates.ts";

test("columns are a microsecond wide as long as they suffice", (t) => {
	const rates = new Rates(4);
	for (const time of [0, 999, 1000, 3999]) rates.add("a", time);
	const { width, counts } = rates.table();
	t.is(width, 1000);
	t.deepEqual([...counts], [["a", [2, 1, 0, 1]]]);
});

test("where there are too many, two become one, of all series", (t) => {
	const rates = new Rates(4);
	for (const time of [0, 1000, 2000, 3000]) rates.add("a", time);
	rates.add("b", 500);
	rates.add("b", 13_000);
	const { width, counts } = rates.table();
	t.is(width, 4000);
	t.deepEqual(
		[...counts],
		[
			["a", [4, 0, 0, 0]],
			["b", [1, 0, 0, 1]],
		],
	);
});
