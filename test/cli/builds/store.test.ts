import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { buildOf } from "../../../spec/build-prefix.ts";
import { buildPrefixes } from "../../../spec/build-prefixes.ts";
import { loadStack } from "../../../spec/load-stack.ts";
import { asRoot, why } from "../../as-root.ts";
import { LockedLab } from "../locked-lab.ts";

const lockName = "stacks/quickstart.lock.yaml";
const prefixes = Object.entries(buildPrefixes(loadStack("quickstart")));
const [first = ["", ""]] = prefixes;

/** The result of a folder, as a build's own step has it. */
async function resultOf(lab: LockedLab, folder: string): Promise<string> {
	const program = `cd '${process.cwd()}/scripts'; source lib/build.sh; build_hash "$0"`;
	const env = { ...lab.host.env, prefix: first[1], stack: "quick", step: "thing", generation: "" };
	const { stdout } = await execa("bash", ["-c", program, folder], { env, extendEnv: false });
	return stdout;
}

/** A lab that is up as its lock says, whose builds are small. */
async function locked(t: ExecutionContext): Promise<LockedLab> {
	const lab = await LockedLab.for(t);
	const pins: string[] = [];
	for (const [name, prefix] of prefixes) {
		const folder = `${lab.host.root}${prefix}`;
		lab.host.write(`${prefix}/bin/program`, `program of ${name}\n`);
		lab.host.write(`${prefix}/words`, "words\n");
		lab.host.write(`${prefix}/source-version`, "source\n");
		lab.host.write(`${prefix}/__pycache__/x.pyc`, "");
		lab.host.write(`${prefix}/.tracelab-build`, "");
		await execa("bash", [
			"-c",
			'cd "$0"; chmod 755 bin/program; ln -s bin/program link; touch -d @1000 bin/program',
			folder,
		]);
		const result = await resultOf(lab, folder);
		const facts = { result, tools: "binutils 2.40-2\ngcc-12 12.2.0-14" };
		lab.notes(prefix, facts);
		pins.push(
			`${name}:\n  build: ${buildOf(prefix)}\n  result: "${result}"\n  tools: { binutils: 2.40-2, gcc-12: 12.2.0-14 }\n`,
		);
	}
	writeFileSync(`${lab.project}/${lockName}`, pins.join(""));
	return lab;
}

const storeOf = (lab: LockedLab): string => `${lab.host.root}/store`;
const cachedOf = (lab: LockedLab, prefix: string): string =>
	`${lab.host.root}/var/cache/tracelab/builds/${buildOf(prefix)}`;
const archiveOf = (lab: LockedLab, prefix: string): string => {
	const folder = `${storeOf(lab)}/${buildOf(prefix)}`;
	const [name = ""] = readdirSync(folder);
	return `${folder}/${name}`;
};

/** Sizes differ with the packer's version. */
const sized = (text: string): string[] => text.replaceAll(/\d+ B|[\d.]+ kB/g, "N").split("\n");

const names = prefixes.map(([name]) => name);

asRoot(`what was pushed is pulled where it is not, as it was built, and taken by the next up${why}`, async (t) => {
	const lab = await locked(t);
	const pushed = await lab.lab("push", storeOf(lab));
	t.deepEqual([pushed.code, sized(pushed.stdout)], [0, names.map((name) => `${name}: pushed, N`)], pushed.stderr);
	const again = await lab.lab("push", storeOf(lab));
	t.deepEqual([again.code, again.stdout.split("\n")], [0, names.map((name) => `${name}: the store has it`)]);
	const here = await lab.lab("pull", storeOf(lab));
	t.deepEqual([here.code, here.stdout.split("\n")], [0, names.map((name) => `${name}: is here`)], here.stderr);

	rmSync(`${lab.host.root}/opt/tracelab`, { recursive: true });
	const pulled = await lab.lab("pull", storeOf(lab));
	t.deepEqual([pulled.code, sized(pulled.stdout)], [0, names.map((name) => `${name}: pulled, N`)], pulled.stderr);
	t.false(existsSync(`${lab.host.root}/opt/tracelab`));
	for (const [name, prefix] of prefixes) {
		const folder = cachedOf(lab, prefix);
		const there = [".tracelab-build", ".tracelab-build-record", "bin", "link", "source-version", "words"];
		t.deepEqual(readdirSync(folder).sort(), there);
		t.is(readFileSync(`${folder}/link`, "utf8"), `program of ${name}\n`);
		const manifest = readFileSync(`${folder}/.tracelab-build`, "utf8").split("\n");
		t.true(manifest.includes(`1000 ${`program of ${name}\n`.length} bin/program`));
		const noted = (fact: string) => readFileSync(`${folder}/.tracelab-build-record/${fact}`, "utf8");
		t.is(noted("result").trim(), await resultOf(lab, folder));
		t.is(noted("tools"), "binutils 2.40-2\ngcc-12 12.2.0-14\n");
	}
	t.is((await execa("stat", ["-c", "%a %U", `${cachedOf(lab, first[1])}/bin/program`])).stdout, "755 root");
	const there = await lab.lab("pull", storeOf(lab));
	t.deepEqual([there.code, there.stdout.split("\n")], [0, names.map((name) => `${name}: is here`)]);
});

asRoot(`a store on another machine is reached by SSH${why}`, async (t) => {
	const lab = await locked(t);
	const folder = storeOf(lab);
	lab.host.write("store/.keep", "");
	const server = execa("rclone", ["serve", "sftp", folder, "--addr", "127.0.0.1:0", "--no-auth", "-v"], {
		reject: false,
	});
	t.teardown(() => server.kill());
	let said = "";
	const port = await new Promise<string>((resolve) => {
		server.stderr.on("data", (part: Buffer) => {
			said += part.toString();
			const [, port] = /listening on 127\.0\.0\.1:(\d+)/.exec(said) ?? [];
			if (port !== undefined) resolve(port);
		});
	});
	// A remote of the person's own, as rclone config would have written it.
	lab.host.write(
		"rclone.conf",
		`[build]\ntype = sftp\nhost = 127.0.0.1\nport = ${port}\nuser = me\npass = ${obscured}\n`,
	);
	lab.host.env["RCLONE_CONFIG"] = `${lab.host.root}/rclone.conf`;
	const [name, prefix] = first;
	const pushed = await lab.lab("push", "build:", name);
	t.is(pushed.code, 0, pushed.stderr);
	t.true(existsSync(archiveOf(lab, prefix)));
	rmSync(`${lab.host.root}${prefix}`, { recursive: true });
	const pulled = await lab.lab("pull", "build:", name);
	t.deepEqual([pulled.code, sized(pulled.stdout)], [0, [`${name}: pulled, N`]], pulled.stderr);
	t.true(existsSync(`${cachedOf(lab, prefix)}/bin/program`));
});

/** What rclone obscure makes of "x": not a secret. */
const obscured = "C-iZLOyy-0Vd1kiY5weUk_s";

/** What was done to what a store holds, below the folder that it is unpacked in. */
const damages: readonly [what: string, change: string][] = [
	["a file that was changed", "echo more >>bin/program"],
	["a file that was taken out", "rm bin/program"],
	["a file that was put in", ": >bin/more"],
	["a link that leads elsewhere", "ln -sfn /etc/passwd link"],
	["a file that Python would run", "mkdir bin/__pycache__; : >bin/__pycache__/x.pyc"],
	["a record of its own", "mkdir .tracelab-build-record; : >.tracelab-build-record/result"],
	["a device", "mknod null c 1 3"],
	["a program that is none any more", "chmod 644 bin/program"],
	["a file that is a program now", "chmod 755 words"],
	["a makefile whose folder's name is no text", "mkdir $'zz\\xff'; : >$'zz\\xff/m'; ln -s $'zz\\xff/m' GNUmakefile"],
	["a link whose target has two lines", "ln -sfn $'program\\t./bin/link\\n-> x' link"],
	["a link in place of what its source is called", "ln -sfn /dev/zero source-version"],
];

for (const [what, change] of damages) {
	asRoot(`a result with ${what} is refused, and nothing of it stays${why}`, async (t) => {
		const lab = await locked(t);
		const [name, prefix] = first;
		t.is((await lab.lab("push", storeOf(lab), name)).code, 0);
		rmSync(`${lab.host.root}${prefix}`, { recursive: true });
		const archive = archiveOf(lab, prefix);
		const script = `mkdir $0; cd $0; tar --zstd -xf $1; ${change}; tar --zstd -cf $1 .; rm -r $0`;
		await execa("bash", ["-ec", script, `${lab.host.root}/opened`, archive]);
		await refused(t, lab, archive);
	});
}

async function refused(t: ExecutionContext, lab: LockedLab, archive: string): Promise<void> {
	const [name, prefix] = first;
	const { code, stdout, stderr } = await lab.lab("pull", storeOf(lab), name);
	t.deepEqual(
		[code, stdout.split("\n")],
		[
			1,
			[
				`${name}: REFUSED: what ${archive} holds is not what the lock pins; nothing of it is used; whoever keeps the store should remove it`,
				`./lab up builds ${name}`,
			],
		],
		stderr,
	);
	t.false(existsSync(cachedOf(lab, prefix)));
	t.false(existsSync(`${lab.host.root}${prefix}.work`));
}

asRoot(`half of an archive, one that is none, and one that would become setuid are no results${why}`, async (t) => {
	const lab = await locked(t);
	const [name, prefix] = first;
	await lab.lab("push", storeOf(lab), name);
	const archive = archiveOf(lab, prefix);
	const bytes = readFileSync(archive);
	await execa("bash", [
		"-c",
		'chmod u+s "$1/bin/program"; tar --zstd -C "$1" --exclude=.tracelab* --exclude=__pycache__ -cf "$0" .',
		archive,
		`${lab.host.root}${prefix}`,
	]);
	rmSync(`${lab.host.root}${prefix}`, { recursive: true });
	const pulled = await lab.lab("pull", storeOf(lab), name);
	t.is(pulled.code, 0, pulled.stderr);
	t.is((await execa("stat", ["-c", "%a", `${cachedOf(lab, prefix)}/bin/program`])).stdout, "755");
	rmSync(cachedOf(lab, prefix), { recursive: true });
	for (const damaged of [bytes.subarray(0, 60), Buffer.from("words")]) {
		writeFileSync(archive, damaged);
		await refused(t, lab, archive);
	}
	rmSync(archive);
	lab.host.write(`${archive.replace(lab.host.root, "")}/folder`, "");
	await refused(t, lab, archive);
});

asRoot(`a push that is interrupted leaves nothing behind, here or in the store${why}`, async (t) => {
	for (const signal of ["SIGINT", "SIGTERM"] as const) {
		const lab = await locked(t);
		const scratch = `${lab.host.root}/scratch`;
		mkdirSync(scratch);
		lab.host.env["TMPDIR"] = scratch;
		lab.host.fake(
			"rclone",
			`case $* in
			*lsf*) exit 3 ;;
			*copyto*) mkdir -p "\${5%/*}" && cp "$4" "$5" && echo begun >>"$root/begun" && exec sleep 60 ;;
			*deletefile*) rm "$2" ;;
			esac`,
		);
		const running = execa(process.execPath, [`${lab.project}/cli/main.ts`, "push", storeOf(lab), first[0]], {
			...{ env: lab.host.env, extendEnv: false, reject: false },
		});
		while (!existsSync(`${lab.host.root}/begun`)) await pause(20);
		t.is(readdirSync(scratch).length, 1);
		running.kill(signal);
		const { exitCode, stdout, stderr } = await running;
		t.deepEqual([exitCode, stdout, stderr], [1, "", "lab: interrupted"]);
		t.deepEqual(readdirSync(scratch), []);
		t.deepEqual(
			readdirSync(storeOf(lab), { recursive: true }).filter((name) => String(name).endsWith(".part")),
			[],
		);
	}
});

asRoot(`a build that somebody wrote into is not pushed${why}`, async (t) => {
	const lab = await locked(t);
	const [name, prefix] = first;
	lab.host.write(`${prefix}/more`, "");
	const pushed = await lab.lab("push", storeOf(lab), name);
	t.deepEqual(
		[pushed.code, pushed.stderr.split("\n")],
		[
			1,
			[
				`lab: ${name} came to what the lock pins, and is not that any more: somebody wrote into ${lab.host.root}${prefix}`,
				"  what to do: remove that folder, and up again: it builds it anew",
			],
		],
	);
	t.false(existsSync(storeOf(lab)));
});

asRoot(`a disk that is full is not taken for a tampered result${why}`, async (t) => {
	const lab = await locked(t);
	const [name, prefix] = first;
	await lab.lab("push", storeOf(lab), name);
	rmSync(`${lab.host.root}${prefix}`, { recursive: true });
	lab.host.fake("tar", "echo 'tar: bin/program: Cannot write: No space left on device' >&2; exit 2");
	const { code, stderr } = await lab.lab("pull", storeOf(lab), name);
	t.is(code, 1);
	t.regex(
		stderr,
		/^lab: \S+ cannot be put into the cache\ntracelab: pull: tar: bin\/program: Cannot write: No space left on device\n {2}what to do: make room on the disk/m,
	);
});

asRoot(`what is not here as it is pinned is not pushed, and what a store lacks is said${why}`, async (t) => {
	const lab = await locked(t);
	const [name, prefix] = first;
	writeFileSync(`${lab.host.root}${prefix}/.tracelab-build-record/result`, `${"ab".repeat(32)}\n`);
	const pushed = await lab.lab("push", storeOf(lab));
	t.deepEqual(pushed, {
		code: 1,
		stdout: "",
		stderr: `lab: this machine does not have ${name} as the lock pins it\n  what to do: ./lab up makes it so, or says why not`,
	});
	t.false(existsSync(storeOf(lab)));
	const pulled = await lab.lab("pull", storeOf(lab), name);
	t.deepEqual(
		[pulled.code, pulled.stdout.split("\n")],
		[1, [`${name}: not in ${storeOf(lab)}`, `./lab up builds ${name}`]],
	);
	const unknown = await lab.lab("push", "nowhere:store", "kernel-main");
	t.is(unknown.code, 1);
	t.regex(unknown.stderr, /^lab: rclone ended with 1: lsf nowhere:store\/kernel\//);
	t.regex(unknown.stderr, /didn't find section in config file/);
	t.regex(unknown.stderr, /what to do: a store is a folder, or a remote that rclone knows/);
	const misspelt = await lab.lab("pull", storeOf(lab), "kernel-mian");
	t.is(misspelt.code, 2);
	t.regex(misspelt.stderr, /^lab: stack "quickstart" has no build "kernel-mian" \(did you mean "kernel-main"\?\)/);
});

asRoot(`a build of a person's own tree is not shared, and need not be here${why}`, async (t) => {
	const lab = await LockedLab.for(t);
	writeFileSync(`${lab.project}/stacks/tree.yaml`, "extends: quickstart\nqemu: { main: { source: path:examples } }\n");
	writeFileSync(`${lab.project}/examples/configure`, "");
	const free = ["guest-tools", "image-main", "kernel-main", "module-lttng", "module-mymodule"].map(
		(name) => `${name}: {}\n`,
	);
	const lock = `qemu-main: { result: "${"ab".repeat(32)}" }\n${free.join("")}`;
	writeFileSync(`${lab.project}/stacks/tree.lock.yaml`, lock);
	for (const verb of ["push", "pull"]) {
		const ran = await lab.lab("-s", "tree", verb, storeOf(lab), "qemu-main");
		t.deepEqual(ran, { code: 0, stdout: "qemu-main: of your own tree: not shared", stderr: "" });
	}
	t.false(existsSync(storeOf(lab)));
});

asRoot(`what the lock leaves open is not shared, and keeps nothing else from it${why}`, async (t) => {
	const lab = await locked(t);
	const file = `${lab.project}/${lockName}`;
	const pins = readFileSync(file, "utf8");
	const shared = names.filter((name) => name !== "module-mymodule");
	writeFileSync(file, pins.replace(/^module-mymodule:\n(?: .*\n)+/m, "module-mymodule: {}\n"));
	const pushed = await lab.lab("push", storeOf(lab));
	t.deepEqual(
		[pushed.code, sized(pushed.stdout)],
		[0, [...shared.map((name) => `${name}: pushed, N`), "module-mymodule: the lock leaves it open: not shared"]],
		pushed.stderr,
	);
	rmSync(`${lab.host.root}/opt/tracelab`, { recursive: true });
	const pulled = await lab.lab("pull", storeOf(lab));
	t.deepEqual(
		[pulled.code, sized(pulled.stdout)],
		[0, [...shared.map((name) => `${name}: pulled, N`), "module-mymodule: the lock leaves it open: up builds it"]],
		pulled.stderr,
	);
	const refusal = (open: string) => ({
		code: 1,
		stdout: "",
		stderr: `lab: ${lockName} does not pin what comes out of ${open}\n  what to do: ./lab lock does, where the lab is up`,
	});
	t.deepEqual(await lab.lab("pull", storeOf(lab), ...names), refusal("module-mymodule"));
	writeFileSync(file, names.map((name) => `${name}: {}\n`).join(""));
	for (const verb of ["push", "pull"]) t.deepEqual(await lab.lab(verb, storeOf(lab)), refusal(names.join(", ")));
});

test.serial("without rclone, or without zstd, that is said first", async (t) => {
	const lab = await LockedLab.for(t);
	for (const [program, others] of [
		["rclone", []],
		["zstd", ["rclone"]],
	] as const) {
		const bin = `${lab.host.root}/only-${program}`;
		for (const other of others) lab.host.write(`only-${program}/${other}`, "#!/bin/sh\n", 0o755);
		lab.host.env["PATH"] = bin;
		const { code, stderr } = await lab.lab("push", storeOf(lab));
		t.deepEqual([code, stderr], [1, `lab: there is no ${program} on this machine\n  what to do: install ${program}`]);
	}
});
