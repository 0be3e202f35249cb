import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { size } from "../cli/terminal.ts";
import { lockFile } from "../spec/lock.ts";
import { type Bench, type Figure, inScratch, seconds, succeeded, without } from "./figure.ts";
import { installHostPackages } from "./plain.ts";

/** What a bundle weighs, and whether all builds can be made of it alone: where there is no network, and no cache. */
export async function bundleFigures(bench: Bench): Promise<Figure[]> {
	await installHostPackages();
	return inScratch(bench, async (scratch) => {
		const archive = join(scratch, "lab.tar");
		await bench.lab("up");
		await bench.lab("lock");
		await seconds("bundle", () => bench.lab("bundle", archive));
		await bench.lab("destroy", "--yes");
		const { took, said } = await without("/var/cache/tracelab", () => fromBundle(bench, archive));
		return [
			{ name: "bundle of quickstart", measured: size(statSync(archive).size) },
			{
				name: "up from the bundle, with nothing built, no cache and no network",
				measured: `${said}, in ${(took / 60).toFixed(1)} min`,
				goal: "as the lock says",
				met: said === asLocked,
			},
		];
	});
}

const asLocked = "as the lock says";

/** Seconds that the up took, and what `./lab lock` says of it. */
async function fromBundle(bench: Bench, archive: string): Promise<{ took: number; said: string }> {
	const { copy, stack } = bench;
	// It brings both.
	for (const file of [lockFile(stack), `stacks/${stack}.yaml`]) rmSync(join(copy.folder, file));
	succeeded(await copy.lab("unbundle", archive));
	// Pulumi's parts talk to each other over the loopback; libvirtd starts QEMU where it is itself.
	const stopped = "pkill -x libvirtd || :; while pgrep -x -r R,S,D libvirtd; do sleep 0.1; done";
	const alone = `${stopped}; unshare --net sh -ec 'ip link set lo up; exec ./lab --stack ${stack} up'`;
	const took = await seconds("up from the bundle, without a network", async () => succeeded(await copy.bash(alone)));
	const { code, all } = await copy.lab("--stack", stack, "lock");
	await bench.lab("destroy", "--yes");
	return { took, said: code === 0 ? asLocked : all };
}
