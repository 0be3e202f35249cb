import { LabError, orFault } from "../cli/errors.ts";
import { type Bench, type Figure, seconds, without } from "./figure.ts";
import { installHostPackages, PlainCommands } from "./plain.ts";

/** What the first `up` costs beside the plain commands of its parts, and what a later one does. */
export async function coldFigures(bench: Bench): Promise<Figure[]> {
	await installHostPackages();
	return without("/var/cache/tracelab", async () => {
		const cold = await seconds("cold up", () => bench.lab("up"));
		await bench.lab("destroy", "--yes");
		const again = await seconds("up after destroy", () => bench.lab("up"));
		await bench.lab("destroy", "--yes");
		// It is not why an hour's figures are lost.
		const plain = await orFault(plainCommands);
		return [
			{
				name: "cold up of quickstart, with Pulumi and the host's packages there",
				measured: `${(cold / 60).toFixed(1)} min`,
				goal: "10 min",
				met: cold <= 600,
			},
			besidePlain(cold, plain),
			{
				name: "up after destroy, beside the cold one",
				measured: `${(again / cold).toFixed(3)} × (${again.toFixed(0)} s)`,
				goal: "0.1 ×",
				met: again <= 0.1 * cold,
			},
		];
	});
}

function besidePlain(cold: number, plain: number | LabError): Figure {
	const figure = { name: "cold up, beside the plain commands of its parts", goal: "1.05 ×" };
	if (plain instanceof LabError) return { ...figure, measured: plain.message, met: false };
	const measured = `${(cold / plain).toFixed(2)} × (${cold.toFixed(0)} s against ${plain.toFixed(0)} s)`;
	return { ...figure, measured, met: cold <= 1.05 * plain };
}

/** All that the lab builds, one after the other, as a person types it. */
async function plainCommands(): Promise<number> {
	const plain = new PlainCommands();
	const kernel = ["kernel_source", "quickstart_kernel", "gdb_scripts"];
	const parts = ["qemu", ...kernel, "module", "lttng_modules", "guest_tools", "image"];
	try {
		return await seconds("plain commands", () => plain.run(...parts));
	} finally {
		plain.remove();
	}
}
