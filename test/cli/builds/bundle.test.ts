import {
	chmodSync,
	existsSync,
	mkdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import type { ExecutionContext } from "ava";
import { execa } from "execa";
import { buildOf } from "../../../spec/build-prefix.ts";
import { buildPrefixes } from "../../../spec/build-prefixes.ts";
import { loadStack } from "../../../spec/load-stack.ts";
import { lockText } from "../../../spec/lock.ts";
import { asRoot, why } from "../../as-root.ts";
import { treeHash } from "../../scripts/run-step.ts";
import { LockedLab, sha } from "../locked-lab.ts";

const lockName = "stacks/quickstart.lock.yaml";
const sources: Readonly<Record<string, readonly string[]>> = {
	"kernel-main": ["sources/debian/linux-source-6.1_6.1.9-1_all.deb"],
	"qemu-main": ["sources/debian/qemu_1.dsc", "sources/debian/qemu_1.orig.tar.xz"],
	"image-main": ["apt-image/bookworm/kmod_1%3a30-1_amd64.deb", "apt-image/bookworm/libc6_2_amd64.deb"],
	// Two builds of one source.
	"module-lttng": ["sources/debian/qemu_1.dsc"],
};
const kept = [...new Set(Object.values(sources).flat())].sort();
const own = "examples/mymodule";

/** A lab that is up as its lock says, in whose cache there is what its steps name. */
async function locked(t: ExecutionContext): Promise<LockedLab> {
	const lab = await LockedLab.for(t);
	const tree = `${lab.project}/${own}`;
	mkdirSync(`${tree}/.git`);
	for (const name of [".git/config", "mymodule.o"]) writeFileSync(`${tree}/${name}`, "");
	writeFileSync(`${tree}/generate.sh`, "#!/bin/sh\n");
	chmodSync(`${tree}/generate.sh`, 0o775);
	symlinkSync("mymodule.c", `${tree}/link.c`);
	const prefixes = Object.entries(buildPrefixes(loadStack("quickstart", { projectRoot: lab.project })));
	for (const [name, prefix] of prefixes) {
		lab.notes(prefix, { result: sha("1") });
		const said = JSON.stringify({ files: (sources[name] ?? []).join("\n") });
		lab.step(name, prefix, `sources() { cat <<'END'\n${said}\nEND\n}`);
	}
	for (const file of kept) lab.host.write(`var/cache/tracelab/${file}`, `what is in ${file}\n`);
	const pins = prefixes.map(([name, prefix]) => `${name}:\n  build: ${buildOf(prefix)}\n  result: "${sha("1")}"\n`);
	writeFileSync(`${lab.project}/${lockName}`, pins.join(""));
	return lab;
}

/** Takes away what the bundle brings. */
function empty(lab: LockedLab): void {
	rmSync(`${lab.host.root}/var/cache`, { recursive: true });
	rmSync(`${lab.project}/${own}`, { recursive: true });
	rmSync(`${lab.project}/${lockName}`);
}

const bundleOf = (lab: LockedLab): string => `${lab.host.root}/lab.tar`;

asRoot(
	`a bundle brings stack, lock and sources to where there are none, and is the same bytes again${why}`,
	async (t) => {
		const lab = await locked(t);
		const file = bundleOf(lab);
		const made = await lab.lab("bundle", file);
		t.is(made.code, 0, made.stderr);
		t.regex(made.stdout, /lab\.tar: [\d.]+ kB, the lock and the sources of 6 builds of stack quickstart$/);
		const { stdout: members } = await execa("tar", ["-tf", file]);
		t.deepEqual(members.split("\n"), [
			"manifest.json",
			...["Kbuild", "generate.sh", "link.c", "mymodule.c"].map((name) => `project/${own}/${name}`),
			"project/kconfig/quickstart.config",
			`project/${lockName}`,
			"project/stacks/quickstart.yaml",
			...kept.map((name) => `cache/${name}`),
		]);
		const bytes = readFileSync(file);
		const before = treeHash(`${lab.host.root}/var/cache`);
		await lab.host.bash(`touch -d @1 '${lab.project}/${own}'/*; chmod g-w '${lab.project}/${own}/generate.sh'`);
		t.is((await lab.lab("bundle", file)).code, 0);
		t.true(bytes.equals(readFileSync(file)));

		empty(lab);
		const opened = await lab.lab("unbundle", file);
		t.deepEqual(opened, {
			code: 0,
			stdout: "stack quickstart is here, with its lock and its sources: ./lab up",
			stderr: "",
		});
		t.is(treeHash(`${lab.host.root}/var/cache`), before);
		t.deepEqual(Object.keys(lab.lock ?? {}).length, 6);
		t.is(readlinkSync(`${lab.project}/${own}/link.c`), "mymodule.c");
		t.is(statSync(`${lab.project}/${own}/generate.sh`).mode & 0o777, 0o755);
		const placed = [lockName, `${own}/mymodule.c`, "stacks/quickstart.yaml"].map((name) => `${lab.project}/${name}`);
		for (const name of placed) utimesSync(name, 1, 1);
		t.deepEqual(await lab.lab("unbundle", file), opened);
		for (const name of placed) t.is(statSync(name).mtimeMs, 1000, name);
	},
);

asRoot(`gc removes nothing of a bundle that is being opened, and all that a killed unbundle left${why}`, async (t) => {
	const lab = await locked(t);
	const file = bundleOf(lab);
	await lab.lab("bundle", file);
	empty(lab);
	rmSync(`${lab.host.root}/var/lib/tracelab`, { recursive: true });
	const locks = () => Object.keys(lab.host.tree()).filter((path) => path.startsWith("run/tracelab/locks/"));
	const gc = ["gc", "--caches", "--older-than", "0d", "-y"];
	const whileOpen = (then: string) => lab.host.fake("tar", `/bin/tar "$@" && mkdir "\${*: 6:1}/empty" && ${then}`);
	whileOpen(`'${process.execPath}' '${lab.project}/cli/main.ts' ${gc.join(" ")} 2>"$root/gc-said" >&2`);
	const { code, stderr } = await lab.lab("unbundle", file);
	t.is(code, 0, stderr);
	t.regex(lab.host.read("gc-said"), /^lab: what somebody is at work with stays, under the lock unbundle-\w{6}$/m);
	t.deepEqual(locks(), []);

	whileOpen('kill -9 "$PPID"');
	t.is((await lab.lab("unbundle", file)).code, undefined);
	t.is(locks().length, 1);
	t.is((await lab.lab(...gc)).code, 0);
	t.false(existsSync(`${lab.host.root}/var/cache/tracelab`));
	t.false(existsSync(`${lab.host.root}/run/tracelab`));
});

/** What was done to a bundle's content, and what is said of it. */
const damages: readonly [what: string, change: string, said: string][] = [
	[
		"a source that was changed",
		"echo more >>cache/sources/debian/qemu_1.dsc",
		"has another cache/sources/debian/qemu_1.dsc than it was made with",
	],
	[
		"a file of the project that was changed",
		`echo more >>project/${own}/mymodule.c`,
		`has another project/${own}/mymodule.c than it was made with`,
	],
	[
		"a link that leads elsewhere",
		`ln -sfn /etc/passwd project/${own}/link.c`,
		`has another project/${own}/link.c than it was made with`,
	],
	["a source that was taken out", "rm cache/sources/debian/qemu_1.dsc", "lacks cache/sources/debian/qemu_1.dsc"],
	["a file that was put in", "echo >project/lab", "has project/lab, which its manifest has not"],
	[
		"a file that no lab needs, with a manifest that has it",
		`echo >project/lab; sed -i 's|"files": {|&"project/lab":"'$(sha256sum <project/lab | cut -c -64)'",|' manifest.json`,
		"has project/lab, which no lab needs",
	],
	[
		"a file for another place in the cache, with a manifest that has it",
		`mkdir cache/ccache; : >cache/ccache/x; sed -i 's|"files": {|&"cache/ccache/x":"'$(sha256sum <cache/ccache/x | cut -c -64)'",|' manifest.json`,
		"has cache/ccache/x, which no lab needs",
	],
	["no manifest", "rm manifest.json", "is no bundle: it has no manifest.json"],
	["another manifest", "echo '{}' >manifest.json", "has a manifest.json that is none of a bundle's"],
];

for (const [what, change, said] of damages) {
	asRoot(`a bundle with ${what} is refused, and nothing of it is put anywhere${why}`, async (t) => {
		const lab = await locked(t);
		const file = bundleOf(lab);
		await lab.lab("bundle", file);
		empty(lab);
		const folder = `${lab.host.root}/opened`;
		await execa("bash", ["-ec", `mkdir $0; cd $0; tar -xf $1; ${change}; tar -cf $1 *`, folder, file]);
		const before = [treeHash(`${lab.project}/stacks`), treeHash(`${lab.project}/examples`)];
		t.deepEqual(await lab.lab("unbundle", file), {
			code: 1,
			stdout: "",
			stderr: [
				`lab: ${file} ${said}; nothing of it was put anywhere`,
				"  what to do: get the bundle again from whoever made it",
			].join("\n"),
		});
		t.deepEqual([treeHash(`${lab.project}/stacks`), treeHash(`${lab.project}/examples`)], before);
		const cached = Object.keys(lab.host.tree()).filter((path) => path.startsWith("var/cache/tracelab/"));
		t.deepEqual(cached, []);
	});
}

asRoot(`what is no archive, and half of one, are refused${why}`, async (t) => {
	const lab = await locked(t);
	const file = bundleOf(lab);
	await lab.lab("bundle", file);
	const half = readFileSync(file).subarray(0, 5000);
	for (const [bytes, said] of [
		[Buffer.from("words"), "is not whole: tar: This does not look like a tar archive"],
		[half, `lacks project/${own}/`],
	] as const) {
		writeFileSync(file, bytes);
		const { code, stderr } = await lab.lab("unbundle", file);
		t.is(code, 1);
		t.true(stderr.startsWith(`lab: ${file} ${said}`), stderr);
	}
});

asRoot(`files of the project that are others than the bundle's stay, and nothing is put anywhere${why}`, async (t) => {
	const lab = await locked(t);
	const file = bundleOf(lab);
	await lab.lab("bundle", file);
	empty(lab);
	mkdirSync(`${lab.project}/${own}`);
	writeFileSync(`${lab.project}/${own}/mymodule.c`, "mine\n");
	writeFileSync(`${lab.project}/${lockName}`, `module-mymodule: {}\nqemu-main:\n  result: "${sha("2")}"\n`);
	t.deepEqual(await lab.lab("unbundle", file), {
		code: 1,
		stdout: "",
		stderr: [
			`lab: the bundle has other files than this project: ${own}/mymodule.c, ${lockName}; nothing of it was put anywhere`,
			"  what to do: move yours aside, or open the bundle in another clone of tracelab",
		].join("\n"),
	});
	t.is(readFileSync(`${lab.project}/${own}/mymodule.c`, "utf8"), "mine\n");
	t.false(existsSync(`${lab.host.root}/var/cache/tracelab/sources`));
});

asRoot(`a lock that leaves open what the bundle's pins is written over by the bundle's${why}`, async (t) => {
	const lab = await locked(t);
	const file = bundleOf(lab);
	await lab.lab("bundle", file);
	const { lock } = lab;
	empty(lab);
	const open = lockText("quickstart", { ...lock, "module-mymodule": {} });
	writeFileSync(`${lab.project}/${lockName}`, open);
	const { code, stderr } = await lab.lab("unbundle", file);
	t.is(code, 0, stderr);
	t.deepEqual(lab.lock, lock);
});

asRoot(`a lock that is to be written over stays where the bundle's finds no room${why}`, async (t) => {
	const lab = await locked(t);
	const file = bundleOf(lab);
	await lab.lab("bundle", file);
	const open = lockText("quickstart", { ...lab.lock, "module-mymodule": {} });
	empty(lab);
	writeFileSync(`${lab.project}/${lockName}`, open);
	// A full disk below the stack files, which nobody else sees: what is there is shown before it goes.
	const full = `cp -a stacks stacks.aside
mount -t tmpfs -o size=1m none stacks
cp -a stacks.aside/. stacks
cat /dev/zero 2>/dev/null >stacks/filler
"$@"
code=$?
rm stacks/filler
cat stacks/quickstart.lock.yaml
ls stacks | grep part
exit $code`;
	const { exitCode, stdout, stderr } = await execa(
		"unshare",
		["--mount", "sh", "-c", full, "sh", process.execPath, `${lab.project}/cli/main.ts`, "unbundle", file],
		{ cwd: lab.project, env: lab.host.env, extendEnv: false, reject: false, stripFinalNewline: false },
	);
	t.is(exitCode, 1);
	t.regex(
		stderr,
		/^lab: ENOSPC: no space left on device, copyfile '\S+' -> '\S+'\n {2}what to do: make room \(df -h shows on which disk\), then say it again\n$/,
	);
	t.is(stdout, open);
});

/** What keeps a lab from being bundled, and what is said of it. */
const reasons: readonly [what: string, change: (lab: LockedLab) => void, said: string][] = [
	[
		"that has no lock",
		(lab) => rmSync(`${lab.project}/${lockName}`),
		`lab: there is no ${lockName}\n  what to do: write it: ./lab lock, where the lab is up`,
	],
	[
		"whose lock leaves something open",
		(lab) => {
			const text = readFileSync(`${lab.project}/${lockName}`, "utf8");
			writeFileSync(`${lab.project}/${lockName}`, text.replace(/(qemu-main:\n.*\n) {2}result.*\n/, "$1"));
		},
		`lab: ${lockName} does not pin what comes out of qemu-main\n  what to do: ./lab lock does, where the lab is up`,
	],
	[
		"that is not as its lock says",
		(lab) => {
			const text = readFileSync(`${lab.project}/${lockName}`, "utf8");
			writeFileSync(`${lab.project}/${lockName}`, text.replaceAll(sha("1"), sha("2")));
		},
		`lab: the lab is not as ${lockName} says\n  what to do: ./lab up makes it so, or says why not; ./lab lock shows what differs`,
	],
	[
		"whose sources are gone",
		(lab) => {
			const prefix = buildPrefixes(loadStack("quickstart"))["qemu-main"] ?? "";
			lab.step("qemu-main", prefix, "sources() { echo 'Debian has no qemu 1 any more' >&2; exit 1; }");
		},
		"Debian has no qemu 1 any more\nlab: what qemu-main is made from cannot be had\n  what to do: what its step said is above",
	],
	[
		"of a tree outside the project",
		(lab) => {
			const file = `${lab.project}/stacks/quickstart.yaml`;
			const text = readFileSync(file, "utf8");
			writeFileSync(file, text.replace(`path:${own}`, `path:${lab.project}/${own}`));
		},
		"is no path from the project's root: a bundle has what is in the project, and what is fetched\n  what to do: put it into the project",
	],
	[
		"of a tree with a link that leads out of it",
		(lab) => {
			renameSync(`${lab.project}/${own}/mymodule.c`, `${lab.project}/examples/common.c`);
			symlinkSync("../common.c", `${lab.project}/${own}/mymodule.c`);
		},
		`lab: ${own}/mymodule.c is a link that leads out of ${own}, to ../common.c: a bundle has links as they are\n  what to do: copy the file in, in place of the link`,
	],
	[
		"of a tree with a link by an absolute path",
		(lab) => {
			renameSync(`${lab.project}/${own}/mymodule.c`, `${lab.project}/${own}/mymodule.o`);
			symlinkSync(`${lab.project}/${own}/mymodule.o`, `${lab.project}/${own}/mymodule.c`);
		},
		`is a link that leads out of ${own}, to /`,
	],
];

for (const [what, change, said] of reasons) {
	asRoot(`a lab ${what} is not bundled${why}`, async (t) => {
		const lab = await locked(t);
		change(lab);
		const file = bundleOf(lab);
		const { code, stdout, stderr } = await lab.lab("bundle", file);
		t.is(code, 1);
		t.is(stdout, "");
		t.true(stderr.includes(said), stderr);
		t.false(existsSync(file));
		t.false(existsSync(`${file}.part`));
	});
}
