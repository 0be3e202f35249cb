import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { didYouMean } from "../../spec/did-you-mean.ts";
import { quote } from "../../spec/quote.ts";
import { readCard } from "../card.ts";
import { inOrder } from "../ending.ts";
import { LabError, systemCode, UsageError } from "../errors.ts";
import { onHost } from "../host.ts";
import { run } from "../program.ts";
import { print, size } from "../terminal.ts";

/** Siemens' tool, as pipx knows it: SPDX 2.3 of what dpkg says is installed, its sources, and who depends on whom. */
const tool = "debsbom[spdx]==0.10.2";

/**
 * Writes the SPDX bill of materials of an image, from dpkg's status in it. The same image gives the same bytes.
 *
 * @throws LabError where the image or the tool cannot be had
 */
export async function sbom(stack: string, asked: string | undefined, { output }: { output?: string }): Promise<void> {
	const { images, hashes } = readCard(stack);
	const name = chosen(asked, Object.keys(images).sort());
	const prefix = images[name]?.prefix ?? "";
	const version = hashes.builds[`image-${name}`] ?? basename(prefix);
	const file = output ?? `image-${name}.spdx.json`;
	const scratch = mkdtempSync(join(tmpdir(), "tracelab-sbom-"));
	try {
		const text = await inOrder(async () =>
			spdx(await installed(onHost(`${prefix}/image.qcow2`), scratch), `image-${name}`, version),
		);
		const { packages } = JSON.parse(text) as { packages: unknown[] };
		write(file, text);
		// The first is the image.
		print(`${file}: ${packages.length - 1} packages, with those of their sources, ${size(text.length)}`);
	} finally {
		rmSync(scratch, { recursive: true, force: true });
	}
}

function chosen(asked: string | undefined, there: readonly string[]): string {
	const [only] = there;
	if (asked === undefined && only !== undefined && there.length === 1) return only;
	if (asked !== undefined && there.includes(asked)) return asked;
	const message =
		asked === undefined ? "which image?" : `the lab has no image ${quote(asked)}${didYouMean(asked, there)}`;
	throw new UsageError(message, `its images: ${there.join(", ")}`);
}

/** Takes dpkg's status out of an image, as old as it is there; returns the root of a tree that has nothing else. */
async function installed(image: string, scratch: string): Promise<string> {
	const raw = join(scratch, "raw");
	const folder = join(scratch, "root");
	const status = `${folder}/var/lib/dpkg/status`;
	await must("mkdir", ["-p", `${folder}/var/lib/dpkg`]);
	await must("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", image, raw]);
	const said = await must("debugfs", ["-R", `dump -p /var/lib/dpkg/status ${status}`, raw]);
	// debugfs itself ends with 0 all the same.
	if (!existsSync(status)) throw new LabError(`${image} has no /var/lib/dpkg/status\n${said.stderr}`);
	return folder;
}

async function spdx(root: string, name: string, version: string): Promise<string> {
	const created = new Date(Math.floor(statSync(`${root}/var/lib/dpkg/status`).mtimeMs / 1000) * 1000);
	const { stdout } = await must(
		"pipx",
		[
			...["run", "--spec", tool, "debsbom", "generate", "--sbom-type", "spdx", "--validate", "--root", root],
			...["--distro-name", name, "--distro-version", version, "--spdx-namespace", `urn:tracelab:image:${version}`],
			...["--timestamp", created.toISOString().replace(".000", ""), "--out", "-"],
		],
		// The order of Python's sets is the document's.
		{ PYTHONHASHSEED: "0" },
	);
	return stdout;
}

async function must(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
	const ran = await run(program, args, "", { env });
	if (ran.code === 0) return ran;
	const said = ran.stderr.trim().split("\n").slice(-8).join("\n");
	throw new LabError(`${program} ended with ${ran.code}: ${args.join(" ")}\n${said}`);
}

function write(file: string, text: string): void {
	try {
		writeFileSync(file, `${text.trimEnd()}\n`);
	} catch (error) {
		throw new LabError(`${file} cannot be written: ${systemCode(error)}`, "name another file: -o FILE");
	}
}
