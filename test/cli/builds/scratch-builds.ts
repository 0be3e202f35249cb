import { spawn } from "node:child_process";
import { once } from "node:events";
import { utimesSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { ScratchLab } from "../scratch-lab.ts";

export const hash = (letter: string) => letter.repeat(16);
const day = 86_400;

export class Builds {
	readonly lab: ScratchLab;

	constructor(lab: ScratchLab) {
		this.lab = lab;
	}

	/** Makes a build, used so many days ago. */
	build(place: "used" | "cached" | "work", id: string, daysAgo: number, files: readonly string[] = []): void {
		const folder = {
			used: `opt/tracelab/${id}`,
			cached: `var/cache/tracelab/builds/${id}`,
			work: `opt/tracelab/${id}.work`,
		}[place];
		for (const file of [...(place === "work" ? ["half"] : [".tracelab-build"]), ...files])
			this.lab.write(`${folder}/${file}`, "x\n");
		this.aged(folder, daysAgo);
	}

	aged(path: string, daysAgo: number): void {
		const then = Date.now() / 1000 - daysAgo * day - 60;
		utimesSync(join(this.lab.root, path), then, then);
	}

	/** The builds that are there, wherever. */
	left(): string[] {
		const below = /^(?:opt\/tracelab|var\/cache\/tracelab\/builds)\/([a-z-]+\/[0-9a-f]{16}(?:\.work)?)$/;
		return Object.keys(this.lab.tree())
			.flatMap((path) => below.exec(path)?.[1] ?? [])
			.sort();
	}
}

/** A scratch host on which each folder and file takes a megabyte. */
export async function there(t: ExecutionContext): Promise<Builds> {
	const lab = await ScratchLab.for(t);
	lab.fake("du", 'while [ "$1" != -- ]; do shift; done; shift; for path; do printf "1000000\\t%s\\n" "$path"; done');
	return new Builds(lab);
}

/** Holds the lock of a build until the test is over, as the step that builds it does. */
export async function building(t: ExecutionContext, lab: ScratchLab, id: string): Promise<void> {
	const file = lab.write(`run/tracelab/locks/build-${id.replace("/", "-")}`, "");
	const holder = spawn("flock", ["--no-fork", file, "sh", "-c", "echo has it; exec sleep 600"], {
		stdio: ["ignore", "pipe", "ignore"],
	});
	t.teardown(() => holder.kill());
	await once(holder.stdout, "data");
}
