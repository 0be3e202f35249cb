import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { execa } from "execa";
import { LabError } from "../cli/errors.ts";
import { project } from "../cli/host.ts";
import { virsh } from "../cli/libvirt.ts";
import { type Bench, type Figure, median, seconds, succeeded, withinSeconds } from "./figure.ts";

const rounds = 5;

/** What a lab that is up costs and gives: nothing is built but a module. */
export async function quickFigures(bench: Bench): Promise<Figure[]> {
	await bench.lab("up");
	return [await setUp(), await noOp(bench), await moduleEdit(bench), await boot(bench)];
}

/** Set-up where all is there: `npm run bench` has just run it. */
async function setUp(): Promise<Figure> {
	const times: number[] = [];
	for (let round = 0; round < rounds; round++)
		times.push(await seconds("set-up run again", () => execa(join(project, "scripts/setup"))));
	return withinSeconds("set-up run again", times, 1);
}

/** A second `pulumi up`, beside that of a program that declares nothing: what is left is the lab's own. */
async function noOp({ copy, stack }: Bench): Promise<Figure> {
	const empty = mkdtempSync(join(tmpdir(), "tracelab-empty-"));
	try {
		const options = "{name: nodejs, options: {typescript: false}}";
		writeFileSync(
			join(empty, "Pulumi.yaml"),
			`name: empty\nmain: index.js\nruntime: ${options}\nbackend: {url: "file://."}\n`,
		);
		writeFileSync(join(empty, "package.json"), '{"name": "empty", "main": "index.js"}');
		// What `pulumi new javascript` begins with.
		writeFileSync(join(empty, "index.js"), '"use strict";\nconst pulumi = require("@pulumi/pulumi");\n');
		symlinkSync(join(copy.folder, "node_modules"), join(empty, "node_modules"));
		const up = "up --yes --skip-preview --expect-no-changes --suppress-progress";
		const inEmpty = async (command: string) =>
			succeeded(await copy.bash(`eval "$(./lab env)"; cd '${empty}'; pulumi ${command}`));
		await inEmpty("stack init empty");
		await inEmpty("up --yes --skip-preview");
		const [ours, floor]: [number[], number[]] = [[], []];
		for (let round = 0; round < rounds; round++) {
			floor.push(await seconds("no-op up of an empty program", () => inEmpty(up)));
			const lab = async () => succeeded(await copy.pulumi(`${up} --stack ${stack}`));
			ours.push(await seconds("no-op up of the lab", lab));
		}
		const more = median(ours) - median(floor);
		return {
			name: "no-op up, beside an empty program's",
			measured: `+${more.toFixed(1)} s (${median(ours).toFixed(1)} s against ${median(floor).toFixed(1)} s)`,
			goal: "at most +1 s",
			met: more <= 1,
		};
	} finally {
		rmSync(empty, { recursive: true });
	}
}

/** From the saved file to its code's answer in the running guest. */
async function moduleEdit(bench: Bench): Promise<Figure> {
	const file = "examples/mymodule/mymodule.c";
	const times: number[] = [];
	for (let factor = 2; factor < 2 + rounds; factor++) {
		bench.copy.edit(
			file,
			factor === 2 ? "sum += number;" : `sum += ${factor - 1} * number;`,
			`sum += ${factor} * number;`,
		);
		const work = async () => {
			await bench.lab("up");
			const { stdout } = await bench.lab("exec", "vm", "--", "sh", "-c", "echo 10 >/proc/mymodule; cat /proc/mymodule");
			if (stdout !== String(10 * factor)) throw new Error(`the guest runs other code: ${stdout}`);
		};
		times.push(await seconds("module edited to its code run in the guest", work));
	}
	return withinSeconds("edit of a module to its new code running", times, 5);
}

/** From `virsh start` to the guest agent's answer. */
async function boot({ stack }: Bench): Promise<Figure> {
	const domain = `${stack}-vm`;
	const times: number[] = [];
	for (let round = 0; round < rounds; round++) {
		await virsh("destroy", domain);
		const work = async () => {
			// A domain that does not start would be asked for ever.
			const { code, stderr } = await virsh("start", domain);
			if (code !== 0) throw new LabError(`${domain} does not start: ${stderr}`);
			const ping = '{"execute":"guest-ping"}';
			while ((await virsh("qemu-agent-command", "--timeout", "5", domain, ping)).code !== 0) await pause(50);
		};
		times.push(await seconds("domain started to guest answering", work));
	}
	return withinSeconds("domain started to guest answering", times, 8);
}
