import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { correctionLines } from "../../spec/systemtap-corrections.ts";
import { onHost } from "../host.ts";
import { runScript } from "../script.ts";
import { type ProbePoint, readPoints } from "./hit-report.ts";
import { type Probe, probesFolder } from "./probe.ts";

/** A compiled script where the guest sees it. */
export interface Compiled {
	/** Name of the module; the guest sees it as /lab/probes/NAME.ko. */
	readonly module: string;
	readonly points: readonly ProbePoint[];
	/** Build-id of the kernel that it is for. */
	readonly kernel: string;
	/** Takes the module away where it was made for one run. */
	readonly remove: () => void;
}

/** Compiles a probe's script as it is now, for one run. */
export async function compileOnce({ script, domain }: Probe): Promise<Compiled> {
	const scratch = mkdtempSync(join(tmpdir(), "tracelab-probe-"));
	const module = `stap_once_${process.pid}`;
	const installed = join(probesFolder(domain), `${module}.ko`);
	try {
		await stap(scratch, module, { script, domain });
		mkdirSync(dirname(installed), { recursive: true });
		const part = join(dirname(installed), `.${module}.tracelab-part`);
		copyFileSync(join(scratch, `${module}.ko`), part);
		chmodSync(part, 0o644);
		renameSync(part, installed);
		return {
			module,
			points: readPoints(readFileSync(join(scratch, "points"), "utf8")),
			kernel: readFileSync(onHost(`${domain.kernel.prefix}/build-id`), "utf8").trim(),
			remove: () => rmSync(installed, { force: true }),
		};
	} finally {
		rmSync(scratch, { recursive: true, force: true });
	}
}

async function stap(folder: string, module: string, { script, domain }: Pick<Probe, "script" | "domain">) {
	const { card, kernel, stack } = domain;
	const inputs = {
		stack,
		step: "probe",
		script,
		kernel_prefix: kernel.prefix,
		folder: `/var/lib/tracelab/domains/${card.libvirtName}`,
		domain: card.libvirtName,
		modules: Object.keys(card.modules).sort().join(" "),
		corrections: correctionLines,
	};
	await runScript("systemtap-compile", inputs, [module, folder]);
}
