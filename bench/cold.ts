import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { say } from "../cli/terminal.ts";
import { hostPackages } from "../spec/host-packages.ts";
import { type Bench, type Figure, seconds } from "./figure.ts";

const caches = "/var/cache/tracelab";
const aside = `${caches}.bench-aside`;

/** What the first `up` costs beside the plain commands of its parts, and what a later one does. */
export async function coldFigures(bench: Bench): Promise<Figure[]> {
	// Packages are Debian's to install, at the same price for both.
	await execa("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...hostPackages]);
	if (existsSync(caches)) renameSync(caches, aside);
	try {
		const cold = await seconds("cold up", () => bench.lab("up"));
		await bench.lab("destroy", "--yes");
		const again = await seconds("up after destroy", () => bench.lab("up"));
		await bench.lab("destroy", "--yes");
		const plain = await plainCommands();
		return [
			{
				name: "cold up of quickstart, its toolchain there",
				measured: `${(cold / 60).toFixed(1)} min`,
				goal: "10 min",
				met: cold <= 600,
			},
			{
				name: "cold up, beside the plain commands of its parts",
				measured: `${(cold / plain).toFixed(2)} × (${cold.toFixed(0)} s against ${plain.toFixed(0)} s)`,
				goal: "1.05 ×",
				met: cold <= 1.05 * plain,
			},
			{
				name: "up after destroy, beside the cold one",
				measured: `${(again / cold).toFixed(3)} × (${again.toFixed(0)} s)`,
				goal: "0.1 ×",
				met: again <= 0.1 * cold,
			},
		];
	} finally {
		if (existsSync(aside)) {
			rmSync(caches, { recursive: true, force: true });
			renameSync(aside, caches);
		}
	}
}

/** configure && make, one after the other, as a person types them. */
async function plainCommands(): Promise<number> {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-plain-"));
	const script = fileURLToPath(new URL("plain.sh", import.meta.url));
	try {
		return await seconds("plain commands", () =>
			execa("bash", [script, folder], { stdio: ["ignore", "ignore", "pipe"] }),
		);
	} catch (error) {
		const log = join(folder, "log");
		if (existsSync(log)) say(readFileSync(log, "utf8").split("\n").slice(-20).join("\n"));
		throw error;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
