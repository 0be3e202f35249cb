import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { buildIdIn, ElfError, readElf } from "../../../cli/debug/elf.ts";
import { debug, elf, note, notesAddress, type Section } from "../elf-file.ts";

const folder = mkdtempSync(join(tmpdir(), "tracelab-elf-"));
test.after.always(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Buffer | string): string {
	const path = join(folder, name);
	writeFileSync(path, bytes);
	return path;
}

const id = Buffer.from("00112233445566778899aabbccddeeff01234567", "hex");
const notes = (bytes: Buffer) => ({ name: ".notes", type: 7, bytes });
const code = { name: ".text", type: 1, bytes: Buffer.alloc(16) };

const reads = test.macro({
	title: (_, what: string) => what,
	exec(t, what: string, sections: readonly Section[], buildId: string | undefined, debugInfo: boolean) {
		const length = sections.find(({ type }) => type === 7)?.bytes.length;
		const notes = length === undefined ? undefined : { address: notesAddress, length };
		t.deepEqual(readElf(file(what, elf(sections))), { buildId, debugInfo, notes });
	},
});

test(reads, "a file without sections of note", [code], undefined, false);
test(reads, "a build-id and debug information", [notes(note("GNU", 3, id)), debug(8)], id.toString("hex"), true);
test(reads, "a stripped file", [notes(note("GNU", 3, id)), debug(0)], id.toString("hex"), false);
test(reads, "debug information without a build-id", [debug(8)], undefined, true);
test(
	reads,
	"a build-id in the second of two note sections",
	[notes(note("Linux", 0x101, Buffer.alloc(4))), notes(note("GNU", 3, id))],
	id.toString("hex"),
	false,
);

const finds = test.macro({
	title: (_, what: string) => `among notes: ${what}`,
	exec(t, _what: string, bytes: Buffer, expected: string | undefined) {
		t.is(buildIdIn(bytes), expected);
	},
});

test(finds, "nothing", Buffer.alloc(0), undefined);
test(finds, "the build-id alone", note("GNU", 3, id), id.toString("hex"));
test(
	finds,
	"the build-id behind others, whose lengths are no multiples of four",
	Buffer.concat([note("Linux", 3, Buffer.alloc(5)), note("GNU", 5, Buffer.alloc(3)), note("GNU", 3, id)]),
	id.toString("hex"),
);
test(finds, "type 3 of somebody else", note("Xen", 3, id), undefined);
test(finds, "half a note", note("GNU", 3, id).subarray(0, 10), undefined);

const compiler = (() => {
	try {
		return execFileSync("gcc", ["-dumpfullversion"], { encoding: "utf8" }).trim();
	} catch {
		return "";
	}
})();

const compiled = test.macro({
	title: (_, debugInfo: boolean) => `what gcc made ${debugInfo ? "with" : "without"} debug information`,
	exec(t, debugInfo: boolean) {
		if (compiler === "") {
			t.log("skipped: there is no gcc on this machine");
			t.pass();
			return;
		}
		const program = join(folder, debugInfo ? "with" : "without");
		const options = [debugInfo ? "-g" : "-g0", "-shared", "-nostdlib", "-Wl,--build-id=0xfedcba9876543210"];
		execFileSync("gcc", [...options, "-x", "c", "-", "-o", program], { input: "int x(void) { return 1; }\n" });
		t.like(readElf(program), { buildId: "fedcba9876543210", debugInfo });
	},
});

test(compiled, true);
test(compiled, false);

const refuses = test.macro({
	title: (_, what: string) => `${what} is refused`,
	exec(t, what: string, bytes: Buffer | string, message: string) {
		t.is(t.throws(() => readElf(file(what, bytes)), { instanceOf: ElfError })?.message, message);
	},
});

const whole = elf([notes(note("GNU", 3, id)), debug(8)]);
const changed = (at: number, byte: number) => Buffer.from(whole).fill(byte, at, at + 1);

test(refuses, "an empty file", "", "it is no 64-bit ELF file");
test(refuses, "a text", `#!/bin/sh\n${"#".repeat(100)}\n`, "it is no 64-bit ELF file");
test(refuses, "a header alone that is cut off", whole.subarray(0, 63), "it is no 64-bit ELF file");
test(refuses, "a 32-bit file", changed(4, 1), "it is no 64-bit ELF file");
test(refuses, "a big-endian file", changed(5, 2), "it is no 64-bit ELF file");
test(refuses, "a file without its end", whole.subarray(0, -1), "it is cut off");
test(refuses, "a header without its file", whole.subarray(0, 64), "it is cut off");

test("a file that is not there is the system's error", (t) => {
	t.throws(() => readElf(join(folder, "none")), { code: "ENOENT" });
});
