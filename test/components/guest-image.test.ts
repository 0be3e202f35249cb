import test from "ava";
import { GuestImage } from "../../components/guest-image.ts";
import { guestPackages } from "../../spec/guest-packages.ts";
import type { ImageSpec } from "../../spec/schema.ts";
import { isStep } from "./assert-step.ts";
import { listed, resource, run } from "./mocks.ts";

const image: ImageSpec = { suite: "bookworm", packages: [] };
const build = (spec: ImageSpec, stack = "t") => run({ stack }, () => new GuestImage("image-main", { image: spec }));
const prefix = async (spec: ImageSpec, stack?: string) => (await build(spec, stack)).made.prefix;

test.serial("an image is one build", async (t) => {
	const up = await build(image);
	t.deepEqual(listed(up), ["tracelab:lab:GuestImage image-main", "command:local:Command image-main-build"]);
	t.is(resource(up, "image-main-build").parent, "image-main");
	t.deepEqual(resource(up, "image-main-build").dependsOn, []);
});

const packed = test.macro({
	title: (_, what: string) => `the build gets ${what}`,
	async exec(t, _what: string, more: string[], expected: string[]) {
		const up = await build({ suite: "trixie", packages: more });
		t.regex(up.made.prefix, /^\/opt\/tracelab\/image\/[0-9a-f]{16}$/);
		isStep(t, up, "image-main-build", {
			script: "guest-image",
			identity: up.made.prefix,
			inputs: { prefix: up.made.prefix, suite: "trixie", packages: expected },
		});
	},
});

test.serial(packed, "the packages that every guest has", [], [...guestPackages]);
test.serial(packed, "further packages among them, sorted", ["zsh", "apt"], ["apt", ...guestPackages, "zsh"]);
test.serial(packed, "a package that every guest has anyway once", ["kmod"], [...guestPackages]);

test.serial("the same packages are the same image, in any stack and any order", async (t) => {
	const packages = ["strace", "zsh"];
	t.is(await prefix({ ...image, packages }, "one"), await prefix({ ...image, packages: packages.toReversed() }, "two"));
});

test.serial("another suite or another package is another image", async (t) => {
	const prefixes = [
		await prefix(image),
		await prefix({ ...image, suite: "trixie" }),
		await prefix({ ...image, packages: ["strace"] }),
	];
	t.is(new Set(prefixes).size, 3);
});
