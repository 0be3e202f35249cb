import test from "ava";
import { Thinning } from "../../report/thinning.ts";

test("what is within the limit stays", (t) => {
	const thinning = new Thinning<number>(4);
	for (const value of [1, 2, 3, 4]) thinning.add("a", () => value);
	t.deepEqual(thinning.kept(), [1, 2, 3, 4]);
	t.is(thinning.every("a"), 1);
});

test("the most frequent kind becomes fewer, evenly, and the rare one stays whole", (t) => {
	const thinning = new Thinning<string>(10);
	for (let index = 0; index < 64; index++) {
		thinning.add("often", () => `often ${index}`);
		if (index % 32 === 5) thinning.add("rare", () => `rare ${index}`);
	}
	t.deepEqual(thinning.kept(), [
		...["often 0", "often 8", "often 16", "often 24", "often 32", "often 40", "often 48", "often 56"],
		...["rare 5", "rare 37"],
	]);
	t.deepEqual([thinning.every("often"), thinning.every("rare"), thinning.every("never")], [8, 1, 1]);
});

test("what is not kept is not made", (t) => {
	const thinning = new Thinning<number>(2);
	let made = 0;
	for (let index = 0; index < 1024; index++) thinning.add("a", () => made++);
	t.true(thinning.kept().length <= 2);
	t.true(made < 40, `${made} were made`);
});

test("of kinds that are alone, none goes", (t) => {
	const thinning = new Thinning<number>(2);
	for (const value of [1, 2, 3]) thinning.add(`kind ${value}`, () => value);
	t.deepEqual(thinning.kept(), [1, 2, 3]);
});
