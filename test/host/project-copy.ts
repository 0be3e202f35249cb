import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa, execaSync } from "execa";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** What a command did. */
export interface Ran {
	code: number;
	stdout: string;
	stderr: string;
	/** Both, in the order in which they came. */
	all: string;
}

/**
 * The project in a folder of its own, with stacks and a state of its own: the tests edit sources as a person does,
 * and a lab that is up from the real project goes on beside theirs. The toolchain is the real project's.
 */
export class ProjectCopy {
	readonly folder = mkdtempSync(join(tmpdir(), "tracelab-project-"));

	constructor() {
		const { stdout } = execaSync(
			"git",
			["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
			{
				cwd: root,
			},
		);
		for (const file of stdout.split("\0")) {
			if (file === "" || /^(test|sdks)\//.test(file)) continue;
			mkdirSync(join(this.folder, dirname(file)), { recursive: true });
			copyFileSync(join(root, file), join(this.folder, file));
		}
		for (const made of ["node_modules", ".pulumi", "sdks"]) symlinkSync(join(root, made), join(this.folder, made));
		mkdirSync(join(this.folder, ".state"));
	}

	write(file: string, text: string): void {
		writeFileSync(join(this.folder, file), text);
	}

	edit(file: string, from: string, to: string): void {
		const text = readFileSync(join(this.folder, file), "utf8");
		if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
		this.write(file, text.replace(from, to));
	}

	/** ./lab, as a person runs it in the project's folder. */
	lab(...args: string[]): Promise<Ran> {
		return this.#run(join(this.folder, "lab"), args);
	}

	/** The same while it runs, for what is done to it meanwhile. */
	startLab(...args: string[]) {
		return this.#start(join(this.folder, "lab"), args);
	}

	/** The literal `pulumi …`, in a shell that was set up as the README says. */
	pulumi(command: string): Promise<Ran> {
		return this.bash(`eval "$(./lab env)"; pulumi --color never ${command}`);
	}

	bash(script: string): Promise<Ran> {
		return this.#run("bash", ["-c", script]);
	}

	remove(): void {
		rmSync(this.folder, { recursive: true, force: true });
	}

	async #run(program: string, args: readonly string[]): Promise<Ran> {
		const { exitCode, stdout, stderr, all } = await this.#start(program, args);
		return { code: exitCode ?? 1, stdout, stderr, all };
	}

	#start(program: string, args: readonly string[]) {
		const options = { reject: false, all: true, stdin: "ignore", env: { NO_COLOR: "1" } } as const;
		return execa(program, args, { cwd: this.folder, ...options });
	}
}
