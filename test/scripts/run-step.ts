import { createHash } from "node:crypto";
import {
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { type StepInput, scriptText, stepProgram } from "../../components/step-program.ts";

/** What a step did. */
export interface StepRun {
	code: number | undefined;
	/** The JSON object that it printed, if it printed one. */
	stdout: Record<string, string>;
	/** Its words, without the last line's end. */
	stderr: string;
	/** The fake commands that it called, each `name argument…`. */
	calls: string[];
}

/** Commands that would change this machine: without a fake of the test's own they fail and say so. */
const dangerous = [
	...["apparmor_parser", "apt-cache", "apt-get", "apt-mark", "debsnap", "dpkg", "dpkg-query", "getent", "gpasswd"],
	...["groupadd", "groupdel", "id", "libvirtd", "lttng", "lttng-sessiond", "systemctl", "userdel", "usermod", "virsh"],
	"virtlogd",
];

/** A scratch root for steps, with fake commands first on PATH. */
export class ScratchHost {
	readonly root = mkdtempSync(join(tmpdir(), "tracelab-root-"));
	readonly #bin = mkdtempSync(join(tmpdir(), "tracelab-bin-"));
	readonly #calls = join(this.#bin, ".calls");

	constructor() {
		for (const name of dangerous) this.fake(name, `echo "the test has no fake for $0 $*" >&2; exit 97`);
	}

	/**
	 * Puts a command first on PATH that notes how it was called and then runs `body`, bash with the scratch root
	 * in `$root` and a folder of its own in `$own`. Nothing of it comes from the environment: daemons get none.
	 */
	fake(name: string, body: string): void {
		const own = join(this.#bin, `.${name}`);
		mkdirSync(own, { recursive: true });
		const lines = [`root='${this.root}' own='${own}'`, `echo "${name}\${*:+ $*}" >>'${this.#calls}'`, body];
		writeFileSync(join(this.#bin, name), `#!/usr/bin/env bash\n${lines.join("\n")}\n`, { mode: 0o755 });
	}

	/** Writes a file below the root; returns its whole path. */
	write(path: string, text: string | Buffer, mode = 0o644): string {
		const whole = join(this.root, path);
		mkdirSync(dirname(whole), { recursive: true });
		writeFileSync(whole, text, { mode });
		return whole;
	}

	read(path: string): string {
		return this.bytes(path).toString();
	}

	bytes(path: string): Buffer {
		return readFileSync(join(this.root, path));
	}

	/** Runs one verb of a step as components/step.ts does. */
	async step(
		script: string,
		verb: "probe" | "apply" | "remove" | "inputs" | "sources",
		inputs: Readonly<Record<string, StepInput>> = {},
	) {
		return this.bash(stepProgram(script, { stack: "quick", step: script, generation: "g", ...inputs }), verb);
	}

	/** Runs a library's text followed by `body`, for what no single step shows. */
	async library(name: string, body: string, inputs: Readonly<Record<string, string>> = {}): Promise<StepRun> {
		const given = { stack: "quick", step: "test", generation: "g", step_program: "its text", ...inputs };
		const assignments = Object.entries(given).map(([key, value]) => `${key}='${value}'`);
		return this.bash([...assignments, scriptText(`lib/${name}`), body].join("\n"));
	}

	async bash(program: string, ...args: string[]): Promise<StepRun> {
		rmSync(this.#calls, { force: true });
		const env = { PATH: `${this.#bin}:${process.env["PATH"]}`, TRACELAB_ROOT: this.root, HOME: this.root };
		const options = { input: program, env, extendEnv: false, reject: false } as const;
		const { exitCode, stdout, stderr } = await execa("bash", ["-s", "--", ...args], options);
		return { code: exitCode, stdout: parsed(stdout), stderr, calls: lines(this.#calls) };
	}

	/** Everything below the root, by path, but for the folders named (by default where the lab logs). */
	tree(except: readonly string[] = ["var/log/tracelab"]): Record<string, string> {
		return tree(this.root, except);
	}

	/** The tree without what is the lab's own, and without /run, which a fake daemon leaves: what a remove must give back. */
	hostTree(): Record<string, string> {
		return this.tree(["run", "var/lib/tracelab", "var/log/tracelab", "var/cache/tracelab"]);
	}

	#isFake(pid: string): boolean {
		try {
			const program = readlinkSync(`/proc/${pid}/exe`);
			return program.startsWith(this.#bin) || readFileSync(`/proc/${pid}/cmdline`, "utf8") === "sleep\x00600\0";
		} catch {
			return false;
		}
	}

	/** Ends the daemons that fakes started (their pid files say which) and removes everything. */
	clean(): void {
		for (const file of Object.keys(this.tree()).filter((path) => path.endsWith(".pid"))) {
			const pid = this.read(file).trim();
			// Not whoever has got the number of one that ended since.
			if (this.#isFake(pid)) process.kill(Number(pid));
		}
		rmSync(this.root, { recursive: true, force: true });
		rmSync(this.#bin, { recursive: true, force: true });
	}
}

/** Is that process, given as a pid file has it, there and at work? An ended one may wait for a parent that never looks. */
export function runs(pid: string): boolean {
	try {
		return !readFileSync(`/proc/${pid.trim()}/stat`, "utf8").includes(") Z ");
	} catch {
		return false;
	}
}

/** One hash over a tree: names, types, modes, owners, contents. */
export function treeHash(folder: string, except: readonly string[] = []): string {
	return createHash("sha256")
		.update(JSON.stringify(tree(folder, except)))
		.digest("hex");
}

function tree(folder: string, except: readonly string[], path = ""): Record<string, string> {
	const found: Record<string, string> = {};
	for (const name of readdirSync(join(folder, path)).sort()) {
		const inner = join(path, name);
		if (except.includes(inner)) continue;
		const whole = join(folder, inner);
		const entry = lstatSync(whole);
		const owner = `${(entry.mode & 0o7777).toString(8)} ${entry.uid}:${entry.gid}`;
		if (entry.isDirectory()) {
			const below = tree(folder, except, inner);
			// A folder that only the lab's own folders keep there is theirs.
			if (Object.keys(below).length > 0 || !except.some((own) => own.startsWith(`${inner}/`)))
				found[inner] = `folder ${owner}`;
			Object.assign(found, below);
		} else if (entry.isSymbolicLink()) found[inner] = `link ${readlinkSync(whole)}`;
		else found[inner] = `file ${owner} ${createHash("sha256").update(readFileSync(whole)).digest("hex").slice(0, 16)}`;
	}
	return found;
}

function parsed(stdout: string): Record<string, string> {
	return stdout === "" ? {} : JSON.parse(stdout);
}

function lines(file: string): string[] {
	try {
		return readFileSync(file, "utf8").trimEnd().split("\n");
	} catch {
		return [];
	}
}
