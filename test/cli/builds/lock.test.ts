import { appendFileSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { ExecutionContext } from "ava";
import { buildPrefixes } from "../../../spec/build-prefixes.ts";
import { loadStack } from "../../../spec/load-stack.ts";
import { lockHash, lockText, readLock } from "../../../spec/lock.ts";
import { asRoot, why } from "../../as-root.ts";
import { LockedLab, sha } from "../locked-lab.ts";
import { card } from "../scratch-lab.ts";

// As probes has it, quickstart with a probe, of which the same builds come.
const prefixes = buildPrefixes(loadStack("probes"));
const prefixOf = (build: string) => prefixes[build] ?? "";
const idOf = (build: string) => prefixOf(build).replace("/opt/tracelab/", "");

/** Puts a build there that noted these facts, and whose step says that it would be made of them now, or of others. */
function builds(lab: LockedLab, name: string, facts: Readonly<Record<string, string>>, now = facts): void {
	const { result: _, ...inputs }: Record<string, string> = { ...now, build: idOf(name) };
	lab.notes(prefixOf(name), facts);
	lab.step(name, prefixOf(name), `inputs() { cat <<'END'\n${JSON.stringify(inputs)}\nEND\n}`);
}

async function up(t: ExecutionContext): Promise<LockedLab> {
	const lab = await LockedLab.for(t);
	builds(lab, "kernel-main", { version: "6.1-1", tools: "binutils 2.40\ngcc-12 12.2", result: sha("1") });
	builds(lab, "module-mymodule", { tree: sha("2"), kernel: "aaaaaaaa", result: sha("3") });
	return lab;
}

const kernel = {
	build: idOf("kernel-main"),
	version: "6.1-1",
	tools: { binutils: "2.40", "gcc-12": "12.2" },
	result: sha("1"),
};
const module_ = { build: idOf("module-mymodule"), tree: sha("2"), kernel: "aaaaaaaa", result: sha("3") };
/** Builds of the stack that are not there: a lock that is written without them names them. */
const free = { "guest-tools": {}, "image-main": {}, "module-lttng": {}, "qemu-main": {} };
const file = "stacks/quickstart.lock.yaml";
const taken = "./lab up notes it on the lab card, and builds nothing that it pins";

asRoot(`a lock is written from the lab that is up, once${why}`, async (t) => {
	const lab = await up(t);
	t.deepEqual(await lab.lab("lock"), {
		code: 0,
		stdout: `${file}: written, for kernel-main, module-mymodule; commit it\n${file} holds ${Object.keys(free).join(", ")} to nothing\n${taken}`,
		stderr: "",
	});
	t.deepEqual(lab.lock, { ...free, "kernel-main": kernel, "module-mymodule": module_ });
	const text = readFileSync(`${lab.project}/${file}`, "utf8");
	const agreed = `${file} is there, and the lab is as it says`;
	t.deepEqual(await lab.lab("lock"), { code: 0, stdout: `${agreed}\n${taken}`, stderr: "" });
	t.is(readFileSync(`${lab.project}/${file}`, "utf8"), text);
	const lock = lockHash("quickstart", lab.project) ?? "";
	lab.host.up({ ...card, hashes: { ...card.hashes, lock } });
	t.is((await lab.lab("lock")).stdout, agreed);
});

asRoot(
	`a lab that is not as its lock says is an error that names what differs, and the lock stays${why}`,
	async (t) => {
		const lab = await up(t);
		await lab.lab("lock");
		const text = readFileSync(`${lab.project}/${file}`, "utf8");
		builds(lab, "kernel-main", { version: "6.1-2", tools: "binutils 2.40\ngcc-12 12.3", result: sha("4") });
		t.deepEqual(await lab.lab("lock"), {
			code: 1,
			stdout: [
				"kernel-main version: 6.1-1 → 6.1-2",
				"kernel-main tools gcc-12: 12.2 → 12.3",
				"kernel-main result: 111111111111 → 444444444444",
				`${file} is kept as it is: up makes the lab as it says, and ./lab lock --update changes it`,
			].join("\n"),
			stderr: "",
		});
		t.is(readFileSync(`${lab.project}/${file}`, "utf8"), text);
	},
);

asRoot(`an update pins what there is now, and opens what that and its modules come to${why}`, async (t) => {
	const lab = await up(t);
	await lab.lab("lock");
	t.is((await lab.lab("lock", "--update")).stdout, `nothing is newer than what ${file} has`);
	builds(
		lab,
		"kernel-main",
		{ version: "6.1-1", tools: "binutils 2.40\ngcc-12 12.2", result: sha("1") },
		{ version: "6.1-2", tools: "binutils 2.40\ngcc-12 12.2" },
	);
	t.deepEqual(await lab.lab("lock", "--update", "kernel-main"), {
		code: 0,
		stdout: [
			"kernel-main version: 6.1-1 → 6.1-2",
			"kernel-main result: 111111111111 → not pinned",
			"module-mymodule kernel: aaaaaaaa → not pinned",
			"module-mymodule result: 333333333333 → not pinned",
			"./lab up builds kernel-main, module-mymodule; then ./lab lock pins what that comes to",
		].join("\n"),
		stderr: "",
	});
	t.deepEqual(lab.lock?.["kernel-main"], { build: kernel.build, version: "6.1-2", tools: kernel.tools });
	t.deepEqual(lab.lock?.["module-mymodule"], { build: module_.build, tree: module_.tree });
});

const probes = "probes: { mymodule: { script: examples/mymodule.stp, domain: vm } }\n";

asRoot(`a lock stays as it is where a new one finds no room${why}`, async (t) => {
	const lab = await up(t);
	await lab.lab("lock");
	const text = readFileSync(`${lab.project}/${file}`, "utf8");
	builds(lab, "kernel-main", { version: "6.1-2", tools: "binutils 2.40\ngcc-12 12.2", result: sha("4") });
	symlinkSync("/dev/full", `${lab.project}/${file}.part`);
	t.deepEqual(await lab.lab("lock", "--update"), {
		code: 1,
		stdout: "",
		stderr:
			"lab: ENOSPC: no space left on device, write\n  what to do: make room (df -h shows on which disk), then say it again",
	});
	t.is(readFileSync(`${lab.project}/${file}`, "utf8"), text);
	t.is((await lab.lab("lock", "--update")).code, 0);
	t.is(lab.lock?.["kernel-main"]?.version, "6.1-2");
});

asRoot(
	`an update of a module opens what its probe comes to, and an edit of it is another probe, too${why}`,
	async (t) => {
		const lab = await up(t);
		appendFileSync(`${lab.project}/stacks/quickstart.yaml`, probes);
		builds(lab, "probe-mymodule-vm", { kernel: "aaaaaaaa", modules: `mymodule ${sha("3")}`, result: sha("4") });
		await lab.lab("lock");
		const probe = { build: idOf("probe-mymodule-vm"), kernel: "aaaaaaaa", modules: { mymodule: sha("3") } };
		t.deepEqual(lab.lock?.["probe-mymodule-vm"], { ...probe, result: sha("4") });
		t.is((await lab.lab("lock", "--update", "module-mymodule")).stdout, `nothing is newer than what ${file} has`);

		appendFileSync(`${lab.project}/examples/mymodule/mymodule.c`, "/* edited */\n");
		const edited = buildPrefixes(loadStack("quickstart", { projectRoot: lab.project }));
		const [module, another] = ["module-mymodule", "probe-mymodule-vm"].map((name) =>
			(edited[name] ?? "").replace("/opt/tracelab/", ""),
		);
		t.deepEqual(await lab.lab("lock", "--update", "module-mymodule"), {
			code: 0,
			stdout: [
				`module-mymodule build: ${module_.build} → ${module}`,
				"module-mymodule tree: 222222222222 → not pinned",
				"module-mymodule kernel: aaaaaaaa → not pinned",
				"module-mymodule result: 333333333333 → not pinned",
				`probe-mymodule-vm build: ${probe.build} → ${another}`,
				"probe-mymodule-vm kernel: aaaaaaaa → not pinned",
				"probe-mymodule-vm modules mymodule: 333333333333 → not pinned",
				"probe-mymodule-vm result: 444444444444 → not pinned",
				"./lab up builds module-mymodule, probe-mymodule-vm; then ./lab lock pins what that comes to",
			].join("\n"),
			stderr: "",
		});
		t.deepEqual(lab.lock, {
			...free,
			"kernel-main": kernel,
			"module-mymodule": { build: module },
			"probe-mymodule-vm": { build: another },
		});
		t.deepEqual(
			readLock("quickstart", () => edited, lab.project),
			lab.lock,
		);
	},
);

asRoot(`an update knows the stack file's builds: another one than was begun, and none any more${why}`, async (t) => {
	const lab = await up(t);
	await lab.lab("lock");
	const text = readFileSync(`${lab.project}/${file}`, "utf8").replace("module-mymodule:", "module-gone:");
	writeFileSync(`${lab.project}/${file}`, text);
	lab.step("kernel-main", "/opt/tracelab/kernel/ffffffffffffffff", "inputs() { exit 9; }");
	const { code, stdout } = await lab.lab("lock", "--update");
	t.is(code, 0);
	t.true(stdout.includes("\nmodule-gone tree: 222222222222 → not pinned\n"), stdout);
	t.deepEqual(lab.lock, {
		...free,
		"kernel-main": { build: kernel.build },
		"module-mymodule": { build: module_.build, tree: module_.tree },
	});
});

asRoot(
	`a build that came into the stack file later is taken into the lock by its name, before anything is built${why}`,
	async (t) => {
		const lab = await LockedLab.for(t);
		const locked = { ...free, "kernel-main": kernel };
		writeFileSync(`${lab.project}/${file}`, lockText("quickstart", locked));
		t.deepEqual(await lab.lab("lock", "--update", "module-mymodule"), {
			code: 0,
			stdout: [
				`module-mymodule build: not pinned → ${module_.build}`,
				"./lab up builds module-mymodule; then ./lab lock pins what that comes to",
			].join("\n"),
			stderr: "",
		});
		t.deepEqual(lab.lock, { ...locked, "module-mymodule": { build: module_.build } });
		builds(lab, "module-mymodule", { tree: sha("2"), kernel: "aaaaaaaa", result: sha("3") });
		t.is((await lab.lab("lock")).stdout, `${file}: added to, for module-mymodule; commit it\n${taken}`);
		t.deepEqual(lab.lock, { ...locked, "module-mymodule": module_ });
		const { code, stderr } = await lab.lab("lock", "--update", "module-mymodul");
		t.deepEqual(
			[code, stderr.split("\n")[0]],
			[2, 'lab: stack "quickstart" has no build "module-mymodul" (did you mean "module-mymodule"?)'],
		);
	},
);

asRoot(`a build that notes nothing, and a step that cannot tell, are errors${why}`, async (t) => {
	const lab = await up(t);
	rmSync(`${lab.host.root}${prefixOf("kernel-main")}`, { recursive: true });
	t.deepEqual(await lab.lab("lock"), {
		code: 1,
		stdout: "",
		stderr: [
			`lab: kernel-main says nothing of what it was made of: ${prefixOf("kernel-main")} is not built, or was built by an older tracelab`,
			"  what to do: build it again: ./lab destroy, ./lab gc --older-than 0d, ./lab up",
		].join("\n"),
	});
	lab.step("kernel-main", prefixOf("kernel-main"), "inputs() { echo 'no network' >&2; exit 1; }");
	const { code, stderr } = await lab.lab("lock", "--update", "kernel-main");
	t.is(code, 1);
	t.is(
		stderr,
		"no network\nlab: what kernel-main is made of cannot be told\n  what to do: what its step said is above",
	);
});

asRoot(`a lock that cannot be read is an error with its place${why}`, async (t) => {
	const lab = await up(t);
	writeFileSync(`${lab.project}/${file}`, "kernel-main:\n  verison: 1\n");
	const { code, stderr } = await lab.lab("lock");
	t.is(code, 1);
	t.is(stderr.split("\n")[0], `lab: ${file}:2:3: kernel-main.verison: unknown key "verison" (did you mean "version"?)`);
});
