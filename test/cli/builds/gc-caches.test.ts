import { existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { asRoot, why } from "../../as-root.ts";
import { type Builds, building, hash, there } from "./scratch-builds.ts";

/** Writes a file of a cache or a log, used so many days ago. */
function cached(builds: Builds, path: string, daysAgo: number): void {
	builds.lab.write(path, "x".repeat(5000));
	builds.aged(path, daysAgo);
}

asRoot(
	`caches stay unless they are asked for; then what is old of them goes, folders that go as one by their newest file${why}`,
	async (t) => {
		const builds = await there(t);
		const { lab } = builds;
		const cache = "var/cache/tracelab";
		const old = [
			`${cache}/ccache/0/1/old`,
			`${cache}/sources/sha256/${"0".repeat(64)}`,
			`${cache}/work/kernel/${hash("a")}/vmlinux`,
			`${cache}/apt/archives/old.deb`,
			"var/log/tracelab/gone/card.log",
			`${cache}/systemtap/cache/x`,
			`${cache}/durations/kernel/last.built`,
		];
		const young = [
			`${cache}/ccache/0/1/young`,
			`${cache}/sources/git/${hash("a")}/objects/young`,
			`${cache}/sources/git/${hash("a")}/objects/old`,
			`${cache}/work/kernel/${hash("b")}/old`,
			`${cache}/durations/kernel/young`,
			"var/log/tracelab/quickstart/card.log",
		];
		for (const file of [...old, ...young]) cached(builds, file, file.endsWith("young") ? 1.5 : 20);
		lab.up();
		// A person's own tree, which a lab was built from, is compiled again with what is there.
		builds.build("used", `kernel/${hash("b")}`, 99);
		lab.write(`var/lib/tracelab/builds/kernel/${hash("b")}/quickstart`, "");
		// Whoever reads them has used them.
		const isThere = (file: string) => existsSync(join(lab.root, file));
		const without = await lab.lab(["gc", "-y"]);
		t.regex(without.stdout, /^to go: nothing$/m);
		t.regex(without.stdout, /^ {2}cache ccache +16\.4 kB +used 36 h 01 min ago; --caches looks at it, too$/m);
		for (const file of [...old, ...young]) t.true(isThere(file), file);
		const { code, stdout, stderr } = await lab.lab(["gc", "-y", "--caches"]);
		t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
		t.regex(stdout, /^ {2}cache ccache +8\.2 kB +used 20 d ago$/m);
		for (const file of old) t.false(isThere(file), file);
		for (const file of young) t.true(isThere(file), file);
		await lab.lab(["gc", "-y", "--caches", "--older-than", "0d"]);
		t.false(isThere(`${cache}/ccache/0/1/young`), "a day and a half is old enough then");
	},
);

asRoot(
	`of a cache and logs that are links to folders elsewhere, what is old goes, and nothing else there${why}`,
	async (t) => {
		const builds = await there(t);
		const { lab } = builds;
		for (const [link, target] of [
			["var/cache/tracelab", "data/cache"],
			["var/log/tracelab", "data/logs"],
		] as const) {
			mkdirSync(join(lab.root, target), { recursive: true });
			mkdirSync(dirname(join(lab.root, link)), { recursive: true });
			symlinkSync(join(lab.root, target), join(lab.root, link));
		}
		builds.build("cached", `kernel/${hash("a")}`, 1, ["release"]);
		cached(builds, "var/cache/tracelab/ccache/old", 20);
		cached(builds, "var/cache/tracelab/ccache/young", 1.5);
		cached(builds, "var/log/tracelab/gone/card.log", 20);
		cached(builds, "var/log/tracelab/young/card.log", 1.5);
		const { code, stdout, stderr } = await lab.lab(["gc", "-y", "--caches"]);
		t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
		t.regex(stdout, /^freed 16\.4 kB$/m);
		t.deepEqual(
			leftIn(builds, "data").filter((path) => lstatSync(join(lab.root, path)).isFile()),
			[
				...[".tracelab-build", "release"].map((name) => `data/cache/builds/kernel/${hash("a")}/${name}`),
				"data/cache/ccache/young",
				"data/logs/young/card.log",
			],
		);
	},
);

asRoot(`what an up is at work with stays in the caches${why}`, async (t) => {
	const builds = await there(t);
	const file = `var/cache/tracelab/work/kernel/${hash("a")}/vmlinux`;
	cached(builds, file, 99);
	await building(t, builds.lab, `kernel/${hash("a")}`);
	const { code, stderr } = await builds.lab.lab(["gc", "-y", "--caches"]);
	t.is(code, 0);
	t.is(stderr, `lab: what somebody is at work with stays, under the lock build-kernel-${hash("a")}`);
	t.true(existsSync(join(builds.lab.root, file)));
});

/** What is left of tracelab's in these folders. */
const leftIn = ({ lab }: Builds, ...folders: readonly string[]) =>
	Object.keys(lab.tree()).filter((path) => folders.some((folder) => path === folder || path.startsWith(`${folder}/`)));
const keptFolders = ["var/cache/tracelab", "var/log/tracelab", "run/tracelab", "opt/tracelab"];
const allOfIt = ["gc", "--caches", "--older-than", "0d"];

asRoot(
	`where no lab is up, all of the caches goes at once where that is asked for, and no folder or lock stays${why}`,
	async (t) => {
		const builds = await there(t);
		const { lab } = builds;
		const cache = "var/cache/tracelab";
		builds.build("cached", `kernel/${hash("a")}`, 0, ["release"]);
		builds.build("used", `qemu/${hash("b")}`, 0);
		for (const path of ["ccache/0/1/x", "durations/boot/quick-vm", "apt/archives/a.deb", `work/kernel/${hash("a")}/x`])
			cached(builds, `${cache}/${path}`, 0);
		cached(builds, "var/log/tracelab/quickstart/card.log", 0);
		mkdirSync(`${lab.root}/${cache}/systemtap/quick-vm-abc/lib`, { recursive: true });
		symlinkSync("/gone", `${lab.root}/${cache}/systemtap/quick-vm-abc/lib/build`);
		mkdirSync(`${lab.root}/${cache}/apt/archives/partial`);
		lab.write("run/tracelab/locks/packages", "");
		const before = lab.tree();
		const dry = await lab.lab([...allOfIt, "-n"]);
		t.deepEqual(
			{ code: dry.code, stderr: dry.stderr },
			{ code: 0, stderr: "lab: nothing was removed: this was a dry run" },
		);
		t.deepEqual(lab.tree(), before);
		t.regex(dry.stdout, /^ {2}cache durations +8\.2 kB +used .* ago$/m);
		t.true(dry.stdout.endsWith("\nkept: 0 B"), dry.stdout);
		const { code, stderr } = await lab.lab([...allOfIt, "-y"]);
		t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
		t.deepEqual(leftIn(builds, ...keptFolders), []);
		t.deepEqual((await lab.lab(allOfIt)).stdout.split("\n"), ["to go: nothing", "kept: 0 B"]);
	},
);

asRoot(`what a recording needs stays even then, as it is${why}`, async (t) => {
	const builds = await there(t);
	const { lab } = builds;
	const kept = `var/cache/tracelab/builds/kernel/${hash("a")}`;
	builds.build("cached", `kernel/${hash("a")}`, 0);
	mkdirSync(`${lab.root}/${kept}/build/empty`, { recursive: true });
	lab.write("var/lib/tracelab/runs/quickstart/one/recording.json", `{ "kernel": "/opt/tracelab/kernel/${hash("a")}" }`);
	cached(builds, "var/cache/tracelab/ccache/x", 0);
	lab.write("run/tracelab/locks/packages", "");
	t.is((await lab.lab([...allOfIt, "-y"])).code, 0);
	const parents = ["var/cache/tracelab", "var/cache/tracelab/builds", "var/cache/tracelab/builds/kernel", kept];
	t.deepEqual(leftIn(builds, ...keptFolders), [
		...parents,
		...[".tracelab-build", "build", "build/empty"].map((name) => `${kept}/${name}`),
	]);
});

for (const [which, file] of [
	["up", "labs/quickstart.json"],
	["half up", "undo/quickstart/host-packages"],
] as const)
	asRoot(`where a lab is ${which}, what was used within a day stays in the caches${why}`, async (t) => {
		const builds = await there(t);
		builds.lab.write(`var/lib/tracelab/${file}`, "{}");
		cached(builds, "var/cache/tracelab/ccache/x", 0.5);
		cached(builds, "var/cache/tracelab/ccache/y", 1.5);
		builds.lab.write("run/tracelab/locks/packages", "");
		const { code, stdout, stderr } = await builds.lab.lab([...allOfIt, "-y"]);
		t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
		t.regex(stdout, /^ {2}cache ccache +8\.2 kB +used 12 h 01 min ago; all of it goes once no lab is up$/m);
		t.deepEqual(
			leftIn(builds, "var/cache/tracelab/ccache", "run/tracelab").map((path) => path.replace(/.*\//, "")),
			["tracelab", "locks", "packages", "ccache", "x"],
		);
	});

asRoot(`where somebody is at work, what that is about stays, with its lock and all folders${why}`, async (t) => {
	const builds = await there(t);
	const object = `var/cache/tracelab/work/kernel/${hash("a")}/vmlinux`;
	cached(builds, object, 0);
	mkdirSync(`${builds.lab.root}/var/cache/tracelab/ccache/tmp`, { recursive: true });
	builds.lab.write("run/tracelab/locks/packages", "");
	await building(t, builds.lab, `kernel/${hash("a")}`);
	const lock = `build-kernel-${hash("a")}`;
	const { code, stderr } = await builds.lab.lab([...allOfIt, "-y"]);
	t.deepEqual(
		{ code, stderr },
		{ code: 0, stderr: `lab: what somebody is at work with stays, under the lock ${lock}` },
	);
	t.true(existsSync(join(builds.lab.root, object)));
	t.true(existsSync(join(builds.lab.root, "var/cache/tracelab/ccache/tmp")));
	t.deepEqual(readdirSync(join(builds.lab.root, "run/tracelab/locks")), [lock]);
});
