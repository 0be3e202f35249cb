import { globSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { execa } from "execa";
import { LabError } from "../cli/errors.ts";
import { project } from "../cli/host.ts";
import { virsh } from "../cli/libvirt.ts";
import { type Bench, type Figure, median, seconds, succeeded, withinSeconds } from "./figure.ts";

const rounds = 5;

/** Seconds that a guest has to answer. */
const bootLimit = 120;

/** What a lab that is up costs and gives: nothing is built but a module. */
export async function quickFigures(bench: Bench): Promise<Figure[]> {
	await bench.lab("up");
	return [await setUp(), await noOp(bench), await moduleEdit(bench), ...(await boot(bench))];
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
		for (const file of globSync(join(project, ".pulumi/workspaces/empty-*"))) rmSync(file);
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

/** From the definition of a disk and a domain, as `up` makes them, to the guest agent's answer; and from the start of one that is there. */
async function boot({ stack }: Bench): Promise<Figure[]> {
	const [domain, pool] = [`${stack}-vm`, `tracelab-${stack}`];
	const scratch = mkdtempSync(join(tmpdir(), "tracelab-bench-"));
	const [diskFile, domainFile] = [join(scratch, "disk.xml"), join(scratch, "domain.xml")];
	const [started, created]: [number[], number[]] = [[], []];
	const start = async () => {
		await libvirt("start", domain);
		const ping = '{"execute":"guest-ping"}';
		const end = performance.now() + bootLimit * 1000;
		while ((await virsh("qemu-agent-command", "--timeout", "5", domain, ping)).code !== 0) {
			if (performance.now() > end) throw new LabError(`${domain} does not answer within ${bootLimit} s`);
			await pause(50);
		}
	};
	const create = async () => {
		await libvirt("vol-create", pool, diskFile);
		await libvirt("define", domainFile);
		await start();
	};
	try {
		for (let round = 0; round < rounds; round++) {
			await libvirt("destroy", domain);
			started.push(await seconds("domain with a disk started to guest answering", start));
		}
		// Its only one, as the name of a volume.
		const [disk] = /\S+$/.exec((await libvirt("domblklist", domain)).trim()) ?? [];
		if (disk === undefined) throw new LabError(`${domain} has no disk`);
		for (let round = 0; round < rounds; round++) {
			await libvirt("destroy", domain);
			writeFileSync(diskFile, await libvirt("vol-dumpxml", "--pool", pool, disk));
			writeFileSync(domainFile, await libvirt("dumpxml", "--inactive", domain));
			await libvirt("undefine", domain);
			await libvirt("vol-delete", "--pool", pool, disk);
			created.push(await seconds("domain and its disk created to guest answering", create));
		}
	} finally {
		rmSync(scratch, { recursive: true });
	}
	return [
		withinSeconds("domain and its disk created to guest answering", created, 8),
		withinSeconds("domain with a disk started to guest answering", started, 8),
	];
}

async function libvirt(...args: string[]): Promise<string> {
	const { code, stdout, stderr } = await virsh(...args);
	if (code !== 0) throw new LabError(`virsh ${args.join(" ")}: ${stderr}`);
	return stdout;
}
