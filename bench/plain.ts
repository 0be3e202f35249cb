import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { LabError } from "../cli/errors.ts";
import { say } from "../cli/terminal.ts";
import { hostPackages } from "../spec/host-packages.ts";

const script = fileURLToPath(new URL("plain.sh", import.meta.url));

/** The commands that a person types without a lab (plain.sh), in a folder of their own. */
export class PlainCommands {
	readonly folder = mkdtempSync(join(tmpdir(), "tracelab-plain-"));

	/** @throws LabError where a part fails; how its log ends was said */
	async run(...parts: string[]): Promise<void> {
		const options = { stdio: ["ignore", "ignore", "pipe"], reject: false } as const;
		const { failed, stderr } = await execa("bash", [script, this.folder, ...parts], options);
		if (!failed) return;
		const log = join(this.folder, "log");
		const logged = existsSync(log) ? readFileSync(log, "utf8") : "";
		say(`${logged}${stderr}`.trimEnd().split("\n").slice(-20).join("\n"));
		throw new LabError(`the plain commands failed: ${parts.join(", ")}`);
	}

	remove(): void {
		rmSync(this.folder, { recursive: true, force: true });
	}
}

/** Packages are Debian's to install, at the same price for a lab and without one. */
export async function installHostPackages(...more: readonly string[]): Promise<void> {
	const env = { DEBIAN_FRONTEND: "noninteractive" };
	await execa("apt-get", ["update", "-q"], { env });
	await execa("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...hostPackages, ...more], { env });
}
