import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A project in a folder of its own, with what stack files name. */
export class ScratchProject {
	readonly root = mkdtempSync(join(tmpdir(), "tracelab-project-"));

	constructor() {
		this.write("kconfig/quickstart.config", "CONFIG_64BIT=y\n");
		this.write("examples/mymodule/Kbuild", "obj-m := mymodule.o\n");
	}

	/** Writes a file below the root; returns its whole path. */
	write(path: string, content: string | Buffer, mode = 0o644): string {
		const whole = join(this.root, path);
		mkdirSync(dirname(whole), { recursive: true });
		writeFileSync(whole, content, { mode });
		return whole;
	}

	remove(): void {
		rmSync(this.root, { recursive: true, force: true });
	}
}

/** The shortest stack file that is good. */
export const smallest = `qemu: { main: { source: debian:qemu } }
kernels: { main: { source: debian:linux-source-6.1 } }
images: { main: {} }
domains: { vm: { qemu: main, kernel: main, image: main } }
`;
