import test from "ava";
import fc from "fast-check";
import { isSourceFault, parseSource, type Source, sourcePattern } from "../../spec/source.ts";

const accepted = test.macro({
	title: (_, text: string) => `${text} is a source`,
	exec(t, text: string, expected: Source) {
		t.deepEqual(parseSource(text), expected);
		t.regex(text, new RegExp(sourcePattern, "u"));
	},
});

test(accepted, "debian:qemu", { kind: "debian", package: "qemu" });
test(accepted, "debian:g++/sid", { kind: "debian", package: "g++", suite: "sid" });
test(accepted, "debian:qemu/bookworm-backports", { kind: "debian", package: "qemu", suite: "bookworm-backports" });
test(accepted, "git:https://example.org/qemu.git#v9.2.0", {
	kind: "git",
	url: "https://example.org/qemu.git",
	ref: "v9.2.0",
});
test(accepted, "git:ssh://git@example.org:22/q.git#a/b", {
	kind: "git",
	url: "ssh://git@example.org:22/q.git",
	ref: "a/b",
});
test(accepted, "git:git@example.org:me/q.git#main", { kind: "git", url: "git@example.org:me/q.git", ref: "main" });
test(accepted, "git:file:///srv/linux.git#v6.1", { kind: "git", url: "file:///srv/linux.git", ref: "v6.1" });
test(accepted, "path:examples/mymodule", { kind: "path", path: "examples/mymodule" });
test(accepted, "path:/home/me/my linux", { kind: "path", path: "/home/me/my linux" });

const refused = test.macro({
	title: (_, text: string) => `${JSON.stringify(text)} is no source`,
	exec(t, text: string) {
		t.true(isSourceFault(parseSource(text)));
		t.notRegex(text, new RegExp(sourcePattern, "u"));
	},
});

for (const text of [
	...[
		"",
		"debian:",
		"debian:-o",
		"debian:qemu-",
		"debian:qemu/",
		"debian:qemu bookworm",
		" debian:qemu",
		"debian:qemu\n",
	],
	...["git:https://example.org/q.git", "git:https://example.org/q.git#", "git:https://example.org/q.git#-x"],
	...[
		"git:ext::sh -c id#main",
		"git:--upload-pack=id#main",
		"git:-u@example.org:q#main",
		"git:https://me@example.org/q#main",
		"git:ssh://me:secret@example.org/q#main",
	],
	...[
		"git:https://example.org/a b#main",
		"path:",
		"path:~/linux",
		"path: linux",
		"path:a\nb",
		"path:\0",
		"PATH:linux",
		"svn:x",
	],
]) {
	test(refused, text);
}

test("a tarball is a source by its address and sum", (t) => {
	const sha256 = "c".repeat(64);
	t.deepEqual(parseSource({ url: "https://example.org/q.tar.xz", sha256 }), {
		kind: "tarball",
		url: "https://example.org/q.tar.xz",
		sha256,
	});
});

test("the pattern that editors check takes and refuses what the parser does", (t) => {
	const pattern = new RegExp(sourcePattern, "u");
	const part = fc.constantFrom(
		"debian:",
		"git:",
		"path:",
		"https://",
		"file://",
		"@",
		"#",
		"/",
		"-",
		"~",
		"a",
		"B",
		" ",
		".",
		"\n",
		"é",
		":",
	);
	const text = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(""));
	fc.assert(
		fc.property(text, (value) => pattern.test(value) === !isSourceFault(parseSource(value))),
		{ numRuns: 5000 },
	);
	t.pass();
});
