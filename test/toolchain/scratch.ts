import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	realpathSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Workshop } from "../../toolchain/go.ts";

/** A folder of the test's own, with a log and a place for fake programs. */
export class Scratch {
	readonly root = realpathSync(mkdtempSync(join(tmpdir(), "tracelab-toolchain-")));
	readonly log = join(this.root, "log");
	readonly bin = join(this.root, "bin");
	readonly #calls = join(this.root, "calls");

	constructor(t: ExecutionContext) {
		t.teardown(() => rmSync(this.root, { recursive: true, force: true }));
		mkdirSync(this.bin);
	}

	/** Writes a file below the root; returns its whole path. */
	write(path: string, text: string | Buffer, mode = 0o644): string {
		const whole = join(this.root, path);
		mkdirSync(dirname(whole), { recursive: true });
		// A link there may lead to a real program.
		rmSync(whole, { force: true });
		writeFileSync(whole, text);
		chmodSync(whole, mode);
		return whole;
	}

	/** A program, by its path below the root, that notes how it was called and then runs `body`, bash. */
	fake(path: string, body: string): string {
		const name = path.split("/").at(-1) ?? path;
		return this.write(path, `#!/bin/bash\necho "${name}\${*:+ $*}" >>'${this.#calls}'\n${body}\n`, 0o755);
	}

	/** How the fakes were called, each `name argument…`. */
	calls(): string[] {
		return existsSync(this.#calls) ? readFileSync(this.#calls, "utf8").trimEnd().split("\n") : [];
	}

	read(path: string): string {
		return readFileSync(join(this.root, path), "utf8");
	}

	/** PATH for this process until the test ends; such tests are serial. */
	path(t: ExecutionContext, ...folders: string[]): void {
		const before = process.env["PATH"];
		t.teardown(() => {
			process.env["PATH"] = before;
		});
		process.env["PATH"] = folders.join(delimiter);
	}

	/** What builds get to know: everything below the root. */
	workshop(): Workshop & { readonly said: string[] } {
		const said: string[] = [];
		const toolchain = join(this.root, "toolchain");
		return { cache: join(this.root, "cache"), toolchain, log: this.log, say: (line) => said.push(line), said };
	}
}
