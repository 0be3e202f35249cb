import test from "ava";
import { lab } from "./proof.ts";

test("what compiles in a minute, and the image, are the same bytes when they are built again elsewhere", async (t) => {
	const { code, stdout, all } = await lab("rebuild", "--check", "image-main", "guest-tools", "module-mymodule");
	t.is(code, 0, all);
	t.deepEqual(
		stdout
			.split("\n")
			.slice(1)
			.map((line) => line.split(/ {2,}/).slice(0, 2)),
		["guest-tools", "image-main", "module-mymodule"].map((build) => ["same", build]),
		all,
	);
});
