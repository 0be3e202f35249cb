import { readFileSync } from "node:fs";
import * as libvirt from "@pulumi/libvirt";
import * as pulumi from "@pulumi/pulumi";
import { type Acceleration, accelerationLines, decideAcceleration } from "../spec/acceleration.ts";
import { withBudget } from "../spec/budget.ts";
import { imagePrefix, kernelPrefix, qemuPrefix } from "../spec/build-prefixes.ts";
import { checkDiskSpace } from "../spec/disk-space.ts";
import { checkGdbPorts } from "../spec/gdb-ports.ts";
import type { HostFacts } from "../spec/host-facts.ts";
import { hostPackages } from "../spec/host-packages.ts";
import { checkSignature } from "../spec/hypervisor.ts";
import type { LabCard } from "../spec/lab-card.ts";
import { stackHash, tracelabHash } from "../spec/lab-hashes.ts";
import { loadProfile } from "../spec/load-profile.ts";
import type { Lock } from "../spec/lock.ts";
import { checkNames } from "../spec/name-clash.ts";
import type { Stack } from "../spec/schema.ts";
import { LabComponent } from "./component.ts";
import { DebugKernel } from "./debug-kernel.ts";
import { GuestImage } from "./guest-image.ts";
import { GuestTools } from "./guest-tools.ts";
import { Host } from "./host.ts";
import { KernelModule } from "./kernel-module.ts";
import { LibvirtHost } from "./libvirt-host.ts";
import { QemuBuild } from "./qemu-build.ts";
import { SystemtapProbe } from "./systemtap-probe.ts";
import { TraceSession } from "./trace-session.ts";
import { TracedDomain } from "./traced-domain.ts";
import { TracingGroup } from "./tracing-group.ts";

export interface LabArgs {
	/** The stack file, read and checked. */
	stack: Stack;
	/** What the host is. */
	facts: HostFacts;
	/**
	 * What the stack's builds are held to, by name, such as kernel-main.
	 * @default nothing
	 */
	lock?: Lock | undefined;
	/**
	 * sha256 of the lock's file, for the card.
	 * @default there is no lock
	 */
	lockHash?: string | undefined;
}

/**
 * A whole lab, as its stack file has it.
 *
 * Owns what its parts own, /var/lib/tracelab/pools/STACK and the lab card, /var/lib/tracelab/labs/STACK.json.
 *
 *     const lab = new Lab("quickstart", { stack: loadStack("quickstart"), facts: await lookAtHost([]) });
 */
export class Lab extends LabComponent {
	/** The lab card: what came up. */
	readonly card: pulumi.Output<LabCard>;

	readonly #stack: Stack;
	readonly #lock: Lock | undefined;
	readonly #lockHash: string | undefined;

	constructor(name: string, args: LabArgs, opts?: pulumi.ComponentResourceOptions) {
		super("Lab", name, opts);
		this.#stack = args.stack;
		this.#lock = args.lock;
		this.#lockHash = args.lockHash;
		// First of all: names or gdb ports that are another's, kvm where it cannot work, or builds that cannot fit, are an error, and
		// nothing was changed then.
		checkNames(args.stack, args.facts.begun);
		checkGdbPorts(args.stack, args.facts);
		const accelerations = each(args.stack.domains, (_, { acceleration }) =>
			decideAcceleration(acceleration, args.facts),
		);
		each(args.stack.domains, (name, { hypervisor }) => checkSignature(name, hypervisor, named(accelerations, name)));
		const tight = checkDiskSpace(largeBuilds(args.stack), args.facts);
		for (const line of accelerationLines(accelerations)) pulumi.log.info(line, this);
		if (tight !== undefined) pulumi.log.warn(tight, this);
		const host = new Host("host", { packages: hostPackages }, { parent: this });
		const builds = this.#build(host);
		const domains = this.#run(host, builds, accelerations);
		const probes = this.#compileProbes(domains);
		const traces = this.#trace(domains);
		this.card = this.#describe(builds, domains, probes, traces);
		this.#writeCard([...Object.values(domains), ...Object.values(probes), ...Object.values(traces)]);
		this.registerOutputs({ card: this.card });
	}

	#build(host: Host): Builds {
		const opts = { parent: this, dependsOn: [host] };
		const { qemu, kernels, images, modules } = this.#stack;
		const kernel = each(
			kernels,
			(name, kernel) => new DebugKernel(`kernel-${name}`, { kernel, pin: this.#lock?.[`kernel-${name}`] }, opts),
		);
		return {
			qemu: each(
				qemu,
				(name, qemu) => new QemuBuild(`qemu-${name}`, { qemu, pin: this.#lock?.[`qemu-${name}`] }, opts),
			),
			kernels: kernel,
			tools: new GuestTools("guest-tools", { pin: this.#lock?.["guest-tools"] }, opts),
			images: each(
				images,
				(name, image) => new GuestImage(`image-${name}`, { image, pin: this.#lock?.[`image-${name}`] }, opts),
			),
			modules: each(
				modules,
				(name, module) =>
					new KernelModule(
						`module-${name}`,
						{
							moduleName: name,
							module,
							kernel: named(kernel, module.kernel),
							pin: this.#lock?.[`module-${name}`],
						},
						{ parent: this },
					),
			),
		};
	}

	#run(
		host: Host,
		builds: Builds,
		accelerations: Readonly<Record<string, Acceleration>>,
	): Record<string, TracedDomain> {
		const tracingGroup = new TracingGroup("tracing-group", { parent: this, dependsOn: [host] });
		const emulators = Object.values(builds.qemu).map((qemu) => qemu.prefix);
		// The group first: a libvirtd that runs already must be started again to see it.
		const libvirtHost = new LibvirtHost("libvirt", { emulators }, { parent: this, dependsOn: [tracingGroup] });
		const name = `tracelab-${this.#stack.name}`;
		const folder = `/var/lib/tracelab/pools/${this.#stack.name}`;
		const pool = new libvirt.Pool(
			"pool",
			{ name, type: "dir", target: { path: folder } },
			{ parent: this, provider: libvirtHost.provider },
		);
		const activePool = this.step(
			"pool-active",
			{ script: "libvirt-pool", inputs: { pool: name, uuid: pool.id, folder } },
			[pool, libvirtHost],
		);
		return each(
			this.#stack.domains,
			(name, domain) =>
				new TracedDomain(
					`domain-${name}`,
					{
						domainName: name,
						domain,
						qemu: named(builds.qemu, domain.qemu),
						kernel: named(builds.kernels, domain.kernel),
						image: named(builds.images, domain.image),
						tools: builds.tools,
						modules: Object.fromEntries(
							[...domain.modules].sort().map((module) => [module, named(builds.modules, module)]),
						),
						acceleration: named(accelerations, name),
						pool,
						activePool,
						libvirtHost,
					},
					{ parent: this, dependsOn: [host] },
				),
		);
	}

	#compileProbes(domains: Record<string, TracedDomain>): Record<string, SystemtapProbe> {
		return each(
			this.#stack.probes,
			(name, probe) =>
				new SystemtapProbe(
					`probe-${name}`,
					{
						probeName: name,
						probe,
						target: named(domains, probe.domain).target,
						pin: this.#lock?.[`probe-${name}-${probe.domain}`],
					},
					{ parent: this },
				),
		);
	}

	#trace(domains: Record<string, TracedDomain>): Record<string, TraceSession> {
		return each(
			this.#stack.traces,
			(name, trace) =>
				new TraceSession(
					`trace-${name}`,
					{
						traceName: name,
						trace,
						profile: withBudget(loadProfile(trace.profile), trace.budget),
						targets: Object.fromEntries(trace.domains.map((domain) => [domain, named(domains, domain)])),
					},
					{ parent: this },
				),
		);
	}

	#describe(
		builds: Builds,
		domains: Record<string, TracedDomain>,
		probes: Record<string, SystemtapProbe>,
		traces: Record<string, TraceSession>,
	): pulumi.Output<LabCard> {
		return pulumi.output({
			stack: this.#stack.name,
			tracelab: version(),
			hashes: {
				stack: stackHash(this.#stack),
				...(this.#lockHash !== undefined && { lock: this.#lockHash }),
				tracelab: tracelabHash(),
				builds: results(builds, probes),
			},
			qemu: each(builds.qemu, (_, { prefix, emulator, version }) => ({ prefix, binary: emulator, version })),
			kernels: each(builds.kernels, (_, { prefix, built }) => ({
				prefix,
				vmlinux: `${prefix}/vmlinux`,
				source: `${prefix}/source`,
				release: built.release,
				buildId: built.buildId,
			})),
			images: each(builds.images, (_, { prefix }) => ({ prefix })),
			domains: each(domains, (_, domain) => domain.card),
			probes: each(probes, (_, probe) => probe.card),
			traces: each(traces, (_, trace) => trace.card),
		});
	}

	#writeCard(after: pulumi.Resource[]): void {
		const card = this.card.apply((text) => JSON.stringify(text, null, "\t"));
		this.step("card", { script: "lab-card", inputs: { card } }, after);
	}
}

interface Builds {
	qemu: Record<string, QemuBuild>;
	kernels: Record<string, DebugKernel>;
	images: Record<string, GuestImage>;
	tools: GuestTools;
	modules: Record<string, KernelModule>;
}

/** What each build came to, by its name in a lock. */
function results(
	{ qemu, kernels, images, tools, modules }: Builds,
	probes: Record<string, SystemtapProbe>,
): Record<string, pulumi.Output<string | null>> {
	const all: Record<string, { result: pulumi.Output<string | null> }> = {
		"guest-tools": tools,
		...ofKind("image", images),
		...ofKind("kernel", kernels),
		...ofKind("module", modules),
		...Object.fromEntries(Object.entries(probes).map(([name, probe]) => [`probe-${name}-${probe.card.domain}`, probe])),
		...ofKind("qemu", qemu),
	};
	return each(all, (_, { result }) => result);
}

function ofKind<Part>(kind: string, parts: Readonly<Record<string, Part>>): Record<string, Part> {
	return Object.fromEntries(Object.entries(parts).map(([name, part]) => [`${kind}-${name}`, part]));
}

/** Prefixes of what is large on a disk, by what it is called. */
function largeBuilds({ qemu, kernels, images }: Stack): Record<string, string> {
	const called = <Spec>(kind: string, specs: Readonly<Record<string, Spec>>, prefix: (spec: Spec) => string) =>
		Object.entries(specs).map(([name, spec]) => [`${kind} ${name}`, prefix(spec)]);
	return Object.fromEntries([
		...called("qemu", qemu, qemuPrefix),
		...called("kernel", kernels, kernelPrefix),
		...called("image", images, imagePrefix),
	]);
}

/** The same keys, in sorted order, with what `make` makes of each. */
function each<In, Out>(map: Readonly<Record<string, In>>, make: (name: string, value: In) => Out): Record<string, Out> {
	const entries = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
	return Object.fromEntries(entries.map(([name, value]) => [name, make(name, value)]));
}

/** The part with that name; the stack file was checked, so there is one. */
function named<Part>(parts: Readonly<Record<string, Part>>, name: string): Part {
	const part = parts[name];
	if (part === undefined) throw new Error(`no "${name}" among ${Object.keys(parts).join(", ")}`);
	return part;
}

function version(): string {
	return JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version;
}
