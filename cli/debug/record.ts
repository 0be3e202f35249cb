import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execaSync } from "execa";
import { quote } from "../../spec/quote.ts";
import { noted } from "../builds/build-record.ts";
import { type Domain, findDomain, readCard, stackOption } from "../card.ts";
import { inOrder } from "../ending.ts";
import { LabError } from "../errors.ts";
import { onHost } from "../host.ts";
import { definition } from "../libvirt.ts";
import { notOutliving, run } from "../program.ts";
import { recorder } from "../runs/recorder.ts";
import { makeRunFolder } from "../runs/run-folder.ts";
import { duration, say } from "../terminal.ts";
import { readElf } from "./elf.ts";
import { files, type Recording, recordingArguments } from "./recording.ts";

/** In the console's log: what is between them is the command's. */
const [begin, end] = ["tracelab: the command begins", "tracelab: the command ended with"];

/**
 * Boots the domain's kernel and image once more, beside the domain itself, to a shell that runs a command, and records
 * it all for `./lab replay`. The command's output becomes ours, and its exit status is returned.
 *
 * @throws LabError where the guest does not come to the end of the command, as after a panic: that recording is kept
 */
export async function record(
	stack: string,
	name: string,
	command: readonly string[],
	options: { name?: string },
): Promise<number> {
	const domain = findDomain(stack, name);
	const machine = await described(domain);
	const { run: taken, folder } = makeRunFolder(stack, `record-${name}`, options.name);
	let recording: Recording;
	let output: string;
	try {
		const { code, stderr, seconds } = await inOrder(async (cancelSignal) => {
			await makeDisks(domain, folder, command);
			say(`lab: recording a boot of ${name}, and: ${command.join(" ")}`);
			const begun = performance.now();
			const qemu = notOutliving(onHost(machine.emulator), recordingArguments("record", machine));
			const ran = await run(...qemu, "", { cwd: folder, detached: true, cancelSignal });
			if (cancelSignal.aborted) throw new LabError(`interrupted: nothing of the recording is kept${lastWords(folder)}`);
			return { ...ran, seconds: (performance.now() - begun) / 1000 };
		});
		if (code !== 0) throw new LabError(`QEMU ended with ${code}: ${stderr}${lastWords(folder)}`);
		// It goes on without a recording, and ends well.
		if (stderr.includes("replay write error")) {
			throw new LabError(
				"QEMU found no room for the recording",
				"make room (df -h shows on which disk), then record it again",
			);
		}
		const said = commandOutput(readFileSync(join(folder, files.console), "latin1"));
		output = said.output;
		const status = said.status === undefined ? {} : { status: said.status };
		recording = { stack, domain: name, ...machine, command: [...command], ...status, seconds };
		writeFileSync(join(folder, files.about), `${JSON.stringify(recording, null, "\t")}\n`);
	} catch (error) {
		rmSync(folder, { recursive: true, force: true });
		throw error;
	}
	const replay = `./lab${stackOption(stack)} replay ${taken}`;
	if (recording.status === undefined) {
		throw new LabError(
			`the guest did not come to the end of the command${lastWords(folder)}`,
			`it is kept as recording ${taken}: go back from its end in gdb: ${replay}, then continue, bt, break FUNCTION and reverse-continue`,
		);
	}
	process.stdout.write(Buffer.from(output, "latin1"));
	say(`lab: recorded ${taken} in ${duration(recording.seconds)}; replay it in gdb: ${replay}`);
	return recording.status;
}

/** The end of a message: what the console has of a kernel's fault, or its last lines. */
function lastWords(folder: string): string {
	const file = join(folder, files.console);
	if (!existsSync(file)) return "";
	// A fault that is further back is not what ended it, and a kernel may have printed more than a text holds.
	const text = execaSync("tail", ["-c", "64K", file]).stdout.replaceAll("\r\n", "\n").trimEnd();
	if (text === "") return "";
	const lines = text.split("\n").slice(-200);
	const fault = lines.findIndex((line) => /\bBUG\b|\bOops\b|general protection fault|Kernel panic/.test(line));
	return ["; its console's last words:", ...lines.slice(fault === -1 ? -40 : fault)].join("\n  | ");
}

/** What of the domain the recording runs on, what the lab is, and what records it. */
async function described(
	domain: Domain,
): Promise<Omit<Recording, "stack" | "domain" | "command" | "status" | "seconds">> {
	const { kernel, card } = domain;
	if (!existsSync(onHost(card.emulator)))
		throw new LabError(`${card.emulator} is gone`, `./lab${stackOption(domain.stack)} up makes it again`);
	const { memory, commandLine } = await definition(domain);
	const { hostKernel: _, ...by } = await recorder();
	return {
		lab: readCard(domain.stack).hashes,
		...by,
		emulator: card.emulator,
		kernel: kernel.prefix,
		buildId: readElf(onHost(kernel.vmlinux)).buildId ?? "",
		results: resultsOf([dirname(dirname(card.emulator)), kernel.prefix, imagePrefix(domain)]),
		memory,
		// Or a guest that panics would spin for ever: its reset ends QEMU. What the stack file says comes later, and wins.
		commandLine: `panic=-1 ${commandLine}`,
	};
}

/** As they are now: the lab card has those of the last up, and another stack may have made a build again since. */
function resultsOf(prefixes: readonly string[]): Record<string, string> {
	return Object.fromEntries(
		prefixes.flatMap((prefix) => {
			const result = noted(prefix)?.result;
			return result === undefined ? [] : [[prefix, result]];
		}),
	);
}

function imagePrefix({ card, stack }: Domain): string {
	const image = readCard(stack).images[card.image];
	if (image === undefined) throw new LabError(`the lab card knows no image ${quote(card.image)}`);
	return image.prefix;
}

async function makeDisks(domain: Domain, folder: string, command: readonly string[]): Promise<void> {
	const { card, name } = domain;
	const base = onHost(`${imagePrefix(domain)}/image.qcow2`);
	await made("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, join(folder, files.disk)]);
	const share = onHost(`/var/lib/tracelab/domains/${card.libvirtName}/root`);
	cpSync(join(share, "lib/modules"), join(folder, files.modules), { recursive: true });
	const tree = mkdtempSync(join(tmpdir(), "tracelab-record-"));
	try {
		cpSync(share, tree, { recursive: true });
		chmodSync(tree, 0o755);
		writeFileSync(join(tree, "record"), guestScript(name, command));
		// 1 MiB for each that is there, and some for the file system's own.
		const { stdout } = await made("du", ["-sm", tree]);
		await made("mke2fs", [
			"-q",
			"-t",
			"ext4",
			"-d",
			tree,
			join(folder, files.lab),
			`${Number.parseInt(stdout, 10) + 16}M`,
		]);
	} finally {
		rmSync(tree, { recursive: true });
	}
}

async function made(program: string, args: readonly string[]) {
	const ran = await run(program, args);
	if (ran.code !== 0) throw new LabError(`${program} ended with ${ran.code}: ${ran.stderr}`);
	return ran;
}

/** What the guest runs in place of systemd: what every guest of the lab has mounted and loaded, then the command. */
export function guestScript(name: string, command: readonly string[]): string {
	const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`);
	return `export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount --bind /lab/lib/modules /usr/lib/modules
echo '${name}' >/proc/sys/kernel/hostname
xargs -r -n 1 modprobe </usr/lib/modules/load
cd /root
echo "${begin}"
${words.join(" ")}
echo "${end} $?"
sync
echo o >/proc/sysrq-trigger
sleep 60
`;
}

/** The command's own of what the console has, and its exit status, where it came to that. */
export function commandOutput(console: string): { output: string; status: number | undefined } {
	const text = console.replaceAll("\r\n", "\n");
	const from = text.indexOf(`${begin}\n`);
	const [, output, status] = new RegExp(`^([^]*?)${end} (\\d+)\\n`).exec(text.slice(from + begin.length + 1)) ?? [];
	if (from === -1 || output === undefined) return { output: text, status: undefined };
	return { output, status: Number(status) };
}
